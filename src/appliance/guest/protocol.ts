/**
 * What host and guest say to each other over the virtio-serial port: JSON objects, one a line, both ways (pure types
 * and numbers; the reading of lines is agent-lines.ts). There is no login, because only the host has the other end.
 *
 * Invariants: the host asks and the guest answers each question exactly once, with its `id`; what the guest says of
 * its own accord has `event` instead. Fields are only ever added within one `PROTOCOL_VERSION`, and unknown ones are
 * ignored. All addresses are texts, MAC addresses lower case with colons.
 *
 *   QEMU: -device virtio-serial-pci -chardev socket,id=agent,path=…,server=on,wait=off
 *         -device virtserialport,chardev=agent,name=weft.agent.0
 */

export const PROTOCOL_VERSION = 1;

/** Name of the virtio-serial port, by which the guest finds it. */
export const AGENT_PORT_NAME = 'weft.agent.0';

/** BOUNDED: a line, its end included, in either direction. What is longer ends the conversation. */
export const LINE_MAX_BYTES = 1 << 20;

/** The port of the guest's proxy unless the host says another. */
export const GUEST_PROXY_PORT = 13_128;

/** One virtio NIC of the guest, as it is to be. */
export interface GuestLink {
  /** Which NIC. It may be plugged in a little later than this is asked. */
  readonly mac: string;
  /** `host`: the link that only the host has; the proxy listens on it. `uplink`: a way out. */
  readonly role: 'host' | 'uplink';
  /** With prefix length, `10.0.7.2/30`, `fd00:7::2/64`. */
  readonly addresses: readonly string[];
  /** At most one of each family; each becomes a default route. A link with role `host` has none. */
  readonly gateways: readonly string[];
  readonly mtuBytes?: number;
  /** Of the default routes; lower is preferred. Default 100. */
  readonly metric?: number;
  /** Carries data only when no other works. */
  readonly backup?: boolean;
  /** The host's name for it, for texts. */
  readonly label?: string;
}

export interface GuestProxy {
  /** An address of the link with role `host`. */
  readonly address: string;
  /** Default GUEST_PROXY_PORT. */
  readonly port?: number;
  /** `false`: plain TCP to servers. Default true. */
  readonly multipath?: boolean;
}

/** What the host asks. */
export type HostRequest =
  /** Answered with GuestHello. */
  | { readonly id: number; readonly do: 'hello' }
  /** Makes the NIC so, also when it was otherwise before. Answered with GuestLinkReport, at the latest after `waitMs`. */
  | { readonly id: number; readonly do: 'link'; readonly link: GuestLink; readonly waitMs?: number }
  /** Forgets the NIC; before or after it was unplugged. Answered with `{}`, also when it is not known. */
  | { readonly id: number; readonly do: 'unlink'; readonly mac: string }
  /** Starts the proxy; again with the same words: nothing, with others: another instead. Answered with GuestProxyReport. */
  | { readonly id: number; readonly do: 'proxy'; readonly proxy: GuestProxy }
  /** Answered with GuestStatus. */
  | { readonly id: number; readonly do: 'status' }
  /** Answered with `{}`; then everything ends and the guest powers off. */
  | { readonly id: number; readonly do: 'stop' };

export type HostRequestName = HostRequest['do'];

export type GuestAnswer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly error: GuestFailure };

export interface GuestFailure {
  /** Such as `NO_LINK`, `BAD_REQUEST`, `EADDRINUSE`. */
  readonly code: string;
  /** One line, for people. */
  readonly message: string;
}

export interface GuestHello {
  readonly protocol: number;
  /** Weft in the guest. */
  readonly version: string;
  /** Release of its kernel. */
  readonly kernel: string;
  /** Version of Node. */
  readonly node: string;
  /** MPTCP sockets can be opened and net.mptcp.enabled is on. */
  readonly mptcp: boolean;
  /** Why not. */
  readonly mptcpProblem?: string;
  /** Since the kernel started. */
  readonly uptimeMs: number;
  /** MAC addresses of the NICs that are plugged in. */
  readonly macs: readonly string[];
}

export interface GuestLinkReport {
  readonly mac: string;
  /** The guest's own name for it, `eth1`. */
  readonly name: string;
  readonly label?: string;
  readonly role: 'host' | 'uplink';
  readonly addresses: readonly string[];
  /** Has carrier and is up. */
  readonly up: boolean;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface GuestProxyReport {
  /** As a client names it, `10.0.7.2:13128`. */
  readonly addresses: readonly string[];
}

export interface GuestStatus {
  readonly uptimeMs: number;
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  readonly links: readonly GuestLinkReport[];
  /** Asked for and not plugged in. */
  readonly missingMacs: readonly string[];
  /**
   * What `weft status --json` would say in the guest: a StatusReport of service/control-api.ts, which this layer does
   * not know. Absent before `proxy`.
   */
  readonly report?: unknown;
}

/** What each question is answered with. */
export interface GuestResults {
  readonly hello: GuestHello;
  readonly link: GuestLinkReport;
  readonly unlink: Readonly<Record<string, never>>;
  readonly proxy: GuestProxyReport;
  readonly status: GuestStatus;
  readonly stop: Readonly<Record<string, never>>;
}

/** What the guest says of its own accord. */
export type GuestEvent =
  /** First, and whenever the host's end was opened anew. */
  | { readonly event: 'hello'; readonly hello: GuestHello }
  /** Paths, endpoints or mode changed: ask for `status`. */
  | { readonly event: 'changed' }
  | { readonly event: 'log'; readonly level: GuestLogLevel; readonly text: string }
  /** It cannot go on and powers off; the text says why. */
  | { readonly event: 'failed'; readonly text: string };

export type GuestLogLevel = 'debug' | 'info' | 'warn' | 'error';

export type GuestMessage = GuestAnswer | GuestEvent;
