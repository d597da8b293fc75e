import { beforeEach, describe, expect, it } from 'vitest';
import { ConnectionRecord, SubflowRecord } from './records.ts';
import { isWorthWatching, judgeSilence, msUntilMissing, noteArrivals } from './silence.ts';

const STEP_MS = 250;
let nowMs = 0;
let connection: ConnectionRecord;
let subflows: SubflowRecord[];

/** What a subflow does in one step. */
interface Doing {
  readonly received?: number;
  /** Since the last of it came. */
  readonly dataAgoMs?: number;
  readonly timeouts?: number;
  readonly unacked?: number;
  /** An acknowledgement comes. */
  readonly acked?: boolean;
}

function makeSubflow(n: number): SubflowRecord {
  const ends = { localAddress: `10.${n}.0.2`, localPort: 1, remoteAddress: '203.0.113.9', remotePort: 80 };
  const subflow = new SubflowRecord(n, 7, ends);
  Object.assign(subflow, {
    state: 1,
    initial: n === 1,
    rttUs: 20_000,
    connection,
    dataAgoMs: 0,
    ackAgoMs: 0,
  });
  connection.subflows.push(subflow);
  return subflow;
}

/** Lets time pass; what nobody names does nothing. */
function step(...doing: Doing[]): void {
  nowMs += STEP_MS;
  for (const [index, subflow] of subflows.entries()) {
    const { acked = false, dataAgoMs = 5, received = 0, timeouts = 0, unacked = 0 } = doing[index] ?? {};
    subflow.seen++;
    subflow.receivedNew = received;
    subflow.dataAgoMs = received > 0 ? dataAgoMs : subflow.dataAgoMs + STEP_MS;
    subflow.ackAgoMs = acked ? 5 : subflow.ackAgoMs + STEP_MS;
    subflow.timeoutsInRow = timeouts;
    subflow.unackedSegments = unacked;
  }
  for (const subflow of subflows) {
    noteArrivals(subflow, STEP_MS);
    subflow.silence = judgeSilence(subflow, nowMs);
  }
}

const steps = (count: number, ...doing: Doing[]) => {
  for (let i = 0; i < count; i++) step(...doing);
};

/** A steady stream: 100 KB a step is 3.2 Mbit/s. */
const FLOW: Doing = { received: 100_000 };
const SENDING: Doing = { acked: true, unacked: 10 };

beforeEach(() => {
  nowMs = 1_000_000;
  connection = new ConnectionRecord(1, 'm7', 7, nowMs);
  subflows = [];
  subflows = [makeSubflow(1), makeSubflow(2)];
});

describe('a download', () => {
  it('over two paths is not silent', () => {
    steps(40, FLOW, FLOW);
    expect(subflows.map(({ silence }) => silence)).toEqual([undefined, undefined]);
  });

  it('one of whose subflows falls silent is noticed within a second, with words', () => {
    steps(8, FLOW, FLOW);
    steps(1, FLOW);
    expect(isWorthWatching(subflows[1]!)).toBe(true);
    expect(subflows[1]!.silence).toBeUndefined();
    steps(2, FLOW);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'silent', sure: false });
    expect(subflows[1]!.silence!.why).toMatch(/^silent although it carried data/);
    expect(subflows[0]!.silence).toBeUndefined();
    steps(10, FLOW);
    expect(subflows[1]!.silence).toMatchObject({ sure: true });
  });

  it('that ends over the slower path first or last leaves nobody silent for good', () => {
    steps(8, FLOW, FLOW);
    steps(4, FLOW);
    expect(subflows[1]!.silence).toBeDefined();
    // The other has ended too.
    steps(2);
    expect(subflows[1]!.silence).toBeUndefined();
    steps(20);
    expect(subflows.map(({ silence }) => silence)).toEqual([undefined, undefined]);
  });

  it('whose silent subflow is heard again is well at once', () => {
    steps(8, FLOW, FLOW);
    steps(20, FLOW);
    expect(subflows[1]!.silence).toBeDefined();
    step(FLOW, { received: 1500 });
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('stays silent when that was sure, also when the others fall silent', () => {
    steps(8, FLOW, FLOW);
    steps(20, FLOW);
    steps(20);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'silent', sure: true });
  });

  it('of which a subflow carried next to nothing before says nothing by its silence', () => {
    steps(8, FLOW, { received: 500 });
    steps(20, FLOW);
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('that cannot go on without a silent subflow tells that at once, and until it is heard again', () => {
    connection.hasOwnBytes = true;
    const deliver = (bytes: number, ...doing: Doing[]) => {
      connection.receivedBytes += bytes;
      step(...doing);
    };
    for (let i = 0; i < 8; i++) deliver(200_000, FLOW, FLOW);
    deliver(20_000, FLOW);
    deliver(0, FLOW);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'missing', sure: false });
    expect(subflows[0]!.silence).toBeUndefined();
    // The window is full, then what is missing comes over the other path.
    for (let i = 0; i < 4; i++) deliver(0);
    for (let i = 0; i < 8; i++) deliver(100_000, FLOW);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'missing', sure: true });
    deliver(100_000, FLOW, { received: 1500 });
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('that cannot go on for a moment only, before it is sent again over another path, is noticed all the same', () => {
    connection.hasOwnBytes = true;
    const deliver = (bytes: number, ...doing: Doing[]) => {
      connection.receivedBytes += bytes;
      step(...doing);
    };
    for (let i = 0; i < 8; i++) deliver(200_000, FLOW, FLOW);
    expect(msUntilMissing(subflows[1]!)).toBe(Infinity);
    deliver(0, FLOW);
    expect(subflows[1]!.silence).toBeUndefined();
    // 255 of 340 ms have passed, and a tick.
    expect(msUntilMissing(subflows[1]!)).toBe(95);
    deliver(200_000, { received: 50_000 });
    expect(msUntilMissing(subflows[1]!)).toBe(Infinity);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'missing', sinceMs: nowMs - 505 });
    // A look whose readings are older than they seem to be.
    subflows[1]!.dataAgoMs -= 150;
    subflows[1]!.ackAgoMs -= 150;
    deliver(100_000, FLOW);
    expect(subflows[1]!.silence).toMatchObject({ sign: 'missing' });
  });

  it('whose reader stops while one path is still busy, which then probes the window, leaves nobody waiting', () => {
    connection.hasOwnBytes = true;
    for (let i = 0; i < 8; i++) {
      connection.receivedBytes += 800_000;
      step({ received: 800_000 }, FLOW);
    }
    // Less than it brings in the time that a silent path is missed for.
    step({ received: 150_000 });
    for (let i = 0; i < 20; i++) step(i % 2 === 0 ? { received: 17_000 } : {});
    expect(subflows.map(({ silence }) => silence)).toEqual([undefined, undefined]);
  });

  it('whose reader stops long after one path has fallen silent by right leaves nobody waiting', () => {
    connection.hasOwnBytes = true;
    const slow: Doing = { received: 10_000 };
    for (let i = 0; i < 8; i++) {
      connection.receivedBytes += 200_000;
      step(FLOW, FLOW);
    }
    for (let i = 0; i < 10; i++) {
      connection.receivedBytes += 10_000;
      step(slow);
    }
    for (let i = 0; i < 4; i++) step(FLOW);
    expect(subflows[1]!.silence?.sign).not.toBe('missing');
  });

  it('whose reader stops for a while leaves nobody waiting for a path', () => {
    connection.hasOwnBytes = true;
    const fast: Doing = { received: 400_000 };
    for (let i = 0; i < 8; i++) {
      connection.receivedBytes += 800_000;
      step(fast, fast);
    }
    // What was on its way: 50 ms.
    step({ received: 80_000, dataAgoMs: STEP_MS - 50 });
    steps(20);
    expect(subflows.map(({ silence }) => silence)).toEqual([undefined, undefined]);
  });

  it('that its reader slows down needs one path only, which says nothing of the other', () => {
    steps(8, FLOW, FLOW);
    // A buffer was filled at full speed; now it takes 10 KB a step, and the sender has one path that is free for it.
    steps(40, { received: 10_000 });
    expect(subflows[1]!.silence).toBeUndefined();
    // A moment at full speed again, which begins at the path that was busy.
    step(FLOW);
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('on a backup is silent by right', () => {
    steps(8, FLOW, FLOW);
    subflows[1]!.backup = true;
    steps(20, FLOW);
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('over a path with long round trips has to be silent for longer', () => {
    subflows[1]!.receiveRttUs = 400_000;
    steps(8, FLOW, FLOW);
    steps(4, FLOW);
    expect(subflows[1]!.silence).toBeUndefined();
    steps(4, FLOW);
    expect(subflows[1]!.silence).toBeDefined();
  });
});

describe('an upload', () => {
  it('that is acknowledged is well, and one lost segment changes nothing', () => {
    steps(8, SENDING, SENDING);
    step(SENDING, { acked: true, unacked: 3, timeouts: 1 });
    expect(subflows.map(({ silence }) => silence)).toEqual([undefined, undefined]);
  });

  it('that is not answered after a timeout is, when the other path is alive', () => {
    steps(8, SENDING, SENDING);
    step(SENDING, { unacked: 10, timeouts: 0 });
    step(SENDING, { unacked: 10, timeouts: 1 });
    expect(subflows[1]!.silence).toMatchObject({ sign: 'unanswered', sure: false });
    step(SENDING, { unacked: 10, timeouts: 2 });
    expect(subflows[1]!.silence).toMatchObject({ sure: true });
    expect(subflows[1]!.silence!.why).toMatch(/^10 segments are not acknowledged after 2 timeouts in a row/);
    step(SENDING, { acked: true });
    expect(subflows[1]!.silence).toBeUndefined();
  });

  it('that uses a path again after a pause, and loses the first segment, says nothing of it yet', () => {
    steps(8, SENDING, SENDING);
    steps(20, SENDING);
    step(SENDING, { unacked: 1, timeouts: 1 });
    expect(subflows[1]!.silence).toBeUndefined();
    step(SENDING, { unacked: 1, timeouts: 2 });
    expect(subflows[1]!.silence).toMatchObject({ sign: 'unanswered' });
  });

  it('over one path alone needs more timeouts', () => {
    connection.subflows.length = 0;
    subflows = [makeSubflow(1)];
    steps(8, SENDING);
    step({ unacked: 10, timeouts: 1 });
    step({ unacked: 10, timeouts: 2 });
    expect(subflows[0]!.silence).toBeUndefined();
    step({ unacked: 10, timeouts: 3 });
    expect(subflows[0]!.silence).toMatchObject({ sign: 'unanswered', sure: true });
  });
});

it('SYNs that are not answered count where the same address answers over another path', () => {
  subflows[1]!.state = 2;
  step({ acked: true }, { timeouts: 1 });
  expect(subflows[1]!.silence).toBeUndefined();
  step({ acked: true }, { timeouts: 2 });
  expect(subflows[1]!.silence).toMatchObject({ sign: 'join', sure: true });
  subflows[0]!.state = 7;
  step({}, { timeouts: 2 });
  expect(subflows[1]!.silence).toBeUndefined();
});
