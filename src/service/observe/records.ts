/**
 * What is remembered of each connection and subflow from one look to the next: plain mutable data, written by
 * connection-table.ts and silence.ts only. Addresses are unmapped (`::ffff:10.0.0.1` is `10.0.0.1`).
 */
import type { ConnectionOwner } from './model.ts';

/** Why nothing seems to come through a subflow, and since when (silence.ts). */
export interface Silence {
  readonly sinceMs: number;
  /** `unanswered`: what it sends; `missing` and `silent`: it carried data and fell silent; `join`: its beginning. */
  readonly sign: 'unanswered' | 'missing' | 'silent' | 'join';
  /** Beyond doubt: it is remembered of the path when the subflow is gone. */
  readonly sure: boolean;
  readonly why: string;
}

/** Bytes and segments, counted from the beginning of what they are of. */
export interface Counted {
  sentBytes: number;
  receivedBytes: number;
}

/** One TCP socket. */
export class SubflowRecord implements Counted {
  /** The kernel's cookie of the socket; negative for one in the appliance. */
  readonly key: number;
  /** 0: a plain TCP connection. */
  readonly token: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bound to this link; 0 when not. */
  linkIndex = 0;
  initial = true;
  congestionControl: string | undefined;

  /** The number of the look that saw it last. */
  seen = 0;
  state = 0;
  backup = false;
  sentBytes = 0;
  receivedBytes = 0;
  retransmittedSegments = 0;
  sentSegments = 0;
  unackedSegments = 0;
  timeoutsInRow = 0;
  dataAgoMs = Infinity;
  ackAgoMs = Infinity;
  rttUs: number | undefined;
  receiveRttUs: number | undefined;
  rttVariationUs = 0;
  windowSegments = 0;

  /** Since the look before. */
  sentNew = 0;
  receivedNew = 0;
  retransmittedNew = 0;
  segmentsNew = 0;

  /** At the beginning of the window that rates are of. */
  sentBase = 0;
  receivedBase = 0;
  sentBitsPerSecond = 0;
  receivedBitsPerSecond = 0;

  connection: ConnectionRecord | undefined;
  /** `PathReading.id` */
  path: string | undefined;
  link: string | undefined;

  /** Bytes that came lately, fading; as it was when the last of them came. */
  lately = 0;
  /** What its connection's others received while this one did too, bytes a millisecond; as it was when this one did last. */
  othersPace = 0;
  /** What they have received since, and for how long this one has received nothing. */
  othersSince = 0;
  quietMs = 0;
  /** What its connection had delivered in order at the last look. */
  deliveredLast = 0;
  /** What the others received, since this one has received nothing, and what could not be delivered; whether that was much. */
  waitingBytes = 0;
  isMissed = false;
  silence: Silence | undefined;

  constructor(key: number, token: number, ends: Ends) {
    this.key = key;
    this.token = token;
    this.localAddress = ends.localAddress;
    this.localPort = ends.localPort;
    this.remoteAddress = ends.remoteAddress;
    this.remotePort = ends.remotePort;
  }

  /** Since anything came that only the other end can have sent. */
  get heardAgoMs(): number {
    return Math.min(this.dataAgoMs, this.ackAgoMs);
  }
}

export interface Ends {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** One row of the list: an MPTCP connection, or a plain TCP one of the proxy. */
export class ConnectionRecord implements Counted {
  readonly key: number;
  readonly id: string;
  /** 0: none. */
  readonly token: number;
  readonly firstSeenMs: number;
  localAddress = '';
  localPort = 0;
  remoteAddress = '';
  remotePort = 0;
  uid: number | undefined;
  inode = 0;

  seen = 0;
  state = '';
  protocol: 'mptcp' | 'tcp' = 'mptcp';
  /** In the kernel's words; what the proxy says is in `proxied`. */
  fellBack = false;
  sentBytes = 0;
  receivedBytes = 0;
  subflowsMax: number | undefined;
  addressesAnnounced: number | undefined;
  addressesAccepted: number | undefined;
  addressesAcceptedMax: number | undefined;
  /** Whether `sentBytes` and `receivedBytes` are the kernel's own, not sums of the subflows. */
  hasOwnBytes = false;

  sentBase = 0;
  receivedBase = 0;
  sentBitsPerSecond = 0;
  receivedBitsPerSecond = 0;

  /** BOUNDED: by the kernel, 8 beside the first (and those that are closing). */
  readonly subflows: SubflowRecord[] = [];
  /** Of subflows that are gone. */
  retransmittedBefore = 0;

  owner: ConnectionOwner = 'program';
  program: string | undefined;
  pid: number | undefined;
  target: string | undefined;
  client: string | undefined;
  fallbackReason: string | undefined;
  openedAtMs: number | undefined;

  constructor(key: number, id: string, token: number, firstSeenMs: number) {
    this.key = key;
    this.id = id;
    this.token = token;
    this.firstSeenMs = firstSeenMs;
  }

  get retransmittedSegments(): number {
    let sum = this.retransmittedBefore;
    for (const subflow of this.subflows) sum += subflow.retransmittedSegments;
    return sum;
  }
}
