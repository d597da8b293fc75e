/**
 * Whether a path carries packets: the state machine of one path (pure; time is given). Inputs are what happened
 * (`handle…`), outputs are the status code that the original knows, whether the path is usable for sending, and what
 * the peer is to be told (`pollWord`).
 *
 * The original keeps one status that everything overwrites. Here each cause stands by itself:
 *
 *   hand     set down by hand (`mpt path down`); only a hand brings it up                    0x83
 *   link     the path's link is down; comes up with the link                                 0x81
 *   hearing  the peer was heard within the dead time                                         0x80
 *   word     what the peer said last: down means "I do not hear you, or want nothing here"   0x80
 *
 *   usable = hand up, link up, word not down, and hearing, or the peer's word of late that it hears us
 *   hopeful = not usable for no other cause than silence, ours or the peer's, and not for long; for when no path is usable
 *
 * So what the original gets wrong comes right:
 *   - A link that flaps: the original stays at 0x81 until somebody types a command, and its peer at 0x80.
 *   - Loss in one direction: the original comes up again by each keepalive that it hears, though the peer said that
 *     it does not hear it. Here a path that the peer called down comes up by the peer's word. Who was called down and
 *     hears the other says so, and the deaf one goes on sending.
 *
 * Whoever begins to hear again takes the path for good and says so; if the peer hears nothing still, it calls the path
 * down again within its dead time. After its link came up, a path is used when the peer is heard; an original need not
 * be, it is told that the path is up, and packets go after a moment.
 *
 * An original peer never says "up" by itself. Whether it hears us again shows by its data: it sends data only on paths
 * that it takes for good. Where there is none, it is asked after a while: it is told that the path is up, which
 * makes it start its dead time anew; if it still hears nothing, it calls the path down again, and we keep away for
 * twice as long.
 *
 * Invariant: while a path is set down by hand or its link is down it is never usable, and no keepalives are sent.
 */
import { PathStatus } from '../control/path-status.ts';

export interface PathTimers {
  /** 0: none are sent. */
  readonly keepaliveMs: number;
  /** 0: never dead. */
  readonly deadMs: number;
}

/** What the peer is told about a path. */
export type PathWord = typeof PathStatus.ok | typeof PathStatus.down;

/** The original looks for dead paths once a second, and starts its timer with the first look. */
const PROBATION_EXTRA_MS = 2000;
/** Data may be on its way for so long when its sender has given up the path. */
const UNDER_WAY_MS = 1000;
const ASK_FIRST_MS = 3000;
const ASK_LONGEST_MS = 60_000;
/** A word that could not be delivered is said again. */
const REPEAT_MS = 1000;
/** A link that came up may not carry yet: addresses are asked for, switches learn. Until the peer is heard, or so long. */
const SETTLE_MS = 1000;
/** A path that fell silent may be tried for so long where there is no better one: its peer, or we, may have stood still. */
const HOPE_MS = 10_000;
/** How long "I hear you" counts; the peer says it again within half the dead time. */
const CONFIRMED_MIN_MS = 3000;

export class PathState {
  #timers: PathTimers;
  #isLinkUp = true;
  #isSetDown = false;
  #isHearing: boolean;
  #heardMs: number;
  #peerWord: PathWord | undefined;
  #wordMs = -Infinity;
  /** Until when the peer's "up" counts though we do not hear it. */
  #confirmedUntilMs = -Infinity;
  /** When a peer that is deaf is told again that we hear it. */
  #confirmAtMs = Infinity;
  /** Until when a link that came up is not used unless the peer is heard; keepalives are sent. */
  #settleUntilMs = -Infinity;
  /** Until when there is hope for a path that fell silent. */
  #hopeUntilMs = -Infinity;
  #isPeerWeft = false;
  #keepaliveAtMs: number;
  /** When the peer is asked whether it hears us, and how long it takes after the next "down". */
  #askAtMs = Infinity;
  #askAfterMs = 0;
  /** Until when the peer may answer an asking with "down". */
  #probationEndMs = Infinity;
  #said: PathWord = PathStatus.ok;
  #sayAtMs = -Infinity;

  /** `status`: of the configuration; anything but 0 begins as down until the peer is heard, or by that cause. */
  constructor(status: number, timers: PathTimers, nowMs: number) {
    this.#timers = timers;
    this.#heardMs = nowMs;
    this.#keepaliveAtMs = nowMs;
    this.#isHearing = status === PathStatus.ok;
    this.#isSetDown = status === PathStatus.manualDown || status === PathStatus.disabled;
    if (status !== PathStatus.ok) this.#said = PathStatus.down;
  }

  /** The code as the original prints, saves and sends it. */
  get status(): number {
    if (this.#isSetDown) return PathStatus.manualDown;
    if (!this.#isLinkUp) return PathStatus.interfaceDown;
    return this.isUsable ? PathStatus.ok : PathStatus.down;
  }

  /** Whether packets may be sent over the path. */
  get isUsable(): boolean {
    const reaches = this.#isHearing || this.#confirmedUntilMs > -Infinity;
    return this.#isOpen() && this.#peerWord !== PathStatus.down && reaches;
  }

  /**
   * Whether nothing speaks against the path but that one of both did not hear the other for a moment. Such a path is not
   * usable. A Weft peer that called it down and is still heard is deaf; one that wants nothing there sends nothing.
   */
  get isHopeful(): boolean {
    if (this.#hopeUntilMs === -Infinity || !this.#isOpen() || this.isUsable) return false;
    if (this.#peerWord !== PathStatus.down) return true;
    return this.#isPeerWeft && this.#isHearing && this.#heardMs > this.#wordMs;
  }

  /** Changes the timers: two Weft ends agree on shorter ones. */
  setTimers(timers: PathTimers, nowMs: number): void {
    this.#timers = timers;
    this.#keepaliveAtMs = Math.min(this.#keepaliveAtMs, nowMs + timers.keepaliveMs);
  }

  /** A keepalive, or with a Weft peer anything else that shows that the path works towards us. */
  handleHeard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#settleUntilMs = -Infinity;
    if (this.#isHearing) return;
    this.#isHearing = true;
    this.#confirmedUntilMs = -Infinity;
    this.#hopeUntilMs = -Infinity;
    // What it said while the path was silent is old.
    this.#clearWord();
  }

  /** A data packet on this path. An original sends data only where it takes the path for good. */
  handleData(nowMs: number): void {
    this.handleHeard(nowMs);
    // After an asking its data shows only that it was told to come up; just after its word, what was under way.
    const isAsked = this.#probationEndMs < Infinity;
    if (this.#isPeerWeft || isAsked || nowMs - this.#wordMs < UNDER_WAY_MS) return;
    if (this.#peerWord === PathStatus.down) this.#clearWord();
  }

  /** The peer said that the path is up or down. */
  handleWord(word: PathWord, nowMs: number): void {
    if (word === PathStatus.ok) {
      this.#settleUntilMs = -Infinity;
      this.#clearWord();
      this.#askAfterMs = 0;
      this.#heardMs = nowMs;
      if (!this.#isHearing) this.#confirmedUntilMs = nowMs + Math.max(this.#timers.deadMs, CONFIRMED_MIN_MS);
      return;
    }
    const isAnswer = nowMs <= this.#probationEndMs && this.#probationEndMs < Infinity;
    this.#confirmedUntilMs = -Infinity;
    this.#peerWord = PathStatus.down;
    this.#wordMs = nowMs;
    if (this.#isHearing) this.#hopeUntilMs = nowMs + HOPE_MS;
    if (this.#isPeerWeft) {
      this.#confirmAtMs = nowMs;
      return;
    }
    const first = Math.max(ASK_FIRST_MS, this.#timers.deadMs);
    this.#askAfterMs = isAnswer ? Math.min(ASK_LONGEST_MS, this.#askAfterMs * 2) : first;
    this.#probationEndMs = Infinity;
    this.#askAtMs = nowMs + this.#askAfterMs;
  }

  handleLink(isUp: boolean, nowMs: number): void {
    if (isUp === this.#isLinkUp) return;
    this.#isLinkUp = isUp;
    if (!isUp) return;
    this.#startAnew(nowMs);
    // Weft is heard soon if the path works, and believes that we hear it when we say so.
    if (this.#isPeerWeft && this.#timers.deadMs > 0) this.#isHearing = false;
    else this.#settleUntilMs = nowMs + SETTLE_MS;
  }

  /** `mpt path up|down`. Up makes the path usable at once, whatever was before, and tells the peer. */
  setByHand(isUp: boolean, nowMs: number): void {
    this.#isSetDown = !isUp;
    if (!isUp) return;
    this.#said = PathStatus.down;
    this.#settleUntilMs = -Infinity;
    this.#startAnew(nowMs);
  }

  /** The peer is a new process, or known to be Weft, or not. */
  handlePeer(isWeft: boolean): void {
    this.#isPeerWeft = isWeft;
    this.#clearWord();
  }

  /** Lets time pass. */
  handleTime(nowMs: number): void {
    const { deadMs } = this.#timers;
    if (this.#isHearing && deadMs > 0 && nowMs - this.#heardMs > deadMs) {
      this.#isHearing = false;
      this.#hopeUntilMs = nowMs + HOPE_MS;
    }
    if (nowMs > this.#hopeUntilMs) this.#hopeUntilMs = -Infinity;
    if (nowMs >= this.#settleUntilMs) this.#settleUntilMs = -Infinity;
    if (nowMs > this.#confirmedUntilMs) this.#confirmedUntilMs = -Infinity;
    if (nowMs > this.#probationEndMs) {
      // It had the time to say that it still hears nothing.
      this.#clearWord();
      this.#askAfterMs = 0;
    }
    if (nowMs >= this.#askAtMs && this.#isHearing && this.#isLinkUp && !this.#isSetDown) {
      this.#askAtMs = Infinity;
      this.#probationEndMs = nowMs + deadMs + PROBATION_EXTRA_MS;
      // Said once more, though the peer was told before.
      this.#said = PathStatus.down;
    }
  }

  /** Whether a keepalive is to be sent now; the next is due `keepaliveMs` later. */
  pollKeepalive(nowMs: number): boolean {
    if (this.#timers.keepaliveMs === 0 || this.#isSetDown || !this.#isLinkUp) return false;
    if (nowMs < this.#keepaliveAtMs) return false;
    const next = this.#keepaliveAtMs + this.#timers.keepaliveMs;
    this.#keepaliveAtMs = next > nowMs ? next : nowMs + this.#timers.keepaliveMs;
    return true;
  }

  /** What the peer is to be told now, if anything; `wordDelivered` ends it, else it comes again. */
  pollWord(nowMs: number): PathWord | undefined {
    const word = this.#isUpByAll() ? PathStatus.ok : PathStatus.down;
    const isConfirmation = word === PathStatus.ok && nowMs >= this.#confirmAtMs;
    if (isConfirmation) this.#confirmAtMs = nowMs + Math.max(REPEAT_MS, this.#timers.deadMs / 2);
    else if (word === this.#said || nowMs < this.#sayAtMs) return undefined;
    this.#sayAtMs = nowMs + REPEAT_MS;
    return word;
  }

  wordDelivered(word: PathWord): void {
    this.#said = word;
    this.#sayAtMs = -Infinity;
  }

  /** When `handleTime`, `pollKeepalive` or `pollWord` has something to do; Infinity for never. */
  get nextMs(): number {
    const { keepaliveMs, deadMs } = this.#timers;
    const isOn = !this.#isSetDown && this.#isLinkUp;
    const word = this.#isUpByAll() ? PathStatus.ok : PathStatus.down;
    return Math.min(
      keepaliveMs > 0 && isOn ? this.#keepaliveAtMs : Infinity,
      // Dead is what is older, so a moment later.
      this.#isHearing && deadMs > 0 ? this.#heardMs + deadMs + 1 : Infinity,
      this.#isHearing && isOn ? this.#askAtMs : Infinity,
      this.#probationEndMs + 1,
      this.#settleUntilMs === -Infinity ? Infinity : this.#settleUntilMs,
      this.#confirmedUntilMs === -Infinity ? Infinity : this.#confirmedUntilMs + 1,
      this.#hopeUntilMs === -Infinity ? Infinity : this.#hopeUntilMs + 1,
      word === PathStatus.ok ? this.#confirmAtMs : Infinity,
      word === this.#said ? Infinity : this.#sayAtMs,
    );
  }

  /** Whether neither hand nor link forbids the path. */
  #isOpen(): boolean {
    return !this.#isSetDown && this.#isLinkUp && this.#settleUntilMs === -Infinity;
  }

  /** What we tell the peer: whether we hear it and want its packets here. */
  #isUpByAll(): boolean {
    return this.#isLinkUp && !this.#isSetDown && this.#isHearing;
  }

  /** As at the start: taken for good until the dead time is over, and a keepalive goes out at once. */
  #startAnew(nowMs: number): void {
    this.#isHearing = true;
    this.#confirmedUntilMs = -Infinity;
    this.#hopeUntilMs = -Infinity;
    this.#heardMs = nowMs;
    this.#keepaliveAtMs = nowMs;
    this.#clearWord();
  }

  #clearWord(): void {
    this.#peerWord = undefined;
    this.#askAtMs = Infinity;
    this.#probationEndMs = Infinity;
    this.#confirmAtMs = Infinity;
  }
}
