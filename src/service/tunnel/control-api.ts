/**
 * The control calls of a running tunnel and its stream of events, as types and as the table that maps them to HTTP
 * (control-face.ts). A network namespace may have several tunnels, so each has a socket of its own, which the name of
 * its link names. Commands that change something are MPT's, over the command port (`mpt`); here are those that MPT has
 * no words for.
 */
import type { TunnelEngineStatus, TunnelEvent, TunnelPathChange } from '../../tunnel/index.ts';
import { bodyFields, takeBoolean, takeInteger, takeText } from '../control-arguments.ts';
import type { ControlFace } from '../control-face.ts';

export const TUNNEL_API_VERSION = 1;

export interface TunnelReport extends TunnelEngineStatus {
  readonly apiVersion: typeof TUNNEL_API_VERSION;
  /** The package's. */
  readonly version: string;
  readonly pid: number;
  readonly upForMs: number;
  /** The folder `conf`, absolute. */
  readonly folder: string;
}

export interface TunnelControlApi {
  status(): Promise<TunnelReport>;
  /** Up, down, or another weight, until the configuration is read again. @throws WeftError `TUNNEL_REFUSED` */
  setPath(change: TunnelPathChange): Promise<TunnelReport>;
}

const PATHS_MAX = 20;
const WEIGHT_MAX = 10_000;

/** Pure. @throws WeftError `BAD_ARGUMENT` */
export function readTunnelPathChange(value: unknown): TunnelPathChange {
  const { file, path, up, weight } = bodyFields(value, ['file', 'path', 'up', 'weight']);
  return {
    file: takeText('file', file),
    path: takeInteger('path', path, 0, PATHS_MAX - 1),
    ...(up === undefined ? {} : { up: takeBoolean('up', up) }),
    ...(weight === undefined ? {} : { weight: takeInteger('weight', weight, 1, WEIGHT_MAX) }),
  };
}

/** An event of the engine as a line of the stream: `time` in milliseconds since 1970. */
export type TunnelStreamEvent = Omit<TunnelEvent, 'atMs'> & { readonly time: number };

const KINDS: Readonly<Record<TunnelEvent['kind'] | 'listening' | 'lost', true>> = {
  listening: true,
  'path-status': true,
  connection: true,
  exchange: true,
  peer: true,
  address: true,
  mtu: true,
  reload: true,
  trouble: true,
  failure: true,
  lost: true,
};

/** What `kind` of a line may be. */
export const TUNNEL_EVENT_KINDS = Object.keys(KINDS) as readonly (keyof typeof KINDS)[];

const FILE_PREFIX = 'tunnel.';

/** How the names of a tunnel's files in the runtime folder begin. @param interfaceName such as `tun0` */
export const tunnelFileName = (interfaceName: string): string => `${FILE_PREFIX}${interfaceName}`;

/** The link of the tunnel whose socket has this name: `tunnel.tun0-4026531840.sock`. Pure. */
export function tunnelOfSocket(name: string, netnsInode: number): string | undefined {
  const end = `-${netnsInode}.sock`;
  if (!name.startsWith(FILE_PREFIX) || !name.endsWith(end)) return undefined;
  const link = name.slice(FILE_PREFIX.length, -end.length);
  return link === '' ? undefined : link;
}

/** @param interfaceName the tunnel's link */
export function tunnelFace(interfaceName: string): ControlFace<TunnelControlApi> & {
  readonly stream: { readonly path: string; readonly kinds: readonly string[] };
} {
  return {
    file: tunnelFileName(interfaceName),
    name: `the tunnel ${interfaceName}`,
    absent: `no tunnel ${interfaceName} is running here`,
    startHint: 'start one with "weft tunnel serve" or "mptsrv"',
    askCommand: 'weft tunnel status',
    serviceFolder: '/run/mptsrv',
    calls: {
      status: { method: 'GET', path: '/v1/status' },
      setPath: { method: 'POST', path: '/v1/path', readArgument: readTunnelPathChange },
    },
    stream: { path: '/v1/events', kinds: TUNNEL_EVENT_KINDS },
  };
}
