/**
 * The configuration of a tunnel between two new ends (pure): from what a user must say, the files of both ends, such
 * that each reads them without an error and they fit each other.
 *
 * A connection carries one version of IP, so a tunnel with IPv4 and IPv6 addresses has two connections over the same
 * paths, each with its own data port.
 *
 * Invariant: whatever the request, planPair throws, or readTunnelFolder takes the files of both ends without errors.
 */
import { inPrefix, isIpv6, networkOf, WeftError, type Prefix } from '../../base/index.ts';
import {
  CONNECTION_SUFFIX,
  CONNECTIONS_FOLDER,
  formatConnectionConfig,
  formatInterfaceConfig,
  INTERFACE_FILE,
  NETWORKS_MAX,
  PATHS_MAX,
  TEMPLATE_FILE,
  type ConnectionConfig,
  type NetworkConfig,
  type PathConfig,
  type SchedulerName,
} from '../../tunnel/index.ts';

type Pair<T> = readonly [T, T];

/** One side of a path. */
export interface PathEnd {
  readonly interfaceName: string;
  /** Of the link; 0.0.0.0 or ::: whatever it has. */
  readonly address: string;
  /** How the other end reaches it, where that is another address: behind NAT. `auto`: found out, and learned. */
  readonly publicAddress?: string;
  readonly gateway?: string;
}

export interface PairPath {
  readonly ends: Pair<PathEnd>;
  /** Share of what is sent, either way; 1 to 10000. */
  readonly weight: number;
}

export interface PairRequest {
  /** Names of the ends; folders and files are called after them. */
  readonly names: Pair<string>;
  /** Tunnel addresses of either or both versions: one of each end, in one network. */
  readonly tunnel: readonly Pair<Prefix>[];
  readonly paths: readonly PairPath[];
  /** Networks behind each end. */
  readonly networks: Pair<readonly Prefix[]>;
  readonly interfaceName: string;
  /** Bytes; absent: what the paths carry on Ethernet. */
  readonly mtu?: number;
  /** Data port of the first connection; the second has the next one. */
  readonly port: number;
  readonly commandPort: number;
  readonly scheduler: SchedulerName;
  /** Packets; 0: no order is kept. */
  readonly reorderWindow: number;
  readonly maxDelayMs: number;
  readonly keepaliveS: number;
  readonly deadS: number;
  readonly authType: 0 | 1 | 2;
  /** Secret. */
  readonly key: string;
}

/** The files of one end by their names below its folder `conf`. */
export interface EndFiles {
  readonly name: string;
  readonly files: ReadonlyMap<string, string>;
}

const ETHERNET_BYTES = 1500;
/** Outer IP, UDP, GRE with sequence number. */
const OVERHEAD_BYTES = { 4: 20 + 8 + 8, 6: 40 + 8 + 8 } as const;
const GUESSED_SUBNET = { 4: 24, 6: 64 } as const;
const NO_PORTS = { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] } as const;
const END_NAME = /^[\w-]{1,40}$/;

const versionOf = (address: string): 4 | 6 => (isIpv6(address) ? 6 : 4);
const anyOf = (version: 4 | 6): string => (version === 6 ? '::' : '0.0.0.0');

const refuse = (text: string, hint?: string): WeftError =>
  new WeftError(text, { code: 'BAD_ARGUMENT', ...(hint === undefined ? {} : { hint }) });

function checkNames([left, right]: Pair<string>): void {
  for (const name of [left, right]) {
    if (!END_NAME.test(name)) {
      throw refuse(`"${name}" cannot name an end`, 'letters, digits, "-" and "_", at most 40 of them');
    }
  }
  if (left === right) throw refuse(`both ends are called "${left}"`, 'give each its own name');
}

function checkTunnel(tunnel: readonly Pair<Prefix>[]): void {
  if (tunnel.length === 0) throw refuse('the tunnel has no addresses', 'such as 10.200.0.1/30,10.200.0.2/30');
  const versions = tunnel.map(([left]) => versionOf(left.address));
  if (new Set(versions).size < versions.length) {
    throw refuse(
      'the tunnel has two pairs of addresses of one IP version',
      'one pair for IPv4 and one for IPv6',
    );
  }
  for (const [left, right] of tunnel) {
    const pair = `${left.address}/${left.length} and ${right.address}/${right.length}`;
    if (versionOf(left.address) !== versionOf(right.address)) throw refuse(`${pair} are of two IP versions`);
    if (left.address === right.address) throw refuse(`both ends have the tunnel address ${left.address}`);
    if (left.length === 0 || right.length === 0)
      throw refuse(`${pair}: a tunnel address needs a length above 0`);
    if (!inPrefix(right.address, left) || !inPrefix(left.address, right)) {
      throw refuse(`${pair} are not in one network`, 'give both the same network, such as 10.200.0.1/30');
    }
  }
}

function checkPaths({ authType, paths }: PairRequest): void {
  if (paths.length === 0) throw refuse('there are no paths', 'name one at least');
  if (paths.length > PATHS_MAX) throw refuse(`${paths.length} paths; at most ${PATHS_MAX}`);
  for (const { ends } of paths) {
    const [left, right] = ends;
    if (versionOf(left.address) !== versionOf(right.address)) {
      throw refuse(`the path from ${left.address} to ${right.address} has two IP versions`);
    }
    const unknown = ends.filter((end) => publicOf(end) === anyOf(versionOf(end.address)));
    const name = `${left.interfaceName} - ${right.interfaceName}`;
    if (unknown.length === ends.length) {
      throw refuse(`neither end of the path ${name} has an address that the other can send to`);
    }
    if (unknown.length > 0 && authType !== 2) {
      throw refuse(`an address of the path ${name} is to be learned`, 'that needs authentication by SHA-256');
    }
  }
}

function checkTwins(paths: readonly PairPath[]): void {
  const names = paths.map(({ ends }) => ends.map((end) => `${end.interfaceName}=${end.address}`).join(','));
  const twin = names.find((name, index) => names.indexOf(name) < index);
  if (twin !== undefined)
    throw refuse(`the path ${twin} is named twice`, 'two paths need two addresses at one end');
}

/** The command port is taken on every address, so that no path could use it. */
function checkPorts({ commandPort, port, tunnel }: PairRequest): void {
  const last = port + tunnel.length;
  if (commandPort < port || commandPort > last) return;
  throw refuse(
    `the command port ${commandPort} is one of the data ports, ${port} to ${last}`,
    'give another with --command-port',
  );
}

/** What the other end sends to; the unspecified address: it learns that. */
function publicOf({ address, publicAddress }: PathEnd): string {
  if (publicAddress === 'auto') return anyOf(versionOf(address));
  return publicAddress ?? address;
}

/** Neighbours need no gateway, which MPT writes as the own address. */
function gatewayOf(own: PathEnd, remote: string): string {
  if (own.gateway !== undefined) return own.gateway;
  const version = versionOf(own.address);
  if (own.address === anyOf(version)) return anyOf(version);
  const length = GUESSED_SUBNET[version];
  const isNeighbour = inPrefix(remote, { address: networkOf(own.address, length), length });
  return isNeighbour ? own.address : anyOf(version);
}

function pathConfig(request: PairRequest, { ends, weight }: PairPath, side: 0 | 1): PathConfig {
  const [own, other] = side === 0 ? ends : [ends[1], ends[0]];
  const remoteAddress = publicOf(other);
  return {
    interfaceName: own.interfaceName,
    ipVersion: versionOf(own.address),
    publicAddress: publicOf(own),
    publicIsPrivate: false,
    privateAddress: own.address,
    remoteAddress,
    gatewayAddress: gatewayOf(own, remoteAddress),
    keepaliveTimeS: request.keepaliveS,
    deadTimeS: request.deadS,
    weightIn: weight,
    weightOut: weight,
    status: 0,
    isCommandDefault: false,
    pinned: NO_PORTS,
  };
}

/** Every pair of networks that speak; an end without any speaks with its tunnel address. */
function networkConfigs(
  networks: Pair<readonly Prefix[]>,
  [own, remote]: Pair<Prefix>,
  side: 0 | 1,
): readonly NetworkConfig[] {
  const version = versionOf(own.address);
  const ofVersion = (prefixes: readonly Prefix[]) =>
    prefixes.filter(({ address }) => versionOf(address) === version);
  const mine = ofVersion(networks[side]);
  const theirs = ofVersion(networks[side === 0 ? 1 : 0]);
  if (mine.length === 0 && theirs.length === 0) return [];
  const length = version === 6 ? 128 : 32;
  const sources = mine.length > 0 ? mine : [{ address: own.address, length }];
  const destinations = theirs.length > 0 ? theirs : [{ address: remote.address, length }];
  // A packet's source and destination are looked up apart, so each has to be named once, not every pair.
  return Array.from({ length: Math.max(sources.length, destinations.length) }, (_value, index) => ({
    ipVersion: version,
    source: sources[Math.min(index, sources.length - 1)] ?? own,
    destination: destinations[Math.min(index, destinations.length - 1)] ?? remote,
  }));
}

function connectionConfig(request: PairRequest, index: number, side: 0 | 1): ConnectionConfig {
  const pair = request.tunnel[index];
  if (pair === undefined) throw refuse('the tunnel has no addresses');
  const [own, remote] = side === 0 ? pair : [pair[1], pair[0]];
  const version = versionOf(own.address);
  const networks = networkConfigs(request.networks, [own, remote], side);
  if (networks.length > NETWORKS_MAX) throw refuse(`${networks.length} networks; at most ${NETWORKS_MAX}`);
  return {
    name: `${request.names[side]}-${request.names[side === 0 ? 1 : 0]}${index === 0 ? '' : `-v${version}`}`,
    permission: 3,
    ipVersion: version,
    localAddress: own.address,
    localPort: request.port + index,
    localCommandPort: request.commandPort,
    remoteAddress: remote.address,
    remotePort: request.port + index,
    remoteCommandPort: request.commandPort,
    status: 0,
    reorderWindow: request.reorderWindow,
    maxBufferDelayMs: request.maxDelayMs,
    authType: request.authType,
    authKey: request.key,
    scheduler: request.scheduler,
    paths: request.paths.map((path) => pathConfig(request, path, side)),
    networks,
  };
}

const withoutPeer = (path: PathConfig): PathConfig => ({ ...path, remoteAddress: anyOf(path.ipVersion) });

/** The mould of connections that a peer would create: this end's links, no peer. */
function templateConfig(request: PairRequest, side: 0 | 1): ConnectionConfig {
  const first = connectionConfig(request, 0, side);
  return {
    ...first,
    name: 'template',
    localPort: request.port + request.tunnel.length,
    remoteAddress: anyOf(first.ipVersion),
    networks: [],
    paths: request.paths.map((path) => withoutPeer(pathConfig(request, path, side))),
  };
}

const inConnections = (name: string): string => `${CONNECTIONS_FOLDER}/${name}`;

function planEnd(request: PairRequest, side: 0 | 1): EndFiles {
  const addressOf = (version: 4 | 6) =>
    request.tunnel.map((pair) => pair[side]).find(({ address }) => versionOf(address) === version);
  const [ipv4, ipv6] = [addressOf(4), addressOf(6)];
  const room = request.paths.map(({ ends }) => ETHERNET_BYTES - OVERHEAD_BYTES[versionOf(ends[0].address)]);
  const files = new Map<string, string>();
  files.set(
    INTERFACE_FILE,
    formatInterfaceConfig({
      name: request.interfaceName,
      mtu: request.mtu ?? Math.min(...room),
      ...(ipv4 && { ipv4 }),
      ...(ipv6 && { ipv6 }),
      acceptRemote: false,
      commandPort: request.commandPort,
      commandTimeoutS: 15,
    }),
  );
  files.set(inConnections(TEMPLATE_FILE), formatConnectionConfig(templateConfig(request, side), 'file'));
  for (const index of request.tunnel.keys()) {
    const connection = connectionConfig(request, index, side);
    const peer = request.names[side === 0 ? 1 : 0];
    const suffix = index === 0 ? '' : `-v${connection.ipVersion}`;
    files.set(
      inConnections(`${peer}${suffix}${CONNECTION_SUFFIX}`),
      formatConnectionConfig(connection, 'file'),
    );
  }
  return { name: request.names[side], files };
}

/**
 * The files of both ends.
 * @throws WeftError `BAD_ARGUMENT`
 */
export function planPair(request: PairRequest): Pair<EndFiles> {
  checkNames(request.names);
  checkTunnel(request.tunnel);
  checkPaths(request);
  checkTwins(request.paths);
  checkPorts(request);
  return [planEnd(request, 0), planEnd(request, 1)];
}
