import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FIRST_DROPPED, PushResult, ReorderBuffer, SETTLE_MS } from './reorder-buffer.ts';

const make = (window = 8, maxDelayMs = 100, paths = 0) => new ReorderBuffer({ window, maxDelayMs, paths });
const releasedBy = (buffer: ReorderBuffer) => [...buffer.released.subarray(0, buffer.releasedCount)];

/** Pushes numbers with themselves as handles, at the same time; what came out, in order. */
function run(buffer: ReorderBuffer, sequences: readonly number[], nowMs = 0): number[] {
  return sequences.flatMap((sequence) => {
    buffer.push(sequence, sequence, 0, nowMs);
    return releasedBy(buffer);
  });
}

it('holds what is early and releases it in order', () => {
  const buffer = make();
  expect(run(buffer, [0, 2, 1, 4, 5])).toEqual([0, 1, 2]);
  expect(buffer.waiting).toBe(2);
  expect(run(buffer, [3])).toEqual([3, 4, 5]);
  expect(buffer.deadlineMs).toBe(Infinity);
});

it('gives up a hole when a packet behind it has waited long enough', () => {
  const buffer = make();
  run(buffer, [0]);
  buffer.push(3, 3, 0, 10);
  buffer.push(2, 2, 0, 30);
  buffer.push(5, 5, 0, 40);
  expect(buffer.deadlineMs).toBe(110);
  expect(buffer.poll(109)).toBe(0);
  buffer.poll(110);
  expect(releasedBy(buffer)).toEqual([2, 3]);
  expect(buffer.deadlineMs).toBe(140);
  expect(buffer.push(1, 1, 0, 111)).toBe(PushResult.late);
  expect(buffer.missing).toBe(1);
});

it('drops what comes twice, and loses nothing by it', () => {
  const buffer = make();
  run(buffer, [0, 2]);
  expect(buffer.push(2, 9, 0, 0)).toBe(PushResult.duplicate);
  expect(buffer.push(0, 9, 0, 0)).toBe(PushResult.late);
  expect(run(buffer, [1])).toEqual([1, 2]);
});

it('slides when a number is beyond the window, and begins anew when it is far beyond', () => {
  const buffer = make(8);
  run(buffer, [0, 3]);
  expect(run(buffer, [10])).toEqual([3]);
  expect(buffer.next).toBe(4);
  expect(buffer.push(100, 100, 0, 0)).toBe(PushResult.jumped);
  expect(releasedBy(buffer)).toEqual([10, 100]);
  expect(buffer.next).toBe(101);
});

it('goes on over 2^32', () => {
  const buffer = make();
  const last = 2 ** 32 - 1;
  expect(run(buffer, [last - 1, 0, 1, last, 2])).toEqual([last - 1, last, 0, 1, 2].map((n) => n | 0));
});

it('keeps the time of each packet, however many come and go behind the oldest', () => {
  const buffer = make(8);
  run(buffer, [0]);
  buffer.push(8, 8, 0, 0);
  for (const [ms, sequence] of [2, 1, 4, 3, 6, 5, 9, 10, 11, 12, 13, 14].entries()) {
    buffer.push(sequence, sequence, 0, ms + 1);
  }
  expect(buffer.waiting).toBe(7);
  expect(buffer.deadlineMs).toBe(100);
  buffer.poll(100);
  expect(releasedBy(buffer)).toEqual([8, 9, 10, 11, 12, 13, 14]);
  expect(buffer.deadlineMs).toBe(Infinity);
});

it('recognises a peer that counts anew, also with its first packets lost', () => {
  const buffer = make(8, 100, 2);
  run(buffer, [5000, 5001, 5003]);
  buffer.push(0, 0, 0, 0);
  expect(releasedBy(buffer)).toEqual([5003, 0]);
  run(
    buffer,
    Array.from({ length: 300 }, (_value, i) => i + 1),
  );
  const late = Array.from({ length: 20 }, (_value, i) => buffer.push(60 + i, i, 0, 0));
  expect(late).toContain(PushResult.restarted);
});

it('recognises a peer that counts anew and lost its first packets, however large the window is', () => {
  const buffer = make(8000, 100, 2);
  run(
    buffer,
    Array.from({ length: 3000 }, (_value, i) => i),
  );
  const results = Array.from({ length: 40 }, (_value, i) => buffer.push(200 + i, i, i % 2, 0));
  expect(results.filter((result) => result === PushResult.restarted)).toHaveLength(1);
  expect(results.lastIndexOf(PushResult.late)).toBeLessThan(20);
});

it('recognises a peer that counts anew soon after it began, by the rest of a path', () => {
  const buffer = make(900, 300, 2);
  for (let i = 0; i < 5; i++) buffer.push(i, i, i % 2, 10 * i);
  // Without a rest it is late; after one it is not.
  expect(buffer.push(2, 2, 0, 45)).toBe(PushResult.late);
  expect(buffer.push(0, 0, 0, 250)).toBe(PushResult.restarted);
  expect(releasedBy(buffer)).toEqual([0]);
  for (let i = 1; i < 5; i++) {
    expect(buffer.push(i, i, i % 2, 250 + 100 * i)).toBe(PushResult.taken);
    expect(releasedBy(buffer)).toEqual([i]);
  }
  expect(buffer.push(3, 3, 1, 600)).toBe(PushResult.late);
});

it('takes a late packet of a slow path for late, however long the fast ones rest', () => {
  const buffer = make(64, 100, 2);
  for (let i = 0; i < 40; i += 2) buffer.push(i, i, 0, i);
  for (let i = 1; i < 40; i += 2) buffer.push(i, i, 1, 500 + i);
  expect(buffer.push(41, 41, 1, 700)).not.toBe(PushResult.restarted);
  expect(buffer.push(39, 39, 0, 701)).not.toBe(PushResult.restarted);
});

it('gives up soon what every path has passed', () => {
  const buffer = make(64, 1000, 2);
  buffer.push(0, 0, 0, 0);
  buffer.push(1, 1, 1, 0);
  // 2 is lost; path 0 has the even numbers, path 1 the odd ones.
  for (let sequence = 3; sequence < 6; sequence++) buffer.push(sequence, sequence, sequence % 2, 1);
  expect(buffer.waiting).toBe(3);
  expect(buffer.deadlineMs).toBe(1001);
  for (let sequence = 6; sequence < 9; sequence++) buffer.push(sequence, sequence, sequence % 2, 2);
  expect(buffer.waiting).toBe(6);
  // Since 6 came, both were above by more than the slack.
  expect(buffer.deadlineMs).toBe(2 + SETTLE_MS);
  expect(buffer.poll(1.9 + SETTLE_MS)).toBe(0);
  buffer.poll(2 + SETTLE_MS);
  expect(releasedBy(buffer)).toEqual([3, 4, 5, 6, 7, 8]);
  expect(buffer.missing).toBe(1);
});

it('takes a batch that was overtaken on its own path', () => {
  const buffer = make(256, 1000, 2);
  for (let sequence = 0; sequence < 10; sequence++) buffer.push(sequence, sequence, sequence % 2, 0);
  // Path 0 has the even numbers; its batch up to 40 comes after that up to 80.
  for (let sequence = 11; sequence < 80; sequence += 2) buffer.push(sequence, sequence, 1, 1);
  for (let sequence = 42; sequence < 80; sequence += 2) buffer.push(sequence, sequence, 0, 2);
  const late = Array.from({ length: 16 }, (_value, i) => buffer.push(10 + 2 * i, i, 0, 3));
  expect(new Set(late)).toEqual(new Set([PushResult.taken]));
  expect(buffer.missing).toBe(0);
  expect(buffer.waiting).toBe(0);
});

it('waits for a path that is behind', () => {
  const buffer = make(64, 1000, 2);
  buffer.push(0, 0, 0, 0);
  buffer.push(1, 1, 1, 0);
  // Path 0 says nothing more; its numbers are the even ones.
  const waiting = Array.from({ length: 30 }, (_value, i) => {
    buffer.push(3 + 2 * i, i, 1, 5 + 100 * i);
    buffer.poll(5 + 100 * i + SETTLE_MS);
    return buffer.waiting;
  });
  expect(waiting.slice(0, 10)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(Math.min(...waiting.slice(10, 20))).toBeGreaterThanOrEqual(9);
  // After two paths' times the delay it is not waited for.
  expect(Math.max(...waiting.slice(20))).toBeLessThanOrEqual(3);
});

it('keeps no hole open for a path that is out of use', () => {
  const buffer = make(64, 1000, 2);
  buffer.push(0, 0, 0, 0);
  buffer.push(1, 1, 1, 0);
  // Path 0 has the even numbers, and is cut.
  for (let sequence = 3; sequence <= 11; sequence += 2) buffer.push(sequence, sequence, 1, 1);
  expect(buffer.waiting).toBe(5);
  expect(buffer.setUsable(0, false, 2)).toBe(0);
  expect(buffer.poll(2 + SETTLE_MS)).toBe(3);
  expect(releasedBy(buffer)).toEqual([3, 5, 7]);
  expect(buffer.setUsable(0, false, 7)).toBe(0);
  buffer.push(13, 13, 1, 8);
  expect(buffer.deadlineMs).toBe(8 + SETTLE_MS);
  buffer.poll(8 + SETTLE_MS);
  expect(releasedBy(buffer)).toEqual([9]);
});

it('waits again for a path that is back in use, and not for ever', () => {
  const buffer = make(64, 100, 2);
  buffer.push(0, 0, 1, 0);
  buffer.setUsable(0, false, 0);
  for (let sequence = 1; sequence < 20; sequence++) buffer.push(sequence, sequence, 1, sequence);
  expect(buffer.setUsable(0, true, 20)).toBe(0);
  for (let sequence = 21; sequence < 60; sequence += 2) buffer.push(sequence, sequence, 1, 20);
  expect(buffer.waiting).toBe(20);
  // The first over the returned path takes long.
  expect(buffer.push(20, 20, 0, 60)).toBe(PushResult.taken);
  expect(releasedBy(buffer)).toEqual([20, 21]);
  // It says nothing more: the others are held for the delay only.
  const waiting: number[] = [];
  for (let ms = 61; ms < 1000; ms++) {
    buffer.push(2 * ms, ms, 1, ms);
    waiting.push(buffer.waiting);
  }
  expect(Math.max(...waiting.slice(400))).toBeLessThan(10);
});

it('takes what the second path brings after a rest', () => {
  const buffer = make(256, 100, 2);
  buffer.push(0, 0, 0, 0);
  buffer.push(1, 1, 1, 0);
  const results: PushResult[] = [];
  // 32 packets of path 0 are read before those of path 1.
  for (let i = 0; i < 64; i += 2) results.push(buffer.push(2 + i, i, 0, 500));
  for (let i = 1; i < 64; i += 2) results.push(buffer.push(2 + i, i, 1, 501));
  expect(new Set(results)).toEqual(new Set([PushResult.taken]));
  expect(buffer.waiting).toBe(0);
  expect(buffer.missing).toBe(0);
});

/** The rules in their plainest form: a map, sorted and searched again for each packet. Without restarts and rule 8. */
class Naive {
  readonly #held = new Map<number, { handle: number; atMs: number }>();
  readonly window: number;
  readonly delayMs: number;
  next: number | undefined;

  constructor(window: number, delayMs: number) {
    this.window = window;
    this.delayMs = delayMs;
  }

  push(sequence: number, handle: number, nowMs: number): number[] {
    this.next ??= sequence < this.window ? 0 : sequence;
    if (sequence < this.next || this.#held.has(sequence)) return this.poll(nowMs);
    const out: number[] = [];
    if (sequence >= this.next + 2 * this.window) {
      out.push(...this.#upTo(Infinity), handle);
      this.next = sequence + 1;
      return out;
    }
    if (sequence >= this.next + this.window) out.push(...this.#upTo(sequence - this.window + 1));
    this.#held.set(sequence, { handle, atMs: nowMs });
    out.push(...this.#upTo(this.next), ...this.poll(nowMs));
    return out;
  }

  poll(nowMs: number): number[] {
    const old = [...this.#held]
      .filter(([, { atMs }]) => atMs + this.delayMs <= nowMs)
      .map(([sequence]) => sequence);
    return old.length === 0 ? [] : this.#upTo(Math.max(...old));
  }

  /** Everything before `sequence`, and what follows it without a hole. */
  #upTo(sequence: number): number[] {
    const out: number[] = [];
    const take = (number: number) => {
      out.push(this.#held.get(number)!.handle);
      this.#held.delete(number);
    };
    for (const number of [...this.#held.keys()].sort((a, b) => a - b)) if (number < sequence) take(number);
    if (sequence !== Infinity) this.next = Math.max(this.next!, sequence);
    while (this.#held.has(this.next!)) take(this.next!++);
    return out;
  }
}

/** A network: packet i is sent at i ms and arrives after its delay, perhaps not at all, perhaps twice. */
const journeys = fc.array(
  fc.record({
    copies: fc.constantFrom(1, 1, 1, 1, 0, 2),
    delayMs: fc.integer({ min: 0, max: 60 }),
    path: fc.integer({ min: 0, max: 2 }),
  }),
  { minLength: 1, maxLength: 200, size: 'max' },
);

interface Arrival {
  readonly sequence: number;
  readonly path: number;
  readonly atMs: number;
}

function arrivalsOf(
  network: readonly { copies: number; delayMs: number; path: number }[],
  first: number,
  delayOf: (journey: { delayMs: number; path: number }) => number,
): Arrival[] {
  return network
    .flatMap((journey, i) =>
      Array.from({ length: journey.copies }, (_value, copy) => ({
        sequence: first + i,
        path: journey.path,
        atMs: i + delayOf(journey) + copy * 7,
      })),
    )
    .sort((a, b) => a.atMs - b.atMs);
}

it('does what the naive form does, under any loss, duplication and delay', () => {
  fc.assert(
    fc.property(
      journeys,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 80 }),
      fc.constantFrom(0, 60, 1_000_000),
      (network, window, maxDelayMs, first) => {
        const buffer = make(window, maxDelayMs);
        const naive = new Naive(window, maxDelayMs);
        for (const [handle, { sequence, atMs }] of arrivalsOf(
          network,
          first,
          ({ delayMs }) => delayMs,
        ).entries()) {
          const expectedOld = naive.poll(atMs);
          buffer.poll(atMs);
          expect(releasedBy(buffer)).toEqual(expectedOld);
          // What the restart detector decides is tested with it; here such cases end the run.
          const result = buffer.push(sequence, handle, 0, atMs);
          if (result === PushResult.restarted) return;
          expect(releasedBy(buffer)).toEqual(naive.push(sequence, handle, atMs));
        }
      },
    ),
    { numRuns: 300 },
  );
});

it('never twice, never out of order, never longer than the delay, and every handle comes back', () => {
  fc.assert(
    fc.property(
      journeys,
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 0, max: 80 }),
      fc.constantFrom(0, 5000, 2 ** 32 - 90),
      fc.boolean(),
      fc.array(
        fc.record({ arrival: fc.nat(200), path: fc.integer({ min: 0, max: 2 }), isUsable: fc.boolean() }),
        { maxLength: 8 },
      ),
      (network, window, maxDelayMs, first, isSteady, words) => {
        const buffer = make(window, maxDelayMs, 3);
        const taken = new Map<number, { sequence: number; atMs: number }>();
        const seen = new Set<number>();
        let last = -1;
        const take = (nowMs: number, mayRestart: boolean) => {
          for (const handle of releasedBy(buffer)) {
            const packet = taken.get(handle);
            expect(packet, `handle ${handle} is released once`).toBeDefined();
            taken.delete(handle);
            expect(nowMs - packet!.atMs).toBeLessThanOrEqual(maxDelayMs);
            if (mayRestart) continue;
            expect(seen.has(packet!.sequence)).toBe(false);
            seen.add(packet!.sequence);
            expect(packet!.sequence).toBeGreaterThan(last);
            last = packet!.sequence;
          }
        };
        let isRestarted = false;
        const delayOf = (journey: { delayMs: number; path: number }) =>
          isSteady ? journey.path * 20 : journey.delayMs;
        for (const [handle, { sequence, path, atMs }] of arrivalsOf(network, first, delayOf).entries()) {
          while (buffer.deadlineMs <= atMs) {
            const nowMs = buffer.deadlineMs;
            buffer.poll(nowMs);
            take(nowMs, isRestarted);
          }
          for (const word of words) {
            if (word.arrival !== handle) continue;
            buffer.setUsable(word.path, word.isUsable, atMs);
            take(atMs, isRestarted);
          }
          taken.set(handle, { sequence, atMs });
          const result = buffer.push(sequence >>> 0, handle, path, atMs);
          isRestarted ||= result === PushResult.restarted;
          if (result >= FIRST_DROPPED) taken.delete(handle);
          take(atMs, isRestarted);
          expect(buffer.waiting).toBeLessThan(window);
          expect(taken.size).toBe(buffer.waiting);
        }
        buffer.flush();
        expect(buffer.releasedCount).toBe(taken.size);
        expect(buffer.waiting).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

it('over paths that keep their order, giving up early loses nothing that arrives', () => {
  fc.assert(
    fc.property(journeys, fc.integer({ min: 1, max: 3 }), (network, spread) => {
      const buffer = make(512, 1000, 3);
      const once = network.map((journey) => Object.assign(journey, { copies: Math.min(1, journey.copies) }));
      const arrivals = arrivalsOf(once, 0, ({ path }) => path * spread * 10);
      for (const [handle, { sequence, path, atMs }] of arrivals.entries()) {
        // A path is waited for from its first packet on.
        const heardMs = arrivals.find((other) => other.path === path)!.atMs;
        const result = buffer.push(sequence, handle, path, atMs);
        if (sequence >= heardMs) expect(result).toBe(PushResult.taken);
      }
    }),
    { numRuns: 300 },
  );
});
