import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MtuSearch } from './mtu-search.ts';

const HEADER_BYTES = 28;

/** A path that carries `mtu`, and a peer that tells of a keepalive every 100 ms. */
class Path {
  readonly search: MtuSearch;
  mtu: number;
  isSilent = false;
  isBusy = false;
  isLost: () => boolean = () => false;
  nowMs = 0;
  probes: number[] = [];
  #number = 1;
  #arrived = 0;

  constructor(linkMtu: number, mtu: number) {
    this.search = new MtuSearch({ headerBytes: HEADER_BYTES, linkMtu });
    this.mtu = mtu;
  }

  get max(): number {
    return this.search.datagramBytesMax + HEADER_BYTES;
  }

  run(durationMs: number): void {
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; this.nowMs += 10) {
      const size = this.search.poll(this.nowMs, this.isBusy);
      if (size !== undefined) {
        const number = this.#number++;
        this.search.handleSent(number, this.nowMs);
        this.probes.push(size + HEADER_BYTES);
        if (size + HEADER_BYTES <= this.mtu && !this.isLost() && !this.isSilent) this.#arrived = number;
      }
      if (this.nowMs % 100 === 0 && !this.isSilent) {
        this.search.handleEcho(this.#number++, this.#arrived, this.nowMs);
      }
    }
  }
}

const started = (linkMtu: number, mtu: number) => {
  const path = new Path(linkMtu, mtu);
  path.search.start(0);
  return path;
};

it("takes the link's MTU with one probe where it goes through", () => {
  const path = started(1500, 1500);
  path.run(60_000);
  expect(path.probes).toEqual([1500]);
  expect(path.max).toBe(1500);
});

it('off: the link alone counts, and what the kernel refused', () => {
  const path = new Path(1500, 1400);
  path.run(60_000);
  expect(path.probes).toEqual([]);
  expect(path.max).toBe(1500);
  expect(path.search.handleTooLong(1465, path.nowMs)).toBe(true);
  expect(path.max).toBe(1492);
});

it('finds any MTU to eight bytes, and never says more than the link has', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 576, max: 65_535 }),
      fc.integer({ min: 576, max: 9500 }),
      (linkMtu, pathMtu) => {
        const path = started(linkMtu, pathMtu);
        path.run(3200);
        // Three probes decide; from then on nothing is said that does not go through, but for IPv6's minimum.
        for (let step = 0; step < 100; step++) {
          path.run(1000);
          expect(path.max).toBeLessThanOrEqual(Math.min(linkMtu, Math.max(pathMtu, step < 4 ? 1280 : 0)));
        }
        expect(path.search.isDone).toBe(true);
        expect(Math.min(linkMtu, pathMtu) - path.max).toBeLessThanOrEqual(8);
        expect(path.probes.every((mtu) => mtu <= linkMtu)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

it('one lost probe in three changes nothing', () => {
  const path = started(1500, 1500);
  let count = 0;
  path.isLost = () => ++count % 3 !== 0;
  path.run(10_000);
  expect(path.max).toBe(1500);
});

it('a silent path proves nothing', () => {
  const path = started(1500, 1400);
  path.isSilent = true;
  path.run(100_000);
  expect(path.max).toBe(1500);
  expect(path.probes).toHaveLength(1);
  path.isSilent = false;
  path.run(60_000);
  expect(path.max).toBe(1400);
});

it('a black hole is found when data is lost, or in half a minute of a busy path', () => {
  for (const isSuspected of [true, false]) {
    const path = started(1500, 1500);
    path.isBusy = !isSuspected;
    path.run(60_000);
    path.mtu = 1300;
    if (isSuspected) path.search.suspect(path.nowMs);
    path.run(isSuspected ? 3500 : 34_000);
    expect(path.max).toBeGreaterThanOrEqual(1280);
    expect(path.max).toBeLessThanOrEqual(1300);
    path.run(60_000);
    expect(path.max).toBeGreaterThan(1292);
    expect(path.max).toBeLessThanOrEqual(1300);
  }
});

it('looks above again after ten minutes, and at once with another link', () => {
  const path = started(1500, 1400);
  path.run(60_000);
  expect(path.max).toBe(1400);
  path.mtu = 1500;
  path.run(600_000);
  expect(path.max).toBe(1500);
  path.mtu = 9000;
  expect(path.search.setLinkMtu(9000, path.nowMs)).toBe(true);
  path.run(1000);
  expect(path.max).toBe(9000);
  expect(path.search.setLinkMtu(1280, path.nowMs)).toBe(true);
  expect(path.max).toBe(1280);
});

it('what the kernel refuses is not probed again', () => {
  const path = started(9000, 1400);
  path.run(10);
  expect(path.search.handleTooLong(9000 - HEADER_BYTES, path.nowMs)).toBe(true);
  path.run(60_000);
  expect(path.max).toBe(1400);
  expect(path.probes.filter((mtu) => mtu === 9000)).toHaveLength(1);
});

it('an echo of what was sent before the probe proves nothing', () => {
  const search = new MtuSearch({ headerBytes: HEADER_BYTES, linkMtu: 1500 });
  search.start(0);
  expect(search.poll(0, false)).toBe(1472);
  search.handleSent(10, 0);
  for (let ms = 1000; ms < 10_000; ms += 1000) search.handleEcho(9, 0, ms);
  expect(search.poll(10_000, false)).toBeUndefined();
  expect(search.datagramBytesMax).toBe(1472);
  search.handleEcho(11, 0, 10_000);
  expect(search.poll(10_000, false)).toBe(1472);
});
