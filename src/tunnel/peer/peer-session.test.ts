import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DEFAULT_KEY_TEXT, keyOf } from '../control/authentication.ts';
import { PathStatus } from '../control/path-status.ts';
import { emitKeepalive, KEEPALIVE_BYTES } from '../wire/keepalive.ts';
import { parseExtension } from './peer-extension.ts';
import { mapped, VirtualPath } from '../../../test/support/tunnel-virtual-path.ts';

const KEY = keyOf('0123456789abcdef0123456789abcdef');
const SECRET = { key: KEY };

const originalKeepalive = (side: 0 | 1) => {
  const out = new Uint8Array(KEEPALIVE_BYTES);
  emitKeepalive(out, 0, {
    ipVersion: 4,
    ipLocal: mapped(1 + side),
    ipRemote: mapped(2 - side),
    extension: new Uint8Array(0),
  });
  return out;
};

it('two Wefts know each other after two round trips, and measure', () => {
  const path = new VirtualPath();
  expect(path.seen).toHaveLength(0);
  path.run(1);
  // What goes first is an original's keepalive but for the mark.
  expect(path.seen.map(({ datagram }) => datagram.length)).toEqual([44, 44]);
  expect(path.runUntil(() => path.ends.every(({ session }) => session.isWeft), 1000)).toBe(true);
  expect(path.nowMs).toBeLessThan(1000 + 4 * 20 + 10);
  path.run(7000);
  for (const { session, merged } of path.ends) {
    expect(merged.peer).toBe('weft');
    expect(merged.isRestarted).toBe(false);
    expect(session.rttUs).toBeCloseTo(20_000, -3);
    expect(session.jitterUs).toBeLessThan(100);
    expect(session.lossRatio).toBe(0);
    expect(session.datagramBytesMax).toBe(1472);
    expect(session.counters).toMatchObject({
      malformed: 0,
      notAuthentic: 0,
      late: 0,
      strangers: 0,
      restarts: 0,
    });
  }
  expect(path.ends[0].session.observedAddress).toEqual({ address: mapped(101), port: 4000 });
});

it('an original peer gets 44 bytes, and its own timers', () => {
  const path = new VirtualPath();
  path.drops[1] = () => true;
  for (let round = 0; round < 20; round++) {
    path.run(1000);
    const news = path.inject(0, originalKeepalive(1), path.ends[1].at);
    expect(news.isHeard).toBe(true);
  }
  const { session, state } = path.ends[0];
  expect(session.isWeft).toBe(false);
  expect(state.isUsable).toBe(true);
  expect(session.timers).toEqual({ keepaliveMs: 1000, deadMs: 3000 });
  expect(session.datagramBytesMax).toBe(1472);
  const mine = path.seen.filter(({ from }) => from === 0);
  expect(mine).toHaveLength(20);
  expect(mine.every(({ datagram }) => datagram.length === 44)).toBe(true);
});

it.each([
  ['without a key', {}],
  ['with a key', SECRET],
])('a restart of the peer is recognised within two round trips, %s', (_, options) => {
  const path = new VirtualPath(options, options);
  path.run(3000);
  path.restart(1, { ...options, sessionNumber: 77 });
  path.ends[0].news.length = 0;
  const isRecognised = () => path.ends[0].news.some(({ isRestarted }) => isRestarted);
  expect(path.runUntil(isRecognised, 100)).toBe(true);
  expect(path.ends[0].session.counters.restarts).toBe(1);
  path.run(12_000);
  expect(path.ends.map(({ session }) => session.isWeft)).toEqual([true, true]);
  expect(path.ends.map(({ state }) => state.isUsable)).toEqual([true, true]);
  expect(path.ends[0].session.lossRatio).toBe(0);
});

it('Weft that becomes an original is seen to be one, later where there is a key', () => {
  for (const [options, seconds] of [
    [{}, 12],
    [SECRET, 62],
  ] as const) {
    const path = new VirtualPath(options, options);
    path.run(3000);
    path.drops[1] = () => true;
    for (let round = 0; round < seconds; round++) {
      path.run(1000);
      path.inject(0, originalKeepalive(1), path.ends[1].at);
    }
    const { session, news, state } = path.ends[0];
    expect(session.isWeft).toBe(false);
    expect(news.filter(({ peer }) => peer === 'original')).toHaveLength(1);
    expect(session.timers).toEqual({ keepaliveMs: 1000, deadMs: 3000 });
    expect(state.isUsable).toBe(true);
    expect(path.seen.findLast(({ from }) => from === 0)!.datagram).toHaveLength(44);
  }
});

it('short intervals when busy, longer when idle, and the dead time follows', () => {
  const path = new VirtualPath();
  path.run(1000);
  const { session } = path.ends[0];
  expect(session.timers).toEqual({ keepaliveMs: 250, deadMs: 775 });
  // One direction is enough to make both ends busy.
  path.load[1] = 1;
  path.run(1000);
  expect(path.ends.map((end) => end.session.timers)).toEqual([
    { keepaliveMs: 50, deadMs: 175 },
    { keepaliveMs: 50, deadMs: 175 },
  ]);
  path.load[1] = 0;
  path.run(4000);
  expect(session.timers).toEqual({ keepaliveMs: 250, deadMs: 775 });
});

it('a path that falls silent in mid-stream is dead within 200 ms at both ends', () => {
  const path = new VirtualPath();
  path.load[0] = 2;
  path.run(3000);
  path.drops[0] = () => true;
  path.drops[1] = () => true;
  const cutMs = path.nowMs;
  expect(path.runUntil(() => path.ends.every(({ state }) => !state.isUsable), 1000)).toBe(true);
  expect(path.nowMs - cutMs).toBeLessThanOrEqual(200);
  path.drops[0] = () => false;
  path.drops[1] = () => false;
  const healedMs = path.nowMs;
  expect(path.runUntil(() => path.ends.every(({ state }) => state.isUsable), 1000)).toBe(true);
  expect(path.nowMs - healedMs).toBeLessThanOrEqual(100);
});

it('slowing down never looks like a dead path, even if one keepalive in ten is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 9 }), (lostOne) => {
      const path = new VirtualPath();
      path.run(2000);
      let count = 0;
      path.drops[0] = () => ++count % 10 === lostOne;
      for (let round = 0; round < 2; round++) {
        path.load[1] = 1;
        path.run(1500);
        path.load[1] = 0;
        for (let ms = 0; ms < 4000; ms += 50) {
          path.run(50);
          expect(path.ends[1].state.isUsable).toBe(true);
        }
      }
    }),
    { numRuns: 10 },
  );
}, 30_000);

it('seconds stay seconds when one end has no dead time', () => {
  const path = new VirtualPath({ timers: { keepaliveMs: 1000, deadMs: 0 } });
  path.load[0] = 1;
  path.run(5000);
  expect(path.ends.map(({ session }) => session.isWeft)).toEqual([true, true]);
  expect(path.ends.map(({ session }) => session.timers)).toEqual([
    { keepaliveMs: 1000, deadMs: 0 },
    { keepaliveMs: 1000, deadMs: 3000 },
  ]);
});

it('loss is exact in each direction, under load and idle', () => {
  for (const load of [5, 0]) {
    const path = new VirtualPath();
    path.load[0] = load;
    path.load[1] = load;
    path.run(1000);
    let count = 0;
    path.drops[0] = () => ++count % 5 === 0;
    path.run(load > 0 ? 20_000 : 60_000);
    expect(path.ends[0].session.lossRatio).toBeCloseTo(0.2, 1);
    expect(path.ends[1].session.incomingLossRatio).toBeCloseTo(0.2, 1);
    expect(path.ends[1].session.lossRatio).toBeLessThan(0.02);
    expect(path.ends[0].session.incomingLossRatio).toBeLessThan(0.02);
  }
});

it('the rate that arrives is known, and no capacity while nothing is congested', () => {
  const path = new VirtualPath();
  path.load[0] = 3;
  path.run(5000);
  const { session } = path.ends[0];
  expect(session.deliveredBps! / 24e6).toBeCloseTo(1, 1);
  expect(session.capacityBps).toBeUndefined();
  expect(path.ends[1].session.capacityBps).toBeUndefined();
});

it('a word arrives at once and is acknowledged, and a new process is told, too', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.run(1100);
  const isDown = () => path.ends[1].state.status === PathStatus.down;
  const delivered = () =>
    path.ends[0].news.findLast((news) => news.deliveredWord !== undefined)?.deliveredWord;
  path.ends[0].state.setByHand(false, path.nowMs);
  expect(path.runUntil(isDown, 12)).toBe(true);
  path.run(1000);
  expect(delivered()).toBe(PathStatus.down);
  // No keepalives go over a path that is set down, but the new process asks.
  path.restart(1, { ...SECRET, sessionNumber: 9 });
  expect(path.runUntil(isDown, 200)).toBe(true);
  path.run(100);
  path.ends[0].state.setByHand(true, path.nowMs);
  expect(path.runUntil(() => !isDown(), 12)).toBe(true);
  path.run(1000);
  expect(delivered()).toBe(PathStatus.ok);
});

it('"down" by another way is put right by the next keepalive that says up', () => {
  const path = new VirtualPath();
  path.run(2000);
  path.ends[0].state.handleWord(PathStatus.down, path.nowMs);
  expect(path.ends[0].state.isUsable).toBe(false);
  path.run(300);
  expect(path.ends[0].state.isUsable).toBe(true);
});

it('a peer that moves is followed where there is a secret key, and only there', () => {
  for (const [key, follows] of [
    [KEY, true],
    [undefined, false],
    [keyOf(DEFAULT_KEY_TEXT), false],
  ] as const) {
    const options = key === undefined ? {} : { key };
    const path = new VirtualPath(options, options);
    path.run(3000);
    path.ends[1].at = { address: mapped(200), port: 61_000 };
    path.run(3000);
    expect(path.ends[0].news.filter(({ moved }) => moved !== undefined)).toHaveLength(follows ? 1 : 0);
    expect(path.ends[0].state.isUsable).toBe(follows);
    if (!follows) continue;
    expect(path.ends[0].remote).toEqual({ address: mapped(200), port: 61_000 });
    expect(path.ends[1].session.observedAddress).toEqual(path.ends[1].at);
  }
});

it('a peer that is elsewhere from the start is answered there and then followed', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.ends[1].at = { address: mapped(200), port: 61_000 };
  path.run(2000);
  expect(path.seen.every(({ datagram }) => datagram.length === 44)).toBe(true);
  expect(path.ends[0].session.counters.strangers).toBeGreaterThan(0);
  path.run(2000);
  expect(path.ends.map(({ session }) => session.isWeft)).toEqual([true, true]);
  expect(path.ends[0].remote).toEqual(path.ends[1].at);
  expect(path.ends.map(({ state }) => state.isUsable)).toEqual([true, true]);
});

it('a port that a translator chose is answered at once, as the address is right', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.ends[1].at = { address: mapped(102), port: 61_000 };
  const isKnown = () => path.ends.every(({ session }) => session.isWeft);
  expect(path.runUntil(isKnown, 200)).toBe(true);
  expect(path.ends[0].remote).toEqual(path.ends[1].at);
});

it('nothing that was recorded counts again', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.load[0] = 1;
  path.run(2000);
  // An earlier session of the peer, too.
  path.restart(1, { ...SECRET, sessionNumber: 5 });
  path.run(2000);
  const recorded = path.seen.map(({ datagram }) => datagram);
  path.drops[0] = () => true;
  path.drops[1] = () => true;
  path.run(2000);
  const [end] = path.ends;
  expect(end.state.isUsable).toBe(false);
  const before = { rtt: end.session.rttUs, restarts: end.session.counters.restarts };
  const elsewhere = { address: mapped(66), port: 6 };
  for (const datagram of recorded) {
    for (const from of [path.ends[1].at, elsewhere]) {
      const news = path.inject(0, datagram, from);
      expect(news).toMatchObject({ isHeard: false, isRestarted: false });
      expect(news.moved).toBeUndefined();
      expect(news.word).toBeUndefined();
    }
  }
  expect({ rtt: end.session.rttUs, restarts: end.session.counters.restarts }).toEqual(before);
  expect(end.remote).toEqual(path.ends[1].at);
  path.drops[0] = () => false;
  path.drops[1] = () => false;
  expect(path.runUntil(() => path.ends.every(({ state }) => state.isUsable), 1000)).toBe(true);
});

it('what was recorded of the peer before our own restart does not count either', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.run(5000);
  const recorded = path.seen.filter(({ from }) => from === 1).map(({ datagram }) => datagram);
  path.drops[1] = () => true;
  path.restart(0, { ...SECRET, sessionNumber: 8 });
  for (const datagram of recorded) {
    path.inject(0, datagram, path.ends[1].at);
    path.run(30);
  }
  expect(path.ends[0].session.isWeft).toBe(false);
});

it('what is sent back to its sender is refused', () => {
  const path = new VirtualPath();
  path.run(3000);
  const own = path.seen.findLast(({ from }) => from === 0)!.datagram;
  expect(path.inject(0, own, path.ends[1].at)).toMatchObject({ defect: 'other connection', isHeard: false });
});

it('a port is not learned with the key that everybody knows, nor without', () => {
  for (const options of [{}, { key: keyOf(DEFAULT_KEY_TEXT) }]) {
    const path = new VirtualPath(options, options);
    path.run(2000);
    path.ends[1].at = { ...path.ends[1].at, port: 61_000 };
    path.run(2000);
    expect(path.ends[0].news.some(({ moved }) => moved !== undefined)).toBe(false);
  }
});

it('a wrong key is no Weft, and disturbs nothing', () => {
  const path = new VirtualPath(SECRET, { key: keyOf('another key') });
  path.run(5000);
  expect(path.ends.map(({ session }) => session.isWeft)).toEqual([false, false]);
  expect(path.ends[0].session.counters.notAuthentic).toBeGreaterThan(0);
  expect(path.ends[0].session.timers.keepaliveMs).toBe(1000);
});

it('takes arbitrary bytes from anywhere', () => {
  const path = new VirtualPath();
  path.run(2000);
  const good = path.seen.findLast(({ from }) => from === 1)!.datagram;
  const patch = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 12 });
  fc.assert(
    fc.property(patch, fc.nat(200), fc.boolean(), (patches, length, isFromPeer) => {
      const bytes = new Uint8Array(200);
      bytes.set(good);
      for (const [at, value] of patches) bytes[at] = value;
      const news = path.inject(0, bytes.slice(0, length), isFromPeer ? path.ends[1].at : path.ends[0].at);
      expect(news.moved).toBeUndefined();
      if (!isFromPeer) expect(news.isHeard).toBe(false);
    }),
    { numRuns: 1000 },
  );
  path.run(15_000);
  expect(path.ends.map(({ state }) => state.isUsable)).toEqual([true, true]);
  expect(path.ends.map(({ session }) => session.isWeft)).toEqual([true, true]);
});

it('probes do not count as lost packets, and what they find is used', () => {
  const path = new VirtualPath();
  const mtu = (bytes: number) => bytes + 28 > 1400;
  path.drops[0] = mtu;
  path.run(60_000);
  expect(path.ends[0].session.datagramBytesMax).toBeGreaterThan(1400 - 28 - 8);
  expect(path.ends[0].session.datagramBytesMax).toBeLessThanOrEqual(1400 - 28);
  expect(path.ends[0].session.lossRatio).toBe(0);
  expect(path.ends[1].session.datagramBytesMax).toBe(1472);
});

it('every keepalive on the wire is well-formed', () => {
  const path = new VirtualPath(SECRET, SECRET);
  path.load[1] = 3;
  path.run(3000);
  path.ends[0].state.setByHand(false, path.nowMs);
  path.run(2000);
  expect(path.ends[1].state.status).toBe(PathStatus.down);
  for (const { datagram } of path.seen) {
    if (datagram.length > 44) expect(typeof parseExtension(datagram)).toBe('object');
  }
});

it('whatever happened, two ends of a healed path know each other and use it', () => {
  const step = fc.record({
    lost: fc.tuple(fc.boolean(), fc.boolean()),
    load: fc.tuple(fc.nat(1), fc.nat(1)),
    hand: fc.constantFrom(undefined, true, false),
    restarts: fc.constantFrom(undefined, 0, 1),
    durationMs: fc.integer({ min: 10, max: 2500 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6, size: 'max' }), fc.boolean(), (steps, isKeyed) => {
      const options = isKeyed ? SECRET : {};
      const path = new VirtualPath(options, options);
      let session = 10_000;
      for (const { lost, load, hand, restarts, durationMs } of steps) {
        for (const side of [0, 1] as const) {
          path.drops[side] = () => lost[side];
          path.load[side] = load[side];
        }
        if (restarts !== undefined) path.restart(restarts, { ...options, sessionNumber: session++ });
        if (hand !== undefined) path.ends[0].state.setByHand(hand, path.nowMs);
        path.run(durationMs);
      }
      for (const side of [0, 1] as const) path.drops[side] = () => false;
      path.ends[0].state.setByHand(true, path.nowMs);
      path.run(5000);
      expect(path.ends.map((end) => end.session.isWeft)).toEqual([true, true]);
      expect(path.ends.map((end) => end.state.isUsable)).toEqual([true, true]);
      for (const { session: mine } of path.ends) {
        expect(mine.counters).toMatchObject({ malformed: 0, strangers: 0 });
        expect(mine.timers.deadMs).toBeLessThan(1000);
      }
    }),
    { numRuns: 12 },
  );
}, 30_000);
