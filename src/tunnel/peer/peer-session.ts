/**
 * What two ends of a path say to each other in keepalives (pure; time, random numbers and the hash are given). One a
 * path; the engine gives it each keepalive that arrives and sends what it writes.
 *
 * With an original peer it is silent: the original's keepalive with Weft's mark, the original's timers, no measures.
 *
 * When to send: at each `PathState.pollKeepalive`, and at each wish of `poll`. `nextMs` says when to poll again.
 */
import { emitKeepalive } from '../wire/keepalive.ts';
import type { PathTimers, PathWord } from '../paths/path-state.ts';
import { emitMark } from './mark.ts';
import type {
  KeepaliveFacts,
  PeerAddress,
  PeerCounters,
  PeerNews,
  PeerSessionOptions,
  SendingFacts,
  SendingWish,
} from './types.ts';

/** Room that `emitKeepalive` needs; `emitProbe` needs as much as the link's MTU. */
export const KEEPALIVE_ROOM_BYTES = 256;

const NO_NEWS: PeerNews = {
  isHeard: false,
  isRestarted: false,
  hasNewTimers: false,
  hasNewMeasures: false,
  hasNewMtu: false,
  hasNewObservedAddress: false,
};
const NO_BYTES = new Uint8Array(0);

export class PeerSession {
  readonly #options: PeerSessionOptions;
  #counters = {
    sent: 0,
    received: 0,
    probesSent: 0,
    strangers: 0,
    malformed: 0,
    notAuthentic: 0,
    late: 0,
    restarts: 0,
  };

  constructor(options: PeerSessionOptions, _nowMs: number) {
    this.#options = options;
  }

  /** Whether the peer speaks as Weft, authentically where there is a key. */
  get isWeft(): boolean {
    return false;
  }

  /** What `PathState` is to use. Shorter than the configured ones where both ends agree. */
  get timers(): PathTimers {
    return this.#options.timers;
  }

  /** Smoothed round trip; absent while unknown. */
  get rttUs(): number | undefined {
    return undefined;
  }

  /** Of what arrives, as RFC 3550 section 6.4.1; absent while unknown. */
  get jitterUs(): number | undefined {
    return undefined;
  }

  /** Part of what we send here that is lost, 0 to 1; absent while unknown. */
  get lossRatio(): number | undefined {
    return undefined;
  }

  /** Part of what the peer sends here that is lost. */
  get incomingLossRatio(): number | undefined {
    return undefined;
  }

  /** UDP payload of data that arrived at the peer, over the last half second or so; absent while unknown. */
  get deliveredBps(): number | undefined {
    return undefined;
  }

  /** What the path can carry towards the peer; absent while unknown. */
  get capacityBps(): number | undefined {
    return undefined;
  }

  /** Largest UDP payload that goes through, GRE header included. */
  get datagramBytesMax(): number {
    return this.#options.linkMtu - (this.#options.pathIpVersion === 4 ? 28 : 48);
  }

  /** Where the peer sees us: our public address and port. */
  get observedAddress(): PeerAddress | undefined {
    return undefined;
  }

  get counters(): PeerCounters {
    return this.#counters;
  }

  /** When `poll` may have a wish; Infinity for never. */
  get nextMs(): number {
    return Infinity;
  }

  handleKeepalive(arrival: KeepaliveFacts, _nowMs: number): PeerNews {
    if (!arrival.isFromPeer) return { ...NO_NEWS, defect: 'stranger' };
    this.#counters.received++;
    return { ...NO_NEWS, isHeard: true };
  }

  /** Says a word of `PathState.pollWord` in the keepalives from now on; `news.deliveredWord` is the answer. */
  say(_word: PathWord): void {}

  /** What is to be sent now beside the keepalives of `PathState`. Called until it has no more wish. */
  poll(_nowMs: number): SendingWish | undefined {
    return undefined;
  }

  /**
   * Writes a keepalive at the start of `out` (`KEEPALIVE_ROOM_BYTES`) and returns its length. `to`: where it goes to,
   * for `news.answerTo`; absent: the path's peer.
   */
  emitKeepalive(out: Uint8Array, _facts: SendingFacts, _nowUs: number, _to?: PeerAddress): number {
    const { ipVersion, ipLocal, ipRemote } = this.#options;
    const length = emitKeepalive(out, 0, { ipVersion, ipLocal, ipRemote, extension: NO_BYTES });
    emitMark(out, 0);
    this.#counters.sent++;
    return length;
  }

  /** Writes the probe that `poll` wishes and returns its length, up to the link's MTU. It must not be fragmented. */
  emitProbe(_out: Uint8Array, _facts: SendingFacts, _nowUs: number): number {
    return 0;
  }

  /** The kernel refused a datagram of this length, probe or data (EMSGSIZE). Whether `datagramBytesMax` changed. */
  handleTooLong(_bytes: number, _nowMs: number): boolean {
    return false;
  }

  /** The link has another MTU. Whether `datagramBytesMax` changed. */
  setLinkMtu(_mtu: number, _nowMs: number): boolean {
    return false;
  }

  /** The configured timers changed. */
  setTimers(_timers: PathTimers): void {}
}
