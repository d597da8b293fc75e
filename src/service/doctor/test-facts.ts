/** Facts for the doctor's unit tests: a host with two uplinks, and the parts that a test puts others in place of. */
import type { InterfaceAddress, Link } from '../../netlink/index.ts';
import type { HostFacts, LookupFact, PathFact } from './facts.ts';

export const linkFact = (index: number, name: string): Link => ({
  index,
  name,
  flags: 1,
  hardwareType: 1,
  mtuBytes: 1500,
  operationalState: 6,
});

export const addressFact = (linkIndex: number, text: string, flags = 0): InterfaceAddress => ({
  linkIndex,
  family: 2,
  address: text,
  prefixLength: 24,
  scope: 0,
  flags,
});

export const WIFI: PathFact = { link: 'wifi0', linkIndex: 2, address: '10.1.0.2', gateway: '10.1.0.1' };
export const LTE: PathFact = { link: 'lte0', linkIndex: 3, address: '10.2.0.2', gateway: '10.2.0.1' };

/** A look-up that goes where it should. */
export const rightLookup = (path: PathFact, destination = '192.0.2.1'): LookupFact => {
  const answer = { linkIndex: path.linkIndex, gateway: path.gateway ?? '' };
  return { path, destination, bySource: answer, byLink: answer };
};

/** A host with two uplinks on which everything is in place. */
export const HEALTHY: HostFacts = {
  time: 1_700_000_000_000,
  platform: 'linux',
  architecture: 'x64',
  kernelRelease: '6.18.44',
  mptcpSocket: { ok: true },
  sysctls: new Map([
    ['net.mptcp.enabled', '1'],
    ['net.mptcp.path_manager', 'kernel'],
    ['net.mptcp.scheduler', 'default'],
    ['net.mptcp.available_schedulers', 'default'],
    ['net.ipv4.conf.all.rp_filter', '0'],
    ['net.ipv4.conf.wifi0.rp_filter', '0'],
    ['net.ipv4.conf.lte0.rp_filter', '2'],
  ]),
  netAdmin: true,
  links: [linkFact(2, 'wifi0'), linkFact(3, 'lte0')],
  addresses: [addressFact(2, '10.1.0.2'), addressFact(3, '10.2.0.2')],
  rules: [],
  paths: [WIFI, LTE],
  uplinkCount: 2,
  ignoredLinks: [],
  endpoints: [
    { address: '10.1.0.2', port: 0, id: 1, flags: 2, linkIndex: 2 },
    { address: '10.2.0.2', port: 0, id: 2, flags: 2, linkIndex: 3 },
  ],
  limits: { subflows: 2, addAddrAccepted: 0 },
  lookups: [rightLookup(WIFI), rightLookup(LTE)],
  counters: new Map([
    ['MPCapableSYNTX', 10],
    ['MPCapableFallbackSYNACK', 2],
  ]),
  firewall: { looked: true, findings: [] },
};

/** Of which nothing could be read. */
export const UNKNOWN_HOST: HostFacts = {
  time: 0,
  platform: 'linux',
  architecture: 'x64',
  kernelRelease: '6.1.0',
  mptcpSocket: { ok: true },
  sysctls: new Map(),
  firewall: { looked: false, why: 'x' },
};
