import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PathStatus } from '../control/path-status.ts';
import { PathState, type PathWord } from './path-state.ts';

const TIMERS = { keepaliveMs: 1000, deadMs: 3000 };
const make = (status: number = PathStatus.ok) => new PathState(status, TIMERS, 0);

it('goes down in silence, tells the peer once, and comes back when it hears', () => {
  const path = make();
  path.handleTime(3000);
  expect(path.isUsable).toBe(true);
  expect(path.nextMs).toBe(0);
  path.handleTime(3001);
  expect(path.status).toBe(PathStatus.down);
  expect(path.pollWord(3001)).toBe(PathStatus.down);
  expect(path.pollWord(3500)).toBeUndefined();
  expect(path.pollWord(4001)).toBe(PathStatus.down);
  path.wordDelivered(PathStatus.down);
  expect(path.pollWord(9000)).toBeUndefined();
  path.handleHeard(9000);
  expect(path.status).toBe(PathStatus.ok);
  expect(path.pollWord(9000)).toBe(PathStatus.ok);
});

it('has hope for a path that fell silent, for a while and for no other cause', () => {
  const path = make();
  expect(path.isHopeful).toBe(false);
  path.handleTime(3001);
  expect([path.isUsable, path.isHopeful]).toEqual([false, true]);
  path.setByHand(false, 4000);
  expect(path.isHopeful).toBe(false);
  path.setByHand(true, 4000);
  path.handleTime(7001);
  expect(path.isHopeful).toBe(true);
  path.handleWord(PathStatus.down, 8000);
  expect(path.isHopeful).toBe(false);
  path.handleHeard(9000);
  expect([path.isUsable, path.isHopeful]).toEqual([true, false]);
  path.handleTime(12_001);
  path.handleTime(22_001);
  expect(path.isHopeful).toBe(true);
  path.handleTime(22_002);
  expect([path.isUsable, path.isHopeful]).toEqual([false, false]);
  path.handleLink(false, 22_003);
  expect(path.isHopeful).toBe(false);
});

it('has hope for a path where the peer is deaf, none where it wants nothing', () => {
  const path = make();
  path.handlePeer(true);
  path.handleHeard(1000);
  path.handleWord(PathStatus.down, 1000);
  expect([path.isUsable, path.isHopeful]).toEqual([false, false]);
  path.handleHeard(1250);
  expect([path.isUsable, path.isHopeful]).toEqual([false, true]);
  path.handleWord(PathStatus.ok, 1300);
  expect([path.isUsable, path.isHopeful]).toEqual([true, false]);
  path.handleWord(PathStatus.down, 2000);
  path.handleHeard(11_500);
  path.handleTime(12_001);
  expect(path.isHopeful).toBe(false);
});

it('is never dead with a dead time of 0, and sends nothing with a keepalive time of 0', () => {
  const path = new PathState(PathStatus.ok, { keepaliveMs: 0, deadMs: 0 }, 0);
  path.handleTime(1e9);
  expect(path.isUsable).toBe(true);
  expect(path.pollKeepalive(1e9)).toBe(false);
  expect(path.nextMs).toBe(Infinity);
});

it('begins down with status 128, and comes up with the first keepalive', () => {
  const path = make(PathStatus.down);
  expect(path.isUsable).toBe(false);
  expect(path.pollKeepalive(0)).toBe(true);
  path.handleHeard(5);
  expect(path.isUsable).toBe(true);
});

it('sends a keepalive at once and then in turn, not while it is set down', () => {
  const path = make();
  expect(path.pollKeepalive(0)).toBe(true);
  expect(path.pollKeepalive(999)).toBe(false);
  expect(path.pollKeepalive(1010)).toBe(true);
  expect(path.pollKeepalive(2000)).toBe(true);
  path.setByHand(false, 2500);
  expect(path.status).toBe(PathStatus.manualDown);
  expect(path.pollKeepalive(9000)).toBe(false);
  path.handleHeard(9000);
  path.handleWord(PathStatus.ok, 9000);
  expect(path.isUsable).toBe(false);
  path.setByHand(true, 9500);
  expect(path.isUsable).toBe(true);
  expect(path.pollKeepalive(9500)).toBe(true);
  expect(path.pollWord(9500)).toBe(PathStatus.ok);
});

it('comes back with its link, whatever the peer said meanwhile', () => {
  const path = make();
  path.handleLink(false, 100);
  expect(path.status).toBe(PathStatus.interfaceDown);
  expect(path.pollWord(100)).toBe(PathStatus.down);
  path.wordDelivered(PathStatus.down);
  path.handleWord(PathStatus.down, 3000);
  path.handleLink(true, 9000);
  // The link may not carry yet.
  expect(path.status).toBe(PathStatus.down);
  expect(path.pollKeepalive(9000)).toBe(true);
  expect(path.pollWord(9000)).toBe(PathStatus.ok);
  path.handleHeard(9010);
  expect(path.status).toBe(PathStatus.ok);
});

it('with a Weft peer is used after its link came up when the peer is heard, and only then', () => {
  const path = make();
  path.handlePeer(true);
  path.handleLink(false, 100);
  path.wordDelivered(PathStatus.down);
  path.handleLink(true, 9000);
  expect(path.pollKeepalive(9000)).toBe(true);
  path.handleTime(12_000);
  expect(path.isUsable).toBe(false);
  expect(path.pollWord(12_000)).toBeUndefined();
  path.handleHeard(12_001);
  expect(path.isUsable).toBe(true);
  expect(path.pollWord(12_001)).toBe(PathStatus.ok);
});

it('is used a while after its link came up though nothing is heard, until the dead time is over', () => {
  const path = make();
  path.handleLink(false, 100);
  path.handleLink(true, 9000);
  path.handleTime(9999);
  expect(path.isUsable).toBe(false);
  expect(path.nextMs).toBeLessThanOrEqual(10_000);
  path.handleTime(10_000);
  expect(path.isUsable).toBe(true);
  path.handleTime(20_000);
  expect(path.isUsable).toBe(false);
});

it('does not come up by keepalives when the peer called it down', () => {
  const path = make();
  path.handleWord(PathStatus.down, 1000);
  for (let ms = 1000; ms < 3900; ms += 500) {
    path.handleHeard(ms);
    path.handleTime(ms);
    expect(path.isUsable).toBe(false);
  }
  path.handleWord(PathStatus.ok, 3950);
  expect(path.isUsable).toBe(true);
});

it("takes an original's data for its word", () => {
  const path = make();
  path.handleWord(PathStatus.down, 1000);
  path.handleData(1500);
  expect(path.isUsable).toBe(false);
  path.handleData(2000);
  expect(path.isUsable).toBe(true);
  path.handlePeer(true);
  path.handleWord(PathStatus.down, 3000);
  path.handleData(4500);
  expect(path.isUsable).toBe(false);
});

it('a deaf Weft goes on sending while the peer hears it, and stops when the peer falls silent', () => {
  const deaf = make();
  deaf.handlePeer(true);
  deaf.handleTime(3001);
  expect(deaf.isUsable).toBe(false);
  deaf.handleWord(PathStatus.ok, 3100);
  expect(deaf.isUsable).toBe(true);
  // It still tells the peer that it hears nothing.
  expect(deaf.pollWord(3100)).toBe(PathStatus.down);
  deaf.handleTime(6101);
  expect(deaf.isUsable).toBe(false);

  const hearing = make();
  hearing.handlePeer(true);
  hearing.handleHeard(3000);
  hearing.handleWord(PathStatus.down, 3050);
  expect(hearing.isUsable).toBe(false);
  expect(hearing.pollWord(3050)).toBe(PathStatus.ok);
  expect(hearing.pollWord(3060)).toBeUndefined();
  expect(hearing.pollWord(4600)).toBe(PathStatus.ok);
});

/** One end as the original behaves (keepalives, dead time, path status changes). */
class Original {
  status = 0;
  #heardMs: number | undefined;
  #keepaliveAtMs = 0;
  #checkAtMs = 0;
  #word: PathWord | undefined;

  get isUsable(): boolean {
    return this.status === 0;
  }

  handleData(): void {}

  handleHeard(nowMs: number): void {
    this.#heardMs = nowMs;
    if (this.status === PathStatus.down) this.status = 0;
  }

  handleWord(word: PathWord, nowMs: number): void {
    this.status = word;
    if (word === 0) this.#heardMs = nowMs;
  }

  handleTime(nowMs: number): void {
    if (nowMs < this.#checkAtMs) return;
    this.#checkAtMs = nowMs + 1000;
    this.#heardMs ??= nowMs;
    if (this.status === 0 && this.#heardMs + TIMERS.deadMs < nowMs) {
      this.status = PathStatus.down;
      this.#word = PathStatus.down;
    }
  }

  pollKeepalive(nowMs: number): boolean {
    if (nowMs < this.#keepaliveAtMs) return false;
    this.#keepaliveAtMs = nowMs + TIMERS.keepaliveMs;
    return this.status === 0 || this.status === PathStatus.down;
  }

  pollWord(): PathWord | undefined {
    const word = this.#word;
    this.#word = undefined;
    return word;
  }

  wordDelivered(): void {}
}

type End = PathState | Original;

/** Two ends over one path; words go over another path that always works. */
class Wire {
  readonly ends: readonly [End, End];
  /** Whether what end 0 or 1 sends arrives. */
  readonly passes: [boolean, boolean] = [true, true];
  readonly sendsData: readonly [boolean, boolean];
  /** Data packets lost, by sender. */
  readonly lost: [number, number] = [0, 0];
  nowMs = 0;

  constructor(ends: readonly [End, End], sendsData: readonly [boolean, boolean]) {
    this.ends = ends;
    this.sendsData = sendsData;
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (; this.nowMs < endMs; this.nowMs += 50) for (const side of [0, 1] as const) this.#step(side);
  }

  #step(side: 0 | 1): void {
    const me = this.ends[side];
    const peer = this.ends[side === 0 ? 1 : 0];
    me.handleTime(this.nowMs);
    if (me.pollKeepalive(this.nowMs) && this.passes[side]) peer.handleHeard(this.nowMs);
    if (this.sendsData[side] && me.isUsable) {
      if (this.passes[side]) peer.handleData(this.nowMs);
      else this.lost[side]++;
    }
    const word = me.pollWord(this.nowMs);
    if (word === undefined) return;
    me.wordDelivered(word);
    peer.handleWord(word, this.nowMs);
  }
}

const weft = () => {
  const path = make();
  path.handlePeer(true);
  return path;
};

const KINDS = ['weft', 'original'] as const;
const makeWire = (kind: (typeof KINDS)[number], sends: readonly [boolean, boolean]) =>
  new Wire(kind === 'weft' ? [weft(), weft()] : [make(), new Original()], sends);

it.each(KINDS)('loss in one direction: the sender (Weft, against %s) keeps away from it', (kind) => {
  const wire = makeWire(kind, [true, true]);
  wire.run(5000);
  wire.passes[0] = false;
  wire.run(60_000);
  const early = wire.lost[0];
  wire.run(60_000);
  // The original comes up again and again by the keepalives it hears.
  expect(wire.lost[0] - early).toBeLessThan(1);
  expect(early).toBeLessThan(150);
  if (kind === 'weft') expect(wire.ends[1].isUsable).toBe(true);
  wire.passes[0] = true;
  wire.run(70_000);
  expect(wire.ends.map((end) => end.isUsable)).toEqual([true, true]);
});

it('asks an idle original after loss in one direction, and comes up when it is heard', () => {
  const wire = makeWire('original', [true, false]);
  wire.run(5000);
  wire.passes[0] = false;
  wire.run(40_000);
  expect(wire.ends[0].isUsable).toBe(false);
  expect(wire.lost[0]).toBeLessThan(150);
  wire.passes[0] = true;
  wire.run(70_000);
  expect(wire.ends.map((end) => end.isUsable)).toEqual([true, true]);
});

it('whatever happened, a healed path is used again by both ends', () => {
  const step = fc.record({
    passes: fc.tuple(fc.boolean(), fc.boolean()),
    link: fc.boolean(),
    hand: fc.constantFrom(undefined, true, false),
    durationMs: fc.integer({ min: 50, max: 12_000 }),
  });
  const history = fc.array(step, { maxLength: 12, size: 'max' });
  fc.assert(
    fc.property(history, fc.constantFrom(...KINDS), fc.boolean(), (steps, kind, sends) => {
      const wire = makeWire(kind, [sends, sends]);
      const mine = wire.ends[0] as PathState;
      for (const { passes, link, hand, durationMs } of steps) {
        wire.passes[0] = passes[0] && link;
        wire.passes[1] = passes[1] && link;
        mine.handleLink(link, wire.nowMs);
        if (hand !== undefined) mine.setByHand(hand, wire.nowMs);
        wire.run(durationMs);
        if (!link || hand === false) expect(mine.isUsable).toBe(false);
        expect(mine.isUsable).toBe(mine.status === PathStatus.ok);
      }
      wire.passes[0] = true;
      wire.passes[1] = true;
      mine.handleLink(true, wire.nowMs);
      mine.setByHand(true, wire.nowMs);
      wire.run(80_000);
      expect(wire.ends.map((end) => end.isUsable)).toEqual([true, true]);
    }),
    { numRuns: 150 },
  );
});

it('does nothing before the time that it names', () => {
  const step = fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 4000 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30, size: 'max' }), fc.boolean(), (steps, isWeft) => {
      const path = make();
      path.handlePeer(isWeft);
      let nowMs = 0;
      for (const [what, waitMs] of steps) {
        if (what === 0) path.handleHeard(nowMs);
        else if (what === 1) path.handleData(nowMs);
        else if (what === 2) path.handleWord(PathStatus.down, nowMs);
        else if (what === 3) path.handleWord(PathStatus.ok, nowMs);
        else if (what === 4) path.handleLink(waitMs % 2 === 0, nowMs);
        else if (what === 5) path.setByHand(waitMs % 2 === 0, nowMs);
        path.handleTime(nowMs);
        path.pollKeepalive(nowMs);
        const word = path.pollWord(nowMs);
        if (word !== undefined && waitMs % 3 > 0) path.wordDelivered(word);
        const before = path.status;
        const quietMs = Math.min(nowMs + waitMs, Math.ceil(path.nextMs) - 1);
        if (quietMs > nowMs) {
          path.handleTime(quietMs);
          expect(path.status).toBe(before);
          expect(path.pollKeepalive(quietMs)).toBe(false);
          expect(path.pollWord(quietMs)).toBeUndefined();
        }
        nowMs += waitMs;
      }
    }),
    { numRuns: 500 },
  );
});
