/**
 * The control calls of a running Weft (`weft up`), as types and as the table that maps them to HTTP. The same calls are
 * made in process (the web page) and over the unix socket (`weft status`).
 *
 * Everything here is plain JSON. Fields are only ever added within one `apiVersion`.
 */
import { WeftError } from '../base/index.ts';
import type { Limits } from '../mptcp/index.ts';
import type { ControlFace, ControlStream } from './control-face.ts';
import type { ActionApi, ObserveApi, WebApi } from './observe/api.ts';
import { ACTION_CALLS, OBSERVE_CALLS, WEB_CALLS } from './observe/calls.ts';
import { EVENT_LINE_KINDS } from './observe/event-lines.ts';
import type { PolicyReport, ReloadReport } from './proxy-policy.ts';

export const API_VERSION = 1;

/** What carries multipath connections: this host's kernel, or a virtual machine whose kernel can. */
export type BackendKind = 'native' | 'appliance';

/** What Weft can do on this host; see `StatusReport.reason` for why. */
export type Mode = 'multipath' | 'single-path' | 'unprivileged' | 'no-mptcp';

/** One way out of the machine: an address with its gateway, and what Weft made for it. */
export interface PathReport {
  readonly link: string;
  readonly address: string;
  /** Absent on links without one (point-to-point). */
  readonly gateway?: string;
  readonly family: 4 | 6;
  /** Weft's routing table for traffic from this address. */
  readonly table?: number;
  readonly endpointId?: number;
  readonly backup: boolean;
  readonly state: string;
  readonly why?: string;
  /** `true`: the host's own traffic takes it, by its default route. */
  readonly preferred?: boolean;
}

export interface IgnoredLink {
  readonly link: string;
  readonly why: string;
}

export interface EndpointReport {
  readonly id: number;
  readonly address: string;
  /** 0: none. */
  readonly port: number;
  /** Absent: bound to no link. */
  readonly link?: string;
  /** `subflow`, `backup` … */
  readonly flags: readonly string[];
  /** `false`: another program's; Weft leaves it alone. */
  readonly ours: boolean;
}

export interface SubflowReport {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The link that has the local address; absent when none has. */
  readonly link?: string;
  readonly state: string;
  readonly backup: boolean;
  readonly rttUs?: number;
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
}

export interface ConnectionReport {
  readonly id: number;
  readonly kind: 'connect' | 'http' | 'socks' | 'transparent';
  readonly client: string;
  /** Who the client has proved to be; absent where no users are asked for. */
  readonly user?: string;
  readonly target: string;
  /** `address:port` that it leads to. */
  readonly remote: string;
  /** `mptcp` only when the server speaks it. */
  readonly protocol: 'mptcp' | 'tcp';
  /** Why it is TCP although MPTCP was wanted. */
  readonly fallbackReason?: string;
  /** Name of the upstream proxy that it leads through. */
  readonly via?: string;
  /** The kernel's name for the MPTCP connection. */
  readonly token?: number;
  /** From the client to the target. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly openForMs: number;
  readonly subflows: readonly SubflowReport[];
  /** How many subflows beside the first the kernel allows this connection. */
  readonly subflowsMax?: number;
}

export interface ProxyReport {
  /** As a client would name them: `127.0.0.1:13128`, `[::1]:13128`. */
  readonly addresses: readonly string[];
  readonly allowRemote: boolean;
  /** Whether it answers, by whoever has asked it; absent: nobody has. */
  readonly alive?: boolean;
  /** `false`: started with --no-multipath. */
  readonly multipath: boolean;
  /** Since the start, as the proxy counts; those that split a total have names ending in `ByReason`. */
  readonly counters: Readonly<Record<string, number | Readonly<Record<string, number>>>>;
  /** Connections of programs that know of no proxy are brought to it. */
  readonly transparent?: {
    /** Those that come in by these links too. */
    readonly fromLinks: readonly string[];
    /** UDP to port 443 is refused. */
    readonly rejectQuic: boolean;
  };
  /** The rules in force, and how the upstream proxies do. */
  readonly policy?: PolicyReport;
}

/** How one link of the host is reached by the appliance. */
export interface LinkMapping {
  /** The host's uplink. */
  readonly link: string;
  /** The host's end of the cable into the virtual machine. */
  readonly tap?: string;
  readonly mac?: string;
  /** The link's name inside. */
  readonly guestLink?: string;
  /** `ADDRESS/LENGTH` */
  readonly hostAddresses: readonly string[];
  readonly guestAddresses: readonly string[];
  /** `active`, `waiting` … */
  readonly state: string;
  readonly why?: string;
}

export interface ApplianceReport {
  readonly state: 'starting' | 'running' | 'failed' | 'stopped';
  /** When `failed`. */
  readonly why?: string;
  /** Of QEMU. */
  readonly pid?: number;
  readonly accelerator?: string;
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** From its start to a proxy that listens. */
  readonly bootMs?: number;
  readonly image?: {
    readonly version: string;
    readonly kernel: string;
    /** SHA-256 of its manifest, hexadecimal. */
    readonly digest: string;
  };
  /** The proxy inside, and whether it has answered when it was last asked. */
  readonly proxy?: { readonly address: string; readonly port: number; readonly alive: boolean };
  readonly links: readonly LinkMapping[];
}

/** MPTCP as it was really seen on connections that go through now, not what could be. */
export interface EndToEndReport {
  readonly connections: number;
  /** Whose server speaks MPTCP, as the kernel says of the connection itself. */
  readonly mptcp: number;
  /** Of these, with two established subflows at least. */
  readonly severalPaths: number;
}

export interface StatusReport {
  readonly apiVersion: typeof API_VERSION;
  readonly version: string;
  readonly pid: number;
  readonly upForMs: number;
  readonly mode: Mode;
  /** Why this mode, in words. */
  readonly reason: string;
  readonly multipath: {
    readonly inUse: boolean;
    /** Whole sentences for people: in use or not, and why not. */
    readonly explanation: readonly string[];
    readonly endToEnd: EndToEndReport;
  };
  readonly backend: {
    readonly kind: BackendKind;
    /** Why this one, in words. */
    readonly why: string;
  };
  /** When the backend is one. */
  readonly appliance?: ApplianceReport;
  readonly paths: readonly PathReport[];
  readonly ignoredLinks: readonly IgnoredLink[];
  readonly endpoints: readonly EndpointReport[];
  /** Absent without MPTCP in the kernel. */
  readonly limits?: Limits;
  /** What the kernel takes at most for a limit; known once it refused more. */
  readonly limitsMaximum?: number;
  /** What was done about paths since the start, in numbers. */
  readonly actions: Readonly<Record<string, number>>;
  readonly proxy: ProxyReport;
  /** BOUNDED: the newest `CONNECTIONS_SHOWN_MAX`. */
  readonly connections: readonly ConnectionReport[];
  /** Connections that the list leaves out. */
  readonly connectionsOmitted: number;
}

export const CONNECTIONS_SHOWN_MAX = 2000;

/** What somebody who asks Weft to end is told at once; the end follows. */
export interface StopAnswer {
  readonly pid: number;
}

/** The argument of calls that need none and change something, which are therefore no GET. */
export type NoArgument = Readonly<Record<string, never>>;

export interface ControlApi {
  status(): Promise<StatusReport>;
  /** Compares what is wanted on this host with what is there, makes it so, and tells. */
  reconcile(nothing: NoArgument): Promise<StatusReport>;
  /** Reads the proxy's rules again. */
  reload(nothing: NoArgument): Promise<ReloadReport>;
  /** Undoes what was made and ends the process. */
  stop(nothing: NoArgument): Promise<StopAnswer>;
}

/** Pure. @throws WeftError `BAD_ARGUMENT` */
export function readNoArgument(value: unknown): NoArgument {
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return {};
  throw new WeftError('this call takes {} and nothing in it', { code: 'BAD_ARGUMENT' });
}

const PROCESS_CALLS: ControlFace<ControlApi>['calls'] = {
  status: { method: 'GET', path: '/v1/status' },
  reconcile: { method: 'POST', path: '/v1/reconcile', readArgument: readNoArgument },
  reload: { method: 'POST', path: '/v1/reload', readArgument: readNoArgument },
  stop: { method: 'POST', path: '/v1/stop', readArgument: readNoArgument },
};

/** Everything that `weft up` answers on its socket. */
export type WeftApi = ControlApi & ObserveApi & ActionApi & WebApi;

export const WEFT_FACE: ControlFace<WeftApi> & { readonly stream: ControlStream } = {
  file: 'control',
  name: 'the running Weft',
  absent: 'Weft is not running here',
  startHint: 'start it with "weft up"',
  askCommand: 'weft status',
  calls: {
    ...PROCESS_CALLS,
    ...OBSERVE_CALLS,
    ...ACTION_CALLS,
    ...WEB_CALLS,
  },
  stream: { path: '/v1/events', kinds: EVENT_LINE_KINDS },
};

/** Of one that cannot look at its host's connections: a Mac's. */
export const UNOBSERVED_WEFT_FACE: ControlFace<ControlApi> = {
  file: WEFT_FACE.file,
  name: WEFT_FACE.name,
  absent: WEFT_FACE.absent,
  startHint: WEFT_FACE.startHint,
  askCommand: WEFT_FACE.askCommand,
  calls: PROCESS_CALLS,
};
