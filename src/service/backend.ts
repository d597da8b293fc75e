/**
 * What carries a Weft's multipath connections: this host's own kernel (`native`, native-backend.ts), or a small virtual
 * machine whose kernel speaks MPTCP where this one does not (`appliance`). WeftService starts one of them and does not
 * know which.
 *
 * Invariant of every backend: `start` leaves all of it running or nothing; what it makes on the host is recorded before
 * it is made, and `stop`, like the next `start` after a crash, removes exactly that.
 */
import type { ApplianceReport, BackendKind, StatusReport } from './control-api.ts';
import type { HostControl } from './observe/host-control.ts';

/** What a backend tells of itself; the parts of a StatusReport that are its own. */
export interface BackendStatus extends Pick<
  StatusReport,
  'mode' | 'reason' | 'paths' | 'ignoredLinks' | 'endpoints' | 'limits' | 'limitsMaximum' | 'actions'
> {
  readonly appliance?: ApplianceReport;
  /**
   * What the Weft inside the appliance says of itself, at most some seconds old: its kernel has the connections, so
   * whether multipath is in use is its answer.
   */
  readonly guest?: StatusReport;
}

/** The proxy that connections with the way `multipath` go through, by CONNECT. */
export interface BackendProxy {
  readonly address: string;
  readonly port: number;
}

export interface Backend {
  readonly kind: BackendKind;
  /** Absent: this host's own MPTCP sockets are used. Known when `start` has resolved. */
  readonly proxy: BackendProxy | undefined;
  /** Resolves when connections can use it. @throws WeftError; nothing is left then */
  start(): Promise<void>;
  /**
   * Looks at the host once, with a full comparison of what is wanted with what is there, and resolves when what was
   * missing is made. It does so by itself after every change of the host; this is for who wants to wait for it.
   */
  reconcile(): Promise<void>;
  status(): BackendStatus;
  /** How a user changes endpoints, limits and paths. */
  readonly control: HostControl;
  /** Removes what it made. May be called again, and without a start. @throws WeftError when something stays */
  stop(): Promise<void>;
}
