/** A section [path_N] as typed configuration (pure). */
import { parseCNumber } from './c-number.ts';
import type { ConnectionPurpose } from './connection-config.ts';
import { isLinkName, LINK_NAME_RULE } from './interface-config.ts';
import { WEIGHT_MAX, type PathConfig, type PinnedPorts } from './model.ts';
import { unspecified, type IpVersion, type SectionReader } from './section-reader.ts';

const WEIGHT = { fallback: 1, min: 1, max: WEIGHT_MAX, note: '0 crashes the original' } as const;
const DEAD_TIME_MAX_S = 65_535;
/** In place of a public address: the same as the private one. */
export const SAME_AS_PRIVATE = 'private_ipaddr';
export const UNNAMED_PATH = 'unnamed_path';

/** Codes of the original (facts of paths/path-status); others mean nothing to it and keep a path out for ever. */
const STATUSES: readonly number[] = [0, 0x80, 0x81, 0x82, 0x83, 0xff];

/** Only what a peer would make of it is refused: the original starts with such a file, and does not use the key itself. */
function takeWeightIn(section: SectionReader, purpose: ConnectionPurpose): number {
  const isZero = section.has('weight_in') && parseCNumber(section.takeText('weight_in', '')).value === 0;
  if (!isZero || purpose === 'peer') return section.takeInteger('weight_in', WEIGHT);
  section.warn(
    'weight_in',
    'counts as 1: a connection made at the peer with 0 would crash the original there',
  );
  return 1;
}

function takePinned(section: SectionReader): PinnedPorts {
  return {
    tcpSource: section.takePorts('tcp_src'),
    tcpDestination: section.takePorts('tcp_dst'),
    udpSource: section.takePorts('udp_src'),
    udpDestination: section.takePorts('udp_dst'),
  };
}

function takeRemote(section: SectionReader, version: IpVersion, purpose: ConnectionPurpose): string {
  if (purpose === 'connection' && !section.has('remote_ipaddr')) {
    section.refuse(
      'remote_ipaddr',
      `the peer's address is missing; write ${unspecified(version)} to learn it from the peer`,
    );
  }
  return section.takeAddress('remote_ipaddr', version);
}

/** Whether two paths have the same addresses, both of which are known. */
export const isTwin = (a: PathConfig, b: PathConfig): boolean =>
  a.privateAddress === b.privateAddress &&
  a.remoteAddress === b.remoteAddress &&
  a.interfaceName === b.interfaceName &&
  a.remoteAddress !== unspecified(a.ipVersion);

export function readPath(section: SectionReader, purpose: ConnectionPurpose): PathConfig {
  const interfaceName = section.takeText('interface_name', UNNAMED_PATH);
  if (!isLinkName(interfaceName)) section.refuse('interface_name', LINK_NAME_RULE);
  else if (!section.has('interface_name')) {
    section.warn('interface_name', "the key is missing; the path's link cannot be watched");
  }
  const ipVersion = section.takeVersion('ip_ver', 4, 6);
  const privateAddress = section.takeAddress('private_ipaddr', ipVersion);
  const publicIsPrivate = section.takeText('public_ipaddr', '').toLowerCase() === SAME_AS_PRIVATE;
  const publicAddress = publicIsPrivate ? privateAddress : section.takeAddress('public_ipaddr', ipVersion);
  const gatewayKey = section.takeAlias('gw_ipaddr', 'gateway_ipaddr');
  const keepaliveTimeS = section.takeInteger('keepalive_time', { fallback: 0, min: 0, max: 255 });
  const deadTimeS = section.takeInteger('dead_time', {
    fallback: 3 * keepaliveTimeS,
    min: 0,
    max: DEAD_TIME_MAX_S,
  });
  if (keepaliveTimeS > 0 && deadTimeS > 0 && deadTimeS <= keepaliveTimeS) {
    section.warn('dead_time', `not longer than keepalive_time = ${keepaliveTimeS}; the path may come and go`);
  }
  const status = section.takeInteger('status', { fallback: 0, min: 0, max: 255 });
  if (!STATUSES.includes(status)) {
    section.refuse(
      'status',
      `allowed are ${STATUSES.join(', ')} (0 usable, 128 down until the peer is heard)`,
    );
  }
  section.ignore('window_size');
  const path: PathConfig = {
    interfaceName,
    ipVersion,
    publicAddress,
    publicIsPrivate,
    privateAddress,
    remoteAddress: takeRemote(section, ipVersion, purpose),
    gatewayAddress: section.takeAddress(gatewayKey, ipVersion),
    keepaliveTimeS,
    deadTimeS,
    weightIn: takeWeightIn(section, purpose),
    weightOut: section.takeInteger('weight_out', WEIGHT),
    status,
    isCommandDefault:
      section.takeInteger('cmd_default', { fallback: 0, min: -(2 ** 31), max: 2 ** 31 - 1 }) !== 0,
    pinned: takePinned(section),
  };
  section.finish();
  return path;
}
