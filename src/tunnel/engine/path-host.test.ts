import { describe, expect, it } from 'vitest';
import { AF_INET } from '../../base/index.ts';
import { IFF_RUNNING, IFF_UP, type InterfaceAddress, type Link } from '../../netlink/index.ts';
import type { PathConfig } from '../config/model.ts';
import { LinkView } from '../host/link-view.ts';
import { readPathHost } from './path-host.ts';

const link = (index: number, name: string, flags = IFF_UP | IFF_RUNNING): Link => ({
  index,
  name,
  flags,
  hardwareType: 1,
  mtuBytes: 1400 + index,
  operationalState: 6,
});

const address = (linkIndex: number, text: string): InterfaceAddress => ({
  linkIndex,
  family: AF_INET,
  address: text,
  prefixLength: 24,
  scope: 0,
  flags: 0,
});

const path = (changes: Partial<PathConfig> = {}): PathConfig => ({
  interfaceName: 'eth1',
  ipVersion: 4,
  publicAddress: '0.0.0.0',
  publicIsPrivate: false,
  privateAddress: '10.1.1.2',
  remoteAddress: '192.0.2.9',
  gatewayAddress: '0.0.0.0',
  keepaliveTimeS: 1,
  deadTimeS: 3,
  weightIn: 1,
  weightOut: 1,
  status: 0,
  isCommandDefault: false,
  pinned: { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] },
  ...changes,
});

const read = (config: PathConfig, view: LinkView, gateway?: string) =>
  readPathHost(config, config.remoteAddress, view, () => gateway);

describe('what the host has for a path', () => {
  it('is its link with the address, and the gateway of that link’s default route', () => {
    const view = new LinkView([link(3, 'eth1')], [address(3, '10.1.1.2')]);
    expect(read(path(), view, '10.1.1.254')).toEqual({
      localAddress: '10.1.1.2',
      isPresent: true,
      isUp: true,
      linkIndex: 3,
      linkName: 'eth1',
      isTied: true,
      linkMtu: 1403,
      gateway: { gateway: '10.1.1.254', source: 'default-route', shown: '10.1.1.254' },
    });
  });

  it('is down without carrier, without link and without address', () => {
    const noCarrier = new LinkView([link(3, 'eth1', IFF_UP)], [address(3, '10.1.1.2')]);
    expect(read(path(), noCarrier)).toMatchObject({ isUp: false, isPresent: true });
    const noAddress = new LinkView([link(3, 'eth1')], []);
    expect(read(path(), noAddress)).toMatchObject({ isUp: false, isPresent: false, isTied: false });
    const nothing = new LinkView([], []);
    expect(read(path({ privateAddress: '0.0.0.0' }), nothing)).toMatchObject({
      localAddress: '0.0.0.0',
      isUp: false,
      linkMtu: 1500,
    });
    expect(read(path(), nothing)).not.toHaveProperty('linkIndex');
  });

  it('is judged by the link that has its address when its interface does not exist', () => {
    const view = new LinkView([link(4, 'wlan0')], [address(4, '10.1.1.2')]);
    expect(read(path({ interfaceName: 'unnamed_path' }), view)).toMatchObject({ isUp: true, linkIndex: 4 });
  });

  it('is not tied to a link that has not its address', () => {
    const view = new LinkView([link(3, 'eth1'), link(4, 'lo')], [address(4, '10.1.1.2')]);
    expect(read(path(), view)).toMatchObject({ isUp: true, isTied: false, linkIndex: 3 });
  });
});
