/**
 * Configuration folders for both ends of a tunnel, as a user writes them (pure): the addresses are those of the
 * guide's figure 3, at any number of paths.
 *
 *   side   tunnel              path N, IPv4     path N, IPv6
 *   a      10.0.0.2 fec0::2    10.N.N.2         fd00:N::2
 *   b      10.0.0.3 fec0::3    10.N.N.3         fd00:N::3
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Side = 'a' | 'b';
export type Keys = Readonly<Record<string, string | number | undefined>>;

const HOSTS = { a: 2, b: 3 } as const;
const OTHER = { a: 'b', b: 'a' } as const;

export const COMMAND_PORT = 60_456;
export const DATA_PORTS = { 4: 23_456, 6: 23_457 } as const;
export const TEMPLATE_PORT = 65_060;

export const tunnelAddress = (side: Side, version: 4 | 6): string =>
  version === 4 ? `10.0.0.${HOSTS[side]}` : `fec0::${HOSTS[side]}`;

/** @param path from 1 */
export const pathAddress = (side: Side, path: number, version: 4 | 6): string =>
  version === 4 ? `10.${path}.${path}.${HOSTS[side]}` : `fd00:${path}::${HOSTS[side]}`;

/** One section of a file. A key without value is left out. */
export function section(name: string, keys: Keys): string {
  const lines = Object.entries(keys).flatMap(([key, value]) =>
    value === undefined ? [] : `${key} = ${value}\n`,
  );
  return `[${name}]\n${lines.join('')}\n`;
}

export interface Network {
  readonly source: string;
  readonly destination: string;
}

export interface PairOptions {
  /** IP versions of the tunnel's addresses, a connection each. */
  readonly inner?: readonly (4 | 6)[];
  /** IP version of each path. */
  readonly outer?: readonly (4 | 6)[];
  /** Whole seconds; default 1 and 3. */
  readonly keepaliveS?: number;
  readonly deadS?: number;
  readonly reorderWindow?: number;
  readonly maxDelayMs?: number;
  readonly authType?: 0 | 1 | 2;
  /** Of each side; absent: the key is not in the file. */
  readonly authKey?: string | { readonly a: string; readonly b: string };
  readonly weights?: readonly number[];
  readonly scheduler?: string;
  /** As side a has them; b gets them the other way round. */
  readonly networks?: readonly Network[];
  readonly mtu?: number;
  readonly acceptRemote?: boolean;
  /** More keys of each side's sections. */
  readonly general?: Keys;
  readonly connection?: Keys;
  readonly path?: Keys;
  /** The side has no connection, only the template: its peer creates. */
  readonly empty?: Side;
}

/** The texts of one folder `conf`. */
export interface FolderTexts {
  readonly interface: string;
  readonly template: string;
  /** By file name. */
  readonly connections: Readonly<Record<string, string>>;
}

export function pathKeys(side: Side, path: number, options: PairOptions): Keys {
  const version = (options.outer ?? [4, 4])[path - 1]!;
  const own = pathAddress(side, path, version);
  return {
    interface_name: `eth${path}`,
    ip_ver: version,
    public_ipaddr: own,
    private_ipaddr: own,
    gw_ipaddr: own,
    remote_ipaddr: pathAddress(OTHER[side], path, version),
    keepalive_time: options.keepaliveS ?? 1,
    dead_time: options.deadS ?? 3,
    weight_in: options.weights?.[path - 1] ?? 1,
    weight_out: options.weights?.[path - 1] ?? 1,
    ...options.path,
  };
}

function mirrored({ source, destination }: Network): Network {
  return { source: destination, destination: source };
}

function connectionText(side: Side, version: 4 | 6, options: PairOptions, isTemplate: boolean): string {
  const outer = options.outer ?? [4, 4];
  const all = options.networks ?? [];
  const networks = all
    .map((network) => (side === 'a' ? network : mirrored(network)))
    .filter(({ source }) => source.includes(':') === (version === 6));
  const key = typeof options.authKey === 'object' ? options.authKey[side] : options.authKey;
  return [
    section('connection', {
      name: `conn${version}_${side.toUpperCase()}`,
      permission: 3,
      ip_ver: version,
      ip_local: tunnelAddress(side, version),
      local_port: isTemplate ? TEMPLATE_PORT : DATA_PORTS[version],
      ip_remote: isTemplate ? undefined : tunnelAddress(OTHER[side], version),
      remote_port: DATA_PORTS[version],
      remote_cmd_port: COMMAND_PORT,
      path_count: outer.length,
      network_count: isTemplate ? 0 : networks.length,
      status: 0,
      reorder_window: options.reorderWindow ?? 0,
      max_buffdelay_msec: options.maxDelayMs ?? 100,
      auth_type: options.authType ?? 0,
      auth_key: key,
      scheduler: options.scheduler,
      ...options.connection,
    }),
    ...outer.map((_, index) => section(`path_${index}`, pathKeys(side, index + 1, options))),
    ...(isTemplate ? [] : networks).map(({ source, destination }, index) =>
      section(`net_${index}`, { ip_ver: version, src_addr: source, dst_addr: destination }),
    ),
  ].join('');
}

export function interfaceText(side: Side, options: PairOptions = {}): string {
  return [
    section('general', {
      tunnel_num: 1,
      accept_remote: options.acceptRemote === true ? 1 : 0,
      cmdport_local: COMMAND_PORT,
      cmd_timeout: 15,
      interface_num: 2,
      ...options.general,
    }),
    section('tun_0', {
      name: 'tun0',
      mtu: options.mtu ?? 1440,
      ipv4_addr: `${tunnelAddress(side, 4)}/24`,
      ipv6_addr: `${tunnelAddress(side, 6)}/64`,
    }),
  ].join('');
}

/** The folder of one side. Files are `ipv4.conf` and `ipv6.conf`. */
export function folderTexts(side: Side, options: PairOptions = {}): FolderTexts {
  const inner = options.empty === side ? [] : (options.inner ?? [4]);
  return {
    interface: interfaceText(side, options),
    template: connectionText(side, options.inner?.[0] ?? 4, options, true),
    connections: Object.fromEntries(
      inner.map((version) => [`ipv${version}.conf`, connectionText(side, version, options, false)]),
    ),
  };
}

/** A folder on disk in which `mptsrv` and `mpt` are started: it has `conf`. */
export class TunnelFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'weft-tunnel-'));

  constructor(texts: FolderTexts) {
    mkdirSync(join(this.path, 'conf', 'connections'), { recursive: true });
    this.write('interface.conf', texts.interface);
    this.write('connections/conf.template', texts.template);
    for (const [name, text] of Object.entries(texts.connections)) this.write(`connections/${name}`, text);
  }

  /** @param name below `conf` */
  write(name: string, text: string): void {
    writeFileSync(join(this.path, 'conf', name), text, { mode: 0o600 });
  }

  read(name: string): string {
    return readFileSync(join(this.path, 'conf', name), 'utf8');
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
