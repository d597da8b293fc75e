/**
 * What an observer is told by the process it runs in (types only): the paths that somebody keeps in order, and the
 * connections of the proxy. Everything else it reads from the kernel by itself.
 *
 * Invariant: the functions answer at once, with what is known; they are called at every look.
 */
import type { Logger } from '../../base/index.ts';
import type { Limits } from '../../mptcp/index.ts';
import type { ProxyConnection } from '../../proxy/index.ts';
import type {
  EndpointReport,
  IgnoredLink,
  LinkMapping,
  Mode,
  PathReport,
  StatusReport,
} from '../control-api.ts';
import type { Overview } from './model.ts';

/** The host as the supervisor, the daemon or a plain reading of the kernel knows it. */
export interface HostReading {
  readonly paths: readonly PathReport[];
  readonly ignoredLinks: readonly IgnoredLink[];
  /** Of all programs. */
  readonly endpoints: readonly EndpointReport[];
  /** Absent without MPTCP in the kernel. */
  readonly limits?: Limits;
  /** What the kernel takes at most for a limit, where that is known. */
  readonly limitsMaximum?: number;
  readonly mode?: Mode;
  /** Why this mode, in words. */
  readonly reason?: string;
  /** Whole sentences: in use or not, and why not. */
  readonly explanation: readonly string[];
  /** Whether this process may change endpoints, limits and paths (CAP_NET_ADMIN). */
  readonly mayChange: boolean;
}

export interface ObserverSources {
  readonly program: Overview['program'];
  /** The package's. */
  readonly version: string;
  host(): HostReading;
  /** The proxy's connections; none where there is no proxy. */
  proxied(): readonly ProxyConnection[];
  /** As a client would name them. */
  proxyAddresses(): readonly string[];
  /** What the Weft inside the appliance says, whose kernel has the connections. */
  guest?(): StatusReport | undefined;
  /** Which link of the host each of the guest's links is. */
  guestLinks?(): readonly LinkMapping[];
  /** Links, addresses or routes have changed: what is remembered of them is old. */
  handleChange?(): void;
  /** Lets go of what it holds open. */
  close?(): void;
}

export interface ObserverOptions {
  readonly sources: ObserverSources;
  readonly logger: Logger;
  /** File of the network namespace to look at; default is this process's own. */
  readonly netns?: string;
}
