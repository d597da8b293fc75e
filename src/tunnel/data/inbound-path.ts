/**
 * A path as the inbound thread sees it: its socket, its peer's address, its counters, and how many keepalives it may
 * still pass on. Nothing is allocated per packet.
 */
import { AF_INET, AF_INET6 } from '../../base/index.ts';
import { SENDER_SESSION_END, SENDER_SESSION_OFFSET } from '../peer/peer-extension.ts';
import type { PacketMemory } from './packet-memory.ts';
import {
  InboundPathCounter,
  pathField,
  type DataPathDescription,
  type KeepaliveArrival,
} from './protocol.ts';

/**
 * BOUNDED: keepalives a second that are passed on; probes of MTU are among them. Those with the number of the session
 * that counts are counted apart, wherever they come from: who cannot see them does not know it, and so cannot use up what
 * is the peer's, neither in its name nor while it moves.
 */
const KEEPALIVES_MAX = 250;
const OTHER_KEEPALIVES_MAX = 100;
const STRANGE_KEEPALIVES_MAX = 10;
const SECOND_MS = 1000;
const U32 = 2 ** 32;

const MAPPED_PREFIX = [0, 0, 0xffff_0000] as const;

/** Offsets in sockaddr_in and sockaddr_in6 (native/sockaddr.ts). */
const AT_PORT = 2;
const AT_V4 = 4;
const AT_V6 = 8;

export class InboundPath {
  readonly fd: number;
  readonly index: number;
  /** Key in the epoll loop. */
  readonly key: number;
  readonly #counters: Float64Array;
  readonly #base: number;
  readonly #isMapped: boolean;
  /** Peer's address as four words of the machine's order, 16 bytes. */
  readonly #peer: Int32Array;
  /** The loop found something to read. */
  isReady = false;
  /** The peer's session that counts, as it stands in keepalives; NaN: none yet. */
  readonly #sessionHigh: number;
  readonly #sessionLow: number;
  #secondEndsMs = 0;
  #left = 0;
  #otherLeft = 0;
  #strangeLeft = 0;

  constructor(description: DataPathDescription, index: number, key: number, counters: Float64Array) {
    this.fd = description.fd;
    this.index = index;
    this.key = key;
    this.#counters = counters;
    this.#base = pathField(index, 0);
    this.#peer = new Int32Array(description.remoteAddress.slice(0, 16).buffer);
    const { peerSession = Number.NaN } = description;
    this.#sessionHigh = Math.floor(peerSession / U32);
    this.#sessionLow = peerSession % U32;
    this.#isMapped = MAPPED_PREFIX.every((word, i) => this.#peer[i] === (word | 0));
  }

  /** Whether the sockaddr at `at` has the peer's address. */
  isPeer(memory: PacketMemory, at: number): boolean {
    const { view } = memory;
    const family = view.getUint16(at, true);
    const peer = this.#peer;
    if (family === AF_INET) return this.#isMapped && view.getInt32(at + AT_V4, true) === peer[3];
    return (
      family === AF_INET6 &&
      view.getInt32(at + AT_V6 + 12, true) === peer[3] &&
      view.getInt32(at + AT_V6 + 8, true) === peer[2] &&
      view.getInt32(at + AT_V6 + 4, true) === peer[1] &&
      view.getInt32(at + AT_V6, true) === peer[0]
    );
  }

  count(field: number, by: number): void {
    this.#counters[this.#base + field]! += by;
  }

  countData(packets: number, bytes: number, nowMs: number): void {
    const { packets: atPackets, bytes: atBytes, lastDataMs } = InboundPathCounter;
    this.#counters[this.#base + atPackets]! += packets;
    this.#counters[this.#base + atBytes]! += bytes;
    this.#counters[this.#base + lastDataMs] = nowMs;
  }

  /** Whether it brought data then or later. */
  isHeardSince(timeMs: number): boolean {
    return this.#counters[this.#base + InboundPathCounter.lastDataMs]! >= timeMs;
  }

  /** Whether the keepalive of `lengthBytes` at `at` may be passed on; if not it is counted. */
  mayPass(
    memory: PacketMemory,
    at: number,
    lengthBytes: number,
    isFromPeer: boolean,
    nowMs: number,
  ): boolean {
    if (nowMs >= this.#secondEndsMs) {
      this.#secondEndsMs = nowMs + SECOND_MS;
      this.#left = KEEPALIVES_MAX;
      this.#otherLeft = OTHER_KEEPALIVES_MAX;
      this.#strangeLeft = STRANGE_KEEPALIVES_MAX;
    }
    if (this.#isOfSession(memory, at, lengthBytes)) {
      if (this.#left-- > 0) return true;
    } else if (isFromPeer ? this.#otherLeft-- > 0 : this.#strangeLeft-- > 0) return true;
    this.count(InboundPathCounter.keepalivesDropped, 1);
    return false;
  }

  #isOfSession({ view }: PacketMemory, at: number, lengthBytes: number): boolean {
    return (
      lengthBytes >= SENDER_SESSION_END &&
      view.getUint16(at + SENDER_SESSION_OFFSET) === this.#sessionHigh &&
      view.getUint32(at + SENDER_SESSION_OFFSET + 2) === this.#sessionLow
    );
  }

  /** The message about a keepalive; `senderAt`: offset of its sender's sockaddr. */
  describeKeepalive(
    memory: PacketMemory,
    at: number,
    lengthBytes: number,
    senderAt: number,
    isFromPeer: boolean,
  ): Omit<KeepaliveArrival, 'id' | 'arrivedUs'> {
    const { bytes, view } = memory;
    const fromAddress = new Uint8Array(16);
    if (view.getUint16(senderAt, true) === AF_INET) {
      fromAddress.fill(0xff, 10, 12);
      fromAddress.set(bytes.subarray(senderAt + AT_V4, senderAt + AT_V4 + 4), 12);
    } else fromAddress.set(bytes.subarray(senderAt + AT_V6, senderAt + AT_V6 + 16));
    return {
      kind: 'keepalive',
      path: this.index,
      datagram: new Uint8Array(bytes.subarray(at, at + lengthBytes)),
      fromAddress,
      fromPort: view.getUint16(senderAt + AT_PORT),
      isFromPeer,
      receivedPackets: this.#counters[this.#base + InboundPathCounter.packets]!,
      receivedBytes: this.#counters[this.#base + InboundPathCounter.bytes]!,
    };
  }
}
