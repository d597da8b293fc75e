import { beforeEach, describe, expect, it } from 'vitest';
import type { PathReport } from '../control-api.ts';
import { PathBook, PATHS_MAX, readPath, type LinkState, type PathChange } from './path-book.ts';
import { SubflowRecord } from './records.ts';

const STEP_MS = 500;
const UP: LinkState = { up: true };

let book: PathBook;
let nowMs: number;
let links: Map<string, LinkState>;

beforeEach(() => {
  book = new PathBook();
  nowMs = 1_000_000;
  links = new Map([
    ['wlan0', UP],
    ['eth0', UP],
  ]);
});

const report = (link: string, address: string, more: Partial<PathReport> = {}): PathReport => ({
  link,
  address,
  family: 4,
  backup: false,
  state: 'active',
  ...more,
});

const WLAN = report('wlan0', '10.1.0.2', { gateway: '10.1.0.1', table: 7, endpointId: 3 });
const ETH = report('eth0', '10.2.0.2');

function makeSubflow(localAddress: string, values: Partial<SubflowRecord> = {}): SubflowRecord {
  const ends = { localAddress, localPort: 1, remoteAddress: '203.0.113.9', remotePort: 80 };
  return Object.assign(new SubflowRecord(1, 7, ends), { state: 1, dataAgoMs: 10, ackAgoMs: 10 }, values);
}

/** One look. @param onLink what an address is on that nobody reports */
function look(
  reports: readonly PathReport[],
  subflows: readonly SubflowRecord[] = [],
  onLink?: string,
): PathChange[] {
  nowMs += STEP_MS;
  book.begin(nowMs, reports);
  for (const subflow of subflows) book.carry(subflow, () => onLink);
  return book.end(STEP_MS, (link) => links.get(link));
}

const stateOf = (id: string) => {
  const path = book.get(id);
  return path === undefined ? undefined : [path.state, path.why];
};
const WLAN_ID = 'wlan0 10.1.0.2';

describe('numbers', () => {
  it('are the sums and rates of what its subflows moved', () => {
    const subflow = makeSubflow('10.1.0.2', {
      sentNew: 1000,
      receivedNew: 5000,
      retransmittedNew: 1,
      segmentsNew: 10,
      rttUs: 30_000,
    });
    look([WLAN, ETH], [subflow, makeSubflow('10.1.0.2', { rttUs: 10_000 }), makeSubflow('10.1.0.2')]);
    look([WLAN, ETH], [subflow]);
    expect(subflow).toMatchObject({ path: WLAN_ID, link: 'wlan0' });
    expect(readPath(book.get(WLAN_ID)!)).toMatchObject({
      gateway: '10.1.0.1',
      table: 7,
      endpointId: 3,
      subflows: 1,
      sentBytes: 2000,
      receivedBytes: 10_000,
      sentBitsPerSecond: 16_000,
      receivedBitsPerSecond: 80_000,
      retransmittedSegments: 2,
      retransmissionsPerSecond: 2,
      lossShare: 0.1,
      rttUs: 30_000,
    });
    // The loss is of the last ten seconds, the sums are for ever.
    for (let i = 0; i < 25; i++) look([WLAN, ETH]);
    const rested = readPath(book.get(WLAN_ID)!);
    expect(rested).toMatchObject({ sentBytes: 2000, receivedBitsPerSecond: 0 });
    expect(rested).not.toHaveProperty('lossShare');
    expect(rested).not.toHaveProperty('rttUs');
  });

  it('of loopback are nobody’s', () => {
    const subflow = makeSubflow('127.0.0.1');
    look([WLAN], [subflow], 'lo');
    expect(subflow.path).toBeUndefined();
    expect(book.paths().map(({ id }) => id)).toEqual([WLAN_ID]);
  });

  it('are kept for a path that only its subflows show, and it is told as gone for a while when they end', () => {
    links.set('tun9', UP);
    look([WLAN], [makeSubflow('192.0.2.7', { sentNew: 4 })], 'tun9');
    expect(stateOf('tun9 192.0.2.7')).toEqual(['active', undefined]);
    const [change] = look([WLAN]);
    expect(change).toMatchObject({ before: 'active', state: 'down', why: 'the address is gone' });
    for (let i = 0; i < 150; i++) look([WLAN]);
    expect(stateOf('tun9 192.0.2.7')).toBeUndefined();
  });
});

describe('the state', () => {
  it('is what the supervisor says, unless its link says worse', () => {
    look([
      report('wlan0', '10.1.0.2', { backup: true }),
      report('eth0', '10.2.0.2', { state: 'waiting', why: 'no route' }),
    ]);
    expect(stateOf(WLAN_ID)).toEqual(['backup', undefined]);
    expect(stateOf('eth0 10.2.0.2')).toEqual(['waiting', 'no route']);
    links.set('wlan0', { up: false, why: 'no carrier' });
    expect(look([WLAN, ETH])).toMatchObject([
      { path: { id: WLAN_ID, state: 'down' }, before: 'backup', state: 'down', why: 'no carrier' },
      { path: { id: 'eth0 10.2.0.2' }, before: 'waiting', state: 'active' },
    ]);
    links.delete('wlan0');
    look([WLAN, ETH]);
    expect(stateOf(WLAN_ID)).toEqual(['down', 'the link is gone']);
  });

  const silent = (sure: boolean, agoMs = 600) =>
    makeSubflow('10.1.0.2', {
      dataAgoMs: agoMs,
      ackAgoMs: agoMs,
      silence: { sinceMs: nowMs + STEP_MS - agoMs, sign: 'silent', sure, why: 'nothing comes' },
    });

  it('is stale while a subflow is silent and nothing else has come over the path since', () => {
    look([WLAN]);
    expect(look([WLAN], [silent(false)])).toMatchObject([{ state: 'stale', why: 'nothing comes' }]);
    expect(look([WLAN], [silent(false, 1100)])).toEqual([]);
    // Another connection hears something: it is not the path.
    expect(look([WLAN], [silent(false, 1600), makeSubflow('10.1.0.2')])).toMatchObject([
      { before: 'stale', state: 'active' },
    ]);
  });

  it('is not stale any more when what was not sure is taken back', () => {
    look([WLAN], [silent(false)]);
    look([WLAN], [makeSubflow('10.1.0.2', { dataAgoMs: 1200, ackAgoMs: 1200 })]);
    expect(stateOf(WLAN_ID)).toEqual(['active', undefined]);
  });

  it('stays stale for a while when it was sure and the connection is gone, until something comes', () => {
    look([WLAN], [silent(true)]);
    look([WLAN]);
    expect(stateOf(WLAN_ID)![0]).toBe('stale');
    look([WLAN], [makeSubflow('10.1.0.2')]);
    expect(stateOf(WLAN_ID)![0]).toBe('active');
    look([WLAN], [silent(true)]);
    for (let i = 0; i < 130; i++) look([WLAN]);
    expect(stateOf(WLAN_ID)![0]).toBe('active');
  });

  it('forgets that it was stale when the link goes down and comes back', () => {
    look([WLAN], [silent(true)]);
    links.set('wlan0', { up: false, why: 'no carrier' });
    look([WLAN]);
    links.set('wlan0', UP);
    expect(look([WLAN])).toMatchObject([{ before: 'down', state: 'active' }]);
  });
});

it('is bounded: with too many paths the new ones are left out until old ones are gone', () => {
  const reports = Array.from({ length: PATHS_MAX + 10 }, (_, n) => report('eth0', `10.0.${n}.2`));
  look(reports);
  expect(book.paths()).toHaveLength(PATHS_MAX);
  expect(book.omitted).toBe(10);
  look(reports);
  expect(book.omitted).toBe(10);
  look([]);
  look([WLAN]);
  expect(book.paths()).toHaveLength(PATHS_MAX);
  expect(stateOf(WLAN_ID)).toEqual(['active', undefined]);
});
