/**
 * Two ends and the path between them in virtual time, for the unit tests of src/tunnel/peer: sessions
 * with the state machine that the engine has beside them, data that is counted, and a path with delay, loss and MTU.
 */
import { nodeHmacSha256 } from '../../src/tunnel/control/node-crypto.ts';
import { PathStatus } from '../../src/tunnel/control/path-status.ts';
import { PathState, type PathTimers } from '../../src/tunnel/paths/path-state.ts';
import { PeerSession } from '../../src/tunnel/peer/peer-session.ts';
import type { KeepaliveFacts, PeerAddress, PeerNews } from '../../src/tunnel/peer/types.ts';

export const mapped = (last: number): Uint8Array =>
  Uint8Array.from([...Array.from<number>({ length: 10 }).fill(0), 0xff, 0xff, 10, 0, 0, last]);

export type Side = 0 | 1;

export interface EndOptions {
  readonly key?: Uint8Array;
  readonly timers?: PathTimers;
  readonly sessionNumber?: number;
  readonly linkMtu?: number;
}

interface Flying {
  readonly atUs: number;
  readonly to: Side;
  readonly datagram?: Uint8Array;
  /** Data packets instead. */
  readonly data?: number;
  readonly from: PeerAddress;
}

const PACKET_BYTES = 1000;
const SCRATCH = new Uint8Array(65_536);

export class VirtualEnd {
  readonly side: Side;
  readonly state: PathState;
  readonly session: PeerSession;
  readonly news: PeerNews[] = [];
  appliedTimers: PathTimers;
  sentPackets = 0;
  receivedPackets = 0;
  /** What the world sees of it. */
  at: PeerAddress;
  remote: PeerAddress;

  constructor(side: Side, options: EndOptions, nowMs: number) {
    this.side = side;
    const timers = options.timers ?? { keepaliveMs: 1000, deadMs: 3000 };
    this.appliedTimers = timers;
    this.at = { address: mapped(101 + side), port: 4000 };
    this.remote = { address: mapped(102 - side), port: 4000 };
    this.state = new PathState(PathStatus.ok, timers, nowMs);
    this.session = new PeerSession(
      {
        ipVersion: 4,
        ipLocal: mapped(1 + side),
        ipRemote: mapped(2 - side),
        pathIpVersion: 4,
        linkMtu: options.linkMtu ?? 1500,
        remote: this.remote,
        ...(options.key !== undefined && { key: options.key }),
        hmac: nodeHmacSha256,
        sessionNumber: options.sessionNumber ?? 1000 + side,
        timers,
      },
      nowMs,
    );
  }

  /** Merged news of all keepalives so far. */
  get merged(): Partial<PeerNews> {
    return Object.assign({}, ...this.news) as Partial<PeerNews>;
  }
}

export class VirtualPath {
  readonly ends: [VirtualEnd, VirtualEnd];
  /** µs that each side's datagrams take. */
  readonly delayUs: [number, number] = [10_000, 10_000];
  /** Whether what a side sends gets lost. */
  readonly drops: [(bytes: number) => boolean, (bytes: number) => boolean] = [() => false, () => false];
  /** Data packets that a side sends each millisecond while its path is usable. */
  readonly load: [number, number] = [0, 0];
  /** Everything that went over the path. UNBOUNDED: for the length of a test. */
  readonly seen: { readonly from: Side; readonly datagram: Uint8Array }[] = [];
  nowMs = 1000;
  #flying: Flying[] = [];

  constructor(a: EndOptions = {}, b: EndOptions = {}) {
    this.ends = [new VirtualEnd(0, a, this.nowMs), new VirtualEnd(1, b, this.nowMs)];
  }

  /** One end's process is started anew. */
  restart(side: Side, options: EndOptions): void {
    this.ends[side] = new VirtualEnd(side, options, this.nowMs);
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (; this.nowMs < endMs; this.nowMs++) {
      this.#deliver();
      for (const end of this.ends) this.#tick(end);
    }
  }

  runUntil(condition: () => boolean, limitMs: number): boolean {
    for (const endMs = this.nowMs + limitMs; this.nowMs < endMs && !condition();) this.run(1);
    return condition();
  }

  /** A datagram comes out of nowhere. */
  inject(to: Side, datagram: Uint8Array, from: PeerAddress): PeerNews {
    return this.#handle(this.ends[to], datagram, from);
  }

  #tick(end: VirtualEnd): void {
    const { state, session } = end;
    state.handleTime(this.nowMs);
    if (state.pollKeepalive(this.nowMs)) this.#sendKeepalive(end);
    const word = state.pollWord(this.nowMs);
    if (word !== undefined) session.say(word);
    for (let wish = session.poll(this.nowMs); wish !== undefined; wish = session.poll(this.nowMs)) {
      if (wish === 'keepalive') this.#sendKeepalive(end);
      else this.#send(end, (out) => session.emitProbe(out, this.#facts(end), this.nowMs * 1000));
    }
    const packets = state.isUsable ? this.load[end.side] : 0;
    if (packets === 0) return;
    end.sentPackets += packets;
    const isLost = this.drops[end.side](PACKET_BYTES);
    if (isLost || !isSame(end.remote, this.#other(end).at)) return;
    this.#fly(end, { data: packets });
  }

  #sendKeepalive(end: VirtualEnd, to?: PeerAddress): void {
    const { session } = end;
    const emit = (out: Uint8Array) => session.emitKeepalive(out, this.#facts(end), this.nowMs * 1000, to);
    this.#send(end, emit, to);
    this.#applyTimers(end);
  }

  #send(end: VirtualEnd, emit: (out: Uint8Array) => number, to: PeerAddress = end.remote): void {
    const datagram = SCRATCH.slice(0, emit(SCRATCH));
    this.seen.push({ from: end.side, datagram });
    if (this.drops[end.side](datagram.length) || !isSame(to, this.#other(end).at)) return;
    this.#fly(end, { datagram });
  }

  #fly(end: VirtualEnd, what: { datagram: Uint8Array } | { data: number }): void {
    const atUs = this.nowMs * 1000 + this.delayUs[end.side];
    this.#flying.push({ atUs, to: end.side === 0 ? 1 : 0, from: end.at, ...what });
  }

  #deliver(): void {
    const due = this.#flying.filter(({ atUs }) => atUs <= this.nowMs * 1000);
    if (due.length === 0) return;
    this.#flying = this.#flying.filter(({ atUs }) => atUs > this.nowMs * 1000);
    for (const { to, datagram, data, from } of due.toSorted((a, b) => a.atUs - b.atUs)) {
      const end = this.ends[to];
      if (data !== undefined) {
        end.receivedPackets += data;
        end.state.handleData(this.nowMs);
      } else if (datagram !== undefined) this.#handle(end, datagram, from);
    }
  }

  #handle(end: VirtualEnd, datagram: Uint8Array, from: PeerAddress): PeerNews {
    const { session, state } = end;
    const arrival: KeepaliveFacts = {
      datagram,
      fromAddress: from.address,
      fromPort: from.port,
      isFromPeer: isSame({ ...from, port: 0 }, { ...end.remote, port: 0 }),
      arrivedUs: this.nowMs * 1000,
      receivedPackets: end.receivedPackets,
      receivedBytes: end.receivedPackets * PACKET_BYTES,
    };
    const news = session.handleKeepalive(arrival, this.nowMs);
    end.news.push(news);
    if (news.peer !== undefined) state.handlePeer(news.peer === 'weft');
    if (news.isRestarted) state.handlePeer(true);
    if (news.isHeard) state.handleHeard(this.nowMs);
    if (news.word !== undefined) state.handleWord(news.word, this.nowMs);
    if (news.deliveredWord !== undefined) state.wordDelivered(news.deliveredWord);
    this.#applyTimers(end);
    if (news.moved !== undefined) end.remote = news.moved;
    if (news.answerTo !== undefined) this.#sendKeepalive(end, news.answerTo);
    return news;
  }

  #applyTimers(end: VirtualEnd): void {
    const { timers } = end.session;
    if (timers === end.appliedTimers) return;
    end.appliedTimers = timers;
    end.state.setTimers(timers, this.nowMs);
  }

  #facts(end: VirtualEnd): { sentPackets: number; sentBytes: number } {
    return { sentPackets: end.sentPackets, sentBytes: end.sentPackets * PACKET_BYTES };
  }

  #other(end: VirtualEnd): VirtualEnd {
    return this.ends[end.side === 0 ? 1 : 0];
  }
}

function isSame(a: PeerAddress, b: PeerAddress): boolean {
  return a.port === b.port && a.address.every((byte, index) => byte === b.address[index]);
}
