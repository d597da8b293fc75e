/**
 * What two ends of a path say to each other in keepalives (pure; time, random numbers and the hash are given). One a
 * path; the engine gives it each keepalive that arrives and sends what it writes.
 *
 *   handshake.ts      which of the peer's sessions counts          peer-extension.ts    the bytes
 *   path-meter.ts     round trip, jitter, loss, rate, capacity     mark.ts              how Weft knows Weft
 *   agreed-timers.ts  intervals and dead time                      mtu-search.ts        the largest datagram
 *   words.ts          up and down                                  rebinding.ts         where the peer is
 *                                                                  keepalive-writer.ts  what goes out
 *
 * With an original peer it is silent: the original's keepalive with Weft's mark, the original's timers, no measures.
 *
 * When to send: at each `PathState.pollKeepalive`, and at each wish of `poll`. `nextMs` says when to poll again.
 *
 * Where there is a key, only what is authentic counts once the peer was known: neither a sign of life nor anything else
 * comes from a keepalive that somebody else wrote or repeats. A peer's new address is learned only there, and not with
 * the original's default key, which everybody knows.
 *
 * Invariant: nothing that a keepalive says changes anything but `counters` before the handshake has taken its session.
 */
import { DEFAULT_KEY_TEXT, equalBytes, keyOf } from '../control/authentication.ts';
import type { PathTimers, PathWord } from '../paths/path-state.ts';
import { parseKeepalive } from '../wire/keepalive.ts';
import { AgreedTimers } from './agreed-timers.ts';
import { Handshake } from './handshake.ts';
import { KeepaliveWriter, type ArrivedFacts } from './keepalive-writer.ts';
import { EXTENSION_VERSION, markedVersion } from './mark.ts';
import { MtuSearch } from './mtu-search.ts';
import { PathMeter } from './path-meter.ts';
import { isExtensionSealed, parseExtension, tagKeyOf, type Echo, type Extension } from './peer-extension.ts';
import { Rebinding } from './rebinding.ts';
import type {
  HmacSha256,
  KeepaliveDefect,
  KeepaliveFacts,
  PeerAddress,
  PeerCounters,
  PeerNews,
  PeerSessionOptions,
  SendingFacts,
  SendingWish,
} from './types.ts';
import { Words } from './words.ts';

/** Room that `emitKeepalive` needs; `emitProbe` needs as much as the link's MTU. */
export const KEEPALIVE_ROOM_BYTES = 256;

/** Answers are at least so far apart. */
const ANSWER_MS = 20;
/** How long a Weft peer may be silent before keepalives without its mark make it an original; longer with a key. */
const FORGET_MS = 10_000;
const FORGET_WITH_KEY_MS = 60_000;
/** A peer that was silent for so long may not know our address: where there is a secret key it is told unasked. */
const UNHEARD_MS = 2000;
const SUSPICIOUS_LOSS = 0.3;

const NO_NEWS: PeerNews = {
  isHeard: false,
  isRestarted: false,
  hasNewTimers: false,
  hasNewMeasures: false,
  hasNewMtu: false,
  hasNewObservedAddress: false,
};

type Draft = { -readonly [K in keyof PeerNews]: PeerNews[K] };

export class PeerSession {
  readonly #options: PeerSessionOptions;
  readonly #hmac: HmacSha256;
  readonly #tagKey: Uint8Array | undefined;
  /** Whether the key is a secret. */
  readonly #learns: boolean;
  readonly #handshake: Handshake;
  readonly #meter = new PathMeter();
  readonly #timers: AgreedTimers;
  readonly #mtu: MtuSearch;
  readonly #place: Rebinding;
  readonly #words = new Words();
  readonly #writer: KeepaliveWriter;
  readonly #counters: { -readonly [K in keyof PeerCounters]: PeerCounters[K] };
  /** The peer understands our extension, as far as its last keepalive is to be believed. */
  #isMarked = false;
  /** When the last keepalive counted as a sign of life; when the last one counted wholly. */
  #heardMs: number;
  #acceptedMs = -Infinity;
  /** Keepalives with extension that arrived and are no probes. */
  #plainReceived = 0;
  #arrived: ArrivedFacts = { packets: 0, bytes: 0, probe: 0 };
  #sentData = 0;
  #receivedData = 0;
  #answerAtMs = Infinity;
  #answeredMs = -Infinity;

  constructor(options: PeerSessionOptions, nowMs: number) {
    this.#options = options;
    this.#heardMs = nowMs;
    this.#hmac = options.hmac;
    const { key } = options;
    this.#tagKey = key === undefined ? undefined : tagKeyOf(key, options.hmac);
    this.#learns = key !== undefined && !equalBytes(key, keyOf(DEFAULT_KEY_TEXT));
    this.#handshake = new Handshake(options.sessionNumber);
    this.#timers = new AgreedTimers(options.timers, nowMs);
    const headerBytes = options.pathIpVersion === 4 ? 28 : 48;
    this.#mtu = new MtuSearch({ headerBytes, linkMtu: options.linkMtu });
    this.#place = new Rebinding(options.remote, this.#learns);
    const parts = {
      handshake: this.#handshake,
      meter: this.#meter,
      timers: this.#timers,
      words: this.#words,
      place: this.#place,
    };
    this.#writer = new KeepaliveWriter(options, parts, this.#tagKey);
    this.#counters = {
      sent: 0,
      received: 0,
      probesSent: 0,
      strangers: 0,
      malformed: 0,
      notAuthentic: 0,
      late: 0,
      restarts: 0,
    };
  }

  /** Whether the peer speaks as Weft, authentically where there is a key. */
  get isWeft(): boolean {
    return this.#handshake.isEstablished;
  }

  /** Number of the peer's session that counts. */
  get peerSession(): number | undefined {
    return this.#handshake.peerSession;
  }

  /** What `PathState` is to use; the same object as long as nothing changes. Looked at after each call. */
  get timers(): PathTimers {
    return this.#timers.timers;
  }

  /** Dead time for the last path that is left: a peer that stops for a moment must not take the tunnel down. */
  get patientDeadMs(): number {
    return this.#timers.patientDeadMs;
  }

  /** Smoothed round trip; absent while unknown. */
  get rttUs(): number | undefined {
    return this.#meter.rttUs;
  }

  /** Of what arrives, as RFC 3550 section 6.4.1; absent while unknown. */
  get jitterUs(): number | undefined {
    return this.#meter.jitterUs;
  }

  /** Part of what we send here that is lost, 0 to 1; absent while unknown. */
  get lossRatio(): number | undefined {
    return this.#meter.lossRatio;
  }

  /** Part of what the peer sends here that is lost. */
  get incomingLossRatio(): number | undefined {
    return this.#meter.incomingLossRatio;
  }

  /** UDP payload of data that arrived at the peer, over the last half second or so; absent while unknown. */
  get deliveredBps(): number | undefined {
    return this.#meter.deliveredBps;
  }

  /** What the path can carry towards the peer; absent while unknown. */
  get capacityBps(): number | undefined {
    return this.#meter.capacityBps;
  }

  /** Largest UDP payload that goes through, GRE header included. */
  get datagramBytesMax(): number {
    return this.#mtu.datagramBytesMax;
  }

  /** Where the peer sees us: our public address and port. */
  get observedAddress(): PeerAddress | undefined {
    return this.#place.observed;
  }

  get counters(): PeerCounters {
    return this.#counters;
  }

  /** When `poll` may have a wish; Infinity for never. */
  get nextMs(): number {
    const wordMs = this.#words.isUnsent && this.isWeft ? -Infinity : Infinity;
    return Math.min(this.#answerAtMs, wordMs, this.isWeft ? this.#mtu.nextMs : Infinity);
  }

  /** A keepalive came in on the path's socket. Whatever the bytes are. */
  handleKeepalive(arrival: KeepaliveFacts, nowMs: number): PeerNews {
    const before = this.#timers.timers;
    const news: Draft = { ...NO_NEWS };
    this.#receivedData = arrival.receivedPackets;
    if (!arrival.isFromPeer && !this.#learns) this.#refuse(news, 'stranger');
    else this.#handle(arrival, nowMs, news);
    if (news.isHeard) this.#heardMs = nowMs;
    this.#timers.handleActivity(this.#sentData + this.#receivedData, nowMs);
    news.hasNewTimers = this.#timers.timers !== before;
    return news;
  }

  /** Says a word of `PathState.pollWord` in the keepalives from now on; `news.deliveredWord` is the answer. */
  say(word: PathWord): void {
    this.#words.say(word);
  }

  /** What is to be sent now beside the keepalives of `PathState`. Called until it has no more wish. */
  poll(nowMs: number): SendingWish | undefined {
    if (nowMs >= this.#answerAtMs || (this.#words.isUnsent && this.isWeft)) return 'keepalive';
    if (this.isWeft && this.#mtu.poll(nowMs, this.#timers.isBusy) !== undefined) return 'probe';
    return undefined;
  }

  /**
   * Writes a keepalive at the start of `out` (`KEEPALIVE_ROOM_BYTES`) and returns its length. `to`: where it goes to,
   * for `news.answerTo`; absent: the path's peer.
   */
  emitKeepalive(out: Uint8Array, facts: SendingFacts, nowUs: number, to?: PeerAddress): number {
    const nowMs = nowUs / 1000;
    const isAnswer = to !== undefined || nowMs >= this.#answerAtMs;
    if (isAnswer) {
      this.#answerAtMs = Infinity;
      this.#answeredMs = nowMs;
    }
    this.#counters.sent++;
    this.#words.handleSent();
    const isUnheard = this.#learns && nowMs - this.#heardMs > UNHEARD_MS;
    if (!this.#isMarked && !isUnheard) return this.#writer.emitMarked(out);
    this.#noteSent(facts, nowMs);
    return this.#writer.emitExtended(out, facts, this.#arrived, nowUs, isAnswer);
  }

  /**
   * Writes the probe that `poll` wishes at the start of `out` and returns its length, up to the link's MTU. It must
   * not be fragmented.
   */
  emitProbe(out: Uint8Array, facts: SendingFacts, nowUs: number): number {
    const nowMs = nowUs / 1000;
    const size = this.#mtu.poll(nowMs, this.#timers.isBusy) ?? 0;
    if (size > out.length) return 0;
    this.#counters.probesSent++;
    this.#noteSent(facts, nowMs);
    const length = this.#writer.emitProbe(out, facts, this.#arrived, nowUs, size);
    this.#mtu.handleSent(this.#writer.number, nowMs);
    return length;
  }

  /** The kernel refused a datagram of this length, probe or data (EMSGSIZE). Whether `datagramBytesMax` changed. */
  handleTooLong(bytes: number, nowMs: number): boolean {
    return this.#mtu.handleTooLong(bytes, nowMs);
  }

  /** The link has another MTU. Whether `datagramBytesMax` changed. */
  setLinkMtu(mtu: number, nowMs: number): boolean {
    return this.#mtu.setLinkMtu(mtu, nowMs);
  }

  /** The configured timers changed. */
  setTimers(timers: PathTimers): void {
    this.#timers.setConfigured(timers);
  }

  #handle(arrival: KeepaliveFacts, nowMs: number, news: Draft): void {
    const { datagram, isFromPeer } = arrival;
    const version = markedVersion(datagram);
    const extension = version === 0 ? 'none' : parseExtension(datagram);
    if (typeof extension === 'string') {
      if (!isFromPeer) return this.#refuse(news, 'stranger');
      if (extension !== 'none' && extension !== 'other version') return this.#refuse(news, 'malformed');
      return this.#handlePlain(version, arrival, nowMs, news);
    }
    const defect = this.#judge(datagram);
    if (defect !== undefined) {
      this.#forgetIfSilent(nowMs, news);
      return this.#refuse(news, defect);
    }
    this.#isMarked = true;
    const wasWeft = this.isWeft;
    const verdict = this.#handshake.handle(extension, arrival.arrivedUs);
    if (verdict === 'late') {
      if (this.#tagKey === undefined) {
        // Somebody may have written a high number in the peer's name: its own keepalives must not be late for ever.
        this.#forgetIfSilent(nowMs, news);
        news.isHeard = isFromPeer;
      }
      return this.#refuse(news, 'late');
    }
    const seenAt = { address: arrival.fromAddress.slice(), port: arrival.fromPort };
    if (verdict === 'unproven') {
      if (!isFromPeer || this.#place.isElsewhere(seenAt)) this.#answerTo(seenAt, nowMs, news);
      if (!this.isWeft) this.#place.see(seenAt);
      news.isHeard = isFromPeer && !(this.isWeft && this.#tagKey !== undefined);
      this.#answer(nowMs);
      return;
    }
    this.#place.see(seenAt);
    if (verdict === 'taken') this.#take(wasWeft, nowMs, news);
    this.#accept(extension, arrival, nowMs, news);
    if (this.#place.learn(seenAt)) news.moved = seenAt;
  }

  /** A keepalive without extension, from the path's peer. */
  #handlePlain(version: number, arrival: KeepaliveFacts, nowMs: number, news: Draft): void {
    this.#forgetIfSilent(nowMs, news);
    news.isHeard = !(this.isWeft && this.#tagKey !== undefined);
    if (news.isHeard) this.#counters.received++;
    else this.#refuse(news, 'not authentic');
    if (version >= EXTENSION_VERSION) {
      this.#isMarked = true;
      this.#answer(nowMs);
      const seenAt = { address: arrival.fromAddress.slice(), port: arrival.fromPort };
      // A translator on the way: what goes to the configured port does not arrive.
      if (!this.isWeft && this.#place.isElsewhere(seenAt)) this.#answerTo(seenAt, nowMs, news);
    } else if (!this.isWeft) this.#isMarked = false;
  }

  #judge(datagram: Uint8Array): KeepaliveDefect | undefined {
    if (this.#tagKey !== undefined && !isExtensionSealed(datagram, this.#tagKey, this.#hmac)) {
      return 'not authentic';
    }
    const keepalive = parseKeepalive(datagram, 0, datagram.length);
    const { ipVersion, ipLocal, ipRemote } = this.#options;
    const isOurs =
      keepalive !== undefined &&
      keepalive.ipVersion === ipVersion &&
      equalBytes(keepalive.ipLocal, ipRemote) &&
      equalBytes(keepalive.ipRemote, ipLocal);
    return isOurs ? undefined : 'other connection';
  }

  #take(wasWeft: boolean, nowMs: number, news: Draft): void {
    if (wasWeft) {
      news.isRestarted = true;
      this.#counters.restarts++;
    } else news.peer = 'weft';
    this.#meter.handleRestart();
    this.#arrived = { packets: 0, bytes: 0, probe: 0 };
    this.#words.handleRestart();
    // The peer takes our session by the next keepalive.
    this.#answer(nowMs);
    this.#mtu.start(nowMs);
  }

  #accept(extension: Extension, arrival: KeepaliveFacts, nowMs: number, news: Draft): void {
    const { number, echo } = extension;
    this.#counters.received++;
    this.#acceptedMs = nowMs;
    news.isHeard = true;
    const packets = arrival.receivedPackets + this.#plainReceived;
    const probe = extension.isProbe ? number : this.#arrived.probe;
    this.#arrived = { packets, bytes: arrival.receivedBytes, probe };
    if (!extension.isProbe) this.#plainReceived++;
    this.#meter.handleArrival(extension.sentUs, arrival.arrivedUs, extension.sentPackets, packets);
    if (echo !== undefined) this.#handleEcho(echo, extension, arrival.arrivedUs, nowMs, news);
    this.#timers.handlePeer(
      extension.intervalMs,
      extension.wantsShortIntervals,
      this.#meter.incomingLossRatio ?? 0,
      this.#meter.jitterUs ?? 0,
    );
    const word = this.#words.handlePeer(extension);
    if (word !== undefined) news.word = word;
    const deliveredWord = this.#words.handleHeard(extension);
    if (deliveredWord !== undefined) news.deliveredWord = deliveredWord;
    news.hasNewObservedAddress = this.#place.observe(extension.observed);
  }

  #handleEcho(echo: Echo, extension: Extension, arrivedUs: number, nowMs: number, news: Draft): void {
    const peerArrivedUs = (extension.sentUs - echo.heldUs) >>> 0;
    news.hasNewMeasures = this.#meter.handleEcho({ ...echo, peerArrivedUs }, arrivedUs);
    news.hasNewMtu = this.#mtu.handleEcho(echo.number, extension.probeArrived, nowMs);
    if (news.hasNewMeasures && (this.#meter.lossRatio ?? 0) > SUSPICIOUS_LOSS) this.#mtu.suspect(nowMs);
  }

  /** Not more often than other answers: what asks for it may be repeated by somebody. */
  #answerTo(seenAt: PeerAddress, nowMs: number, news: Draft): void {
    if (nowMs - this.#answeredMs >= ANSWER_MS) news.answerTo = seenAt;
  }

  #refuse(news: Draft, defect: KeepaliveDefect): void {
    news.defect = defect;
    if (defect === 'stranger') this.#counters.strangers++;
    else if (defect === 'late') this.#counters.late++;
    else if (defect === 'not authentic') this.#counters.notAuthentic++;
    else this.#counters.malformed++;
  }

  /** What spoke as Weft does so no more: the original runs there now, or another key. */
  #forgetIfSilent(nowMs: number, news: Draft): void {
    const patienceMs = this.#tagKey === undefined ? FORGET_MS : FORGET_WITH_KEY_MS;
    if (!this.isWeft || nowMs - this.#acceptedMs < patienceMs) return;
    this.#handshake.forget();
    this.#timers.handlePeerGone();
    const before = this.#mtu.datagramBytesMax;
    this.#mtu.stop();
    news.hasNewMtu = this.#mtu.datagramBytesMax !== before;
    news.peer = 'original';
  }

  #noteSent(facts: SendingFacts, nowMs: number): void {
    this.#sentData = facts.sentPackets;
    this.#timers.handleActivity(this.#sentData + this.#receivedData, nowMs);
  }

  #answer(nowMs: number): void {
    this.#answerAtMs = Math.min(this.#answerAtMs, Math.max(nowMs, this.#answeredMs + ANSWER_MS));
  }
}
