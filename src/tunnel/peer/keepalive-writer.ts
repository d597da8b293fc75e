/**
 * Writes the keepalives of a session: the original's 44 bytes with the mark, and behind them the extension with all
 * that the parts of the session have to say (pure).
 *
 * Invariant: each extension has a number of its own, rising from 1, and is sealed where there is a key.
 */
import { emitKeepalive, KEEPALIVE_BYTES } from '../wire/keepalive.ts';
import type { AgreedTimers } from './agreed-timers.ts';
import type { Addressee, Handshake } from './handshake.ts';
import { emitMark } from './mark.ts';
import type { PathMeter } from './path-meter.ts';
import { emitExtension, sealExtension, type Echo, type Extension } from './peer-extension.ts';
import type { Rebinding } from './rebinding.ts';
import type { HmacSha256, PeerSessionOptions, SendingFacts } from './types.ts';
import type { Words } from './words.ts';

/** The parts of a session that a keepalive speaks of. */
export interface SessionParts {
  readonly handshake: Handshake;
  readonly meter: PathMeter;
  readonly timers: AgreedTimers;
  readonly words: Words;
  readonly place: Rebinding;
}

/** What has arrived from the peer, in the order of the field that it goes into. */
export interface ArrivedFacts {
  /** Before the keepalive that is echoed. */
  readonly packets: number;
  readonly bytes: number;
  /** Number of the last probe. */
  readonly probe: number;
}

const U32 = 2 ** 32;
const U48 = 2 ** 48;
const NO_BYTES = new Uint8Array(0);

export class KeepaliveWriter {
  readonly #options: PeerSessionOptions;
  readonly #parts: SessionParts;
  readonly #hmac: HmacSha256;
  readonly #tagKey: Uint8Array | undefined;
  #number = 0;
  /** Keepalives with extension that are no probes. */
  #plainSent = 0;

  constructor(options: PeerSessionOptions, parts: SessionParts, tagKey: Uint8Array | undefined) {
    this.#options = options;
    this.#parts = parts;
    this.#hmac = options.hmac;
    this.#tagKey = tagKey;
  }

  /** Number of the last extension. */
  get number(): number {
    return this.#number;
  }

  /** The original's keepalive with the mark, at the start of `out`. @returns 44 */
  emitMarked(out: Uint8Array): number {
    const { ipVersion, ipLocal, ipRemote } = this.#options;
    emitKeepalive(out, 0, { ipVersion, ipLocal, ipRemote, extension: NO_BYTES });
    emitMark(out, 0);
    return KEEPALIVE_BYTES;
  }

  /** @param isAnswer to a session that does not count, if there is one. @returns its length */
  emitExtended(
    out: Uint8Array,
    sent: SendingFacts,
    arrived: ArrivedFacts,
    nowUs: number,
    isAnswer: boolean,
  ): number {
    this.emitMarked(out);
    const extension = this.#compose(sent, arrived, nowUs, isAnswer, false);
    const length = emitExtension(out, extension, this.#tagKey !== undefined);
    this.#plainSent++;
    this.#seal(out.subarray(0, length));
    return length;
  }

  /** Padded to `size` bytes, unless that is less than a keepalive has. @returns its length */
  emitProbe(out: Uint8Array, sent: SendingFacts, arrived: ArrivedFacts, nowUs: number, size: number): number {
    this.emitMarked(out);
    const extension = this.#compose(sent, arrived, nowUs, false, true);
    const end = emitExtension(out, extension, this.#tagKey !== undefined);
    const length = Math.max(size, end);
    out.fill(0, end, length);
    this.#seal(out.subarray(0, length));
    return length;
  }

  #compose(
    sent: SendingFacts,
    arrived: ArrivedFacts,
    nowUs: number,
    isAnswer: boolean,
    isProbe: boolean,
  ): Extension {
    const { handshake, meter, place, timers, words } = this.#parts;
    const number = ++this.#number;
    const sentPackets = sent.sentPackets + this.#plainSent;
    meter.handleSent(number, nowUs, sentPackets, sent.sentBytes);
    const to = handshake.address(number, isAnswer);
    const echo = to === undefined ? undefined : echoFor(to, arrived, nowUs);
    return {
      isProbe,
      wantsShortIntervals: timers.wantsShort,
      senderSession: this.#options.sessionNumber,
      receiverSession: to?.session ?? 0,
      number,
      sentUs: nowUs % U32,
      sentPackets: sentPackets % U32,
      sentBytes: sent.sentBytes % U48,
      ...(echo !== undefined && { echo }),
      probeArrived: arrived.probe,
      intervalMs: isProbe ? timers.announced : timers.announce(),
      ...words.fields,
      observed: place.seenAt,
    };
  }

  #seal(datagram: Uint8Array): void {
    if (this.#tagKey !== undefined) sealExtension(datagram, this.#tagKey, this.#hmac);
  }
}

function echoFor(to: Addressee, { packets, bytes }: ArrivedFacts, nowUs: number): Echo | undefined {
  const { number, arrivedUs, isTaken } = to;
  const heldUs = nowUs - arrivedUs;
  if (heldUs < 0 || heldUs >= U32) return undefined;
  if (!isTaken) return { number, heldUs };
  return { number, heldUs, counts: { receivedPackets: packets % U32, receivedBytes: bytes % U48 } };
}
