/**
 * The control calls of the path-management daemon and its stream of events, as types and as the table that maps them
 * to HTTP (control-face.ts). docs/events.md describes the stream.
 */
import { WeftError } from '../../base/index.ts';
import type { DaemonEvent, DaemonStatus, InterfaceChange } from '../../pathmanager/index.ts';
import type { ControlFace, ControlStream } from '../control-face.ts';
import type { ActionApi, ObserveApi, WebApi } from '../observe/api.ts';
import { ACTION_CALLS, OBSERVE_CALLS, WEB_CALLS } from '../observe/calls.ts';

export const DAEMON_API_VERSION = 1;

export interface DaemonReport extends DaemonStatus {
  readonly apiVersion: typeof DAEMON_API_VERSION;
  readonly version: string;
  readonly pid: number;
  readonly upForMs: number;
}

export interface InterfaceSetting {
  readonly name: string;
  /** `true`: its subflows carry data only when no other can. */
  readonly backup: boolean;
}

export interface DaemonControlApi {
  status(): Promise<DaemonReport>;
  /** Changes subflows of live connections too. */
  setInterface(setting: InterfaceSetting): Promise<InterfaceChange>;
}

/** Lines of the stream that are not events of the daemon. */
export type StreamNote =
  | { readonly time: number; readonly kind: 'listening' }
  | { readonly time: number; readonly kind: 'lost'; readonly count: number };

export type StreamEvent = DaemonEvent | StreamNote;

const KINDS: Readonly<Record<StreamEvent['kind'], true>> = {
  listening: true,
  mptcp: true,
  network: true,
  endpoint: true,
  plugin: true,
  overrun: true,
  resynchronised: true,
  lost: true,
};

/** What `kind` of a line may be. */
export const EVENT_KINDS = Object.keys(KINDS) as readonly StreamEvent['kind'][];

/** Pure. @throws WeftError `BAD_ARGUMENT` */
export function readInterfaceSetting(value: unknown): InterfaceSetting {
  const { backup, name } = (value ?? {}) as Partial<Record<keyof InterfaceSetting, unknown>>;
  if (typeof name !== 'string' || typeof backup !== 'boolean') {
    throw new WeftError('an interface is changed with {"name": NAME, "backup": true or false}', {
      code: 'BAD_ARGUMENT',
    });
  }
  return { name, backup };
}

/** Everything that the daemon answers on its socket. */
export type DaemonApi = DaemonControlApi & ObserveApi & ActionApi & WebApi;

export const DAEMON_FACE: ControlFace<DaemonApi> & { readonly stream: ControlStream } = {
  file: 'mptcpd',
  name: 'the daemon',
  absent: 'the path-management daemon is not running here',
  startHint: 'start it with "weft daemon" or "systemctl start mptcp"',
  askCommand: 'weft daemon status',
  serviceFolder: '/run/mptcpd',
  calls: {
    status: { method: 'GET', path: '/v1/status' },
    setInterface: { method: 'POST', path: '/v1/interface', readArgument: readInterfaceSetting },
    ...OBSERVE_CALLS,
    ...ACTION_CALLS,
    ...WEB_CALLS,
  },
  stream: { path: '/v1/events', kinds: EVENT_KINDS },
};
