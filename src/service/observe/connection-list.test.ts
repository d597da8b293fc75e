import { expect, it } from 'vitest';
import { readDetail, readPage } from './connection-list.ts';
import type { ConnectionQuery } from './model.ts';
import { ConnectionRecord, SubflowRecord } from './records.ts';

const NOW = { nowMs: 100_000, wallMs: 5_000_000 };

function make(n: number, values: Partial<ConnectionRecord> = {}): ConnectionRecord {
  const record = new ConnectionRecord(n, `m${n}`, n, n * 1000);
  const ends = {
    localAddress: '10.0.0.2',
    localPort: 40_000 + n,
    remoteAddress: `203.0.113.${n}`,
    remotePort: 443,
  };
  Object.assign(record, ends, { state: 'established', seen: 1 }, values);
  const subflow = Object.assign(new SubflowRecord(n, n, ends), {
    seen: 1,
    state: 1,
    link: n % 2 === 0 ? 'wlan0' : 'eth0',
    path: n % 2 === 0 ? 'wlan0 10.0.0.2' : 'eth0 10.0.0.2',
    rttUs: n * 1000,
    retransmittedSegments: n,
    connection: record,
  });
  record.subflows.push(subflow);
  return record;
}

const all = [
  make(1, { sentBitsPerSecond: 10, program: 'curl' }),
  make(2, { sentBitsPerSecond: 30, target: 'Example.org:443', owner: 'proxy', sentBytes: 7 }),
  make(3, { receivedBitsPerSecond: 20, program: 'Firefox', fallbackReason: 'no MPTCP', protocol: 'tcp' }),
];

const ids = (query: ConnectionQuery) => readPage(all, query, NOW, 42).rows.map(({ id }) => id);

it('sorts by every key, in both orders, what has no value last', () => {
  expect(ids({})).toEqual(['m2', 'm3', 'm1']);
  expect(ids({ sort: 'rate', order: 'ascending' })).toEqual(['m1', 'm3', 'm2']);
  expect(ids({ sort: 'bytes' })).toEqual(['m2', 'm1', 'm3']);
  expect(ids({ sort: 'rtt', order: 'ascending' })).toEqual(['m1', 'm2', 'm3']);
  expect(ids({ sort: 'retransmissions' })).toEqual(['m3', 'm2', 'm1']);
  expect(ids({ sort: 'age' })).toEqual(['m1', 'm2', 'm3']);
  expect(ids({ sort: 'remote', order: 'ascending' })).toEqual(['m1', 'm3', 'm2']);
  expect(ids({ sort: 'program' })).toEqual(['m1', 'm3', 'm2']);
  expect(ids({ sort: 'program', order: 'ascending' })).toEqual(['m3', 'm1', 'm2']);
  expect(ids({ sort: 'subflows' })).toEqual(['m1', 'm2', 'm3']);
});

it('finds rows that have every word somewhere, in any case', () => {
  expect(ids({ search: 'FIREFOX' })).toEqual(['m3']);
  expect(ids({ search: 'example.org proxy' })).toEqual(['m2']);
  expect(ids({ search: 'example.org tcp' })).toEqual([]);
  expect(ids({ search: '  eth0 ' })).toEqual(['m3', 'm1']);
  expect(ids({ search: '203.0.113.3:443' })).toEqual(['m3']);
  expect(ids({ search: 'no mptcp' })).toEqual(['m3']);
});

it('gives a page, and says how many there are and how many were found', () => {
  const page = readPage(all, { offset: 1, limit: 1, search: '203' }, NOW, 42);
  expect(page).toMatchObject({ time: 42, total: 3, found: 3, rows: [{ id: 'm3' }] });
  expect(readPage(all, { offset: 9 }, NOW, 42)).toMatchObject({ total: 3, found: 3, rows: [] });
  const many = Array.from({ length: 1000 }, (_, n) => make(n));
  expect(readPage(many, { limit: 100_000 }, NOW, 0).rows).toHaveLength(500);
  expect(readPage(many, {}, NOW, 0).rows).toHaveLength(100);
});

it('tells ages by the clock that each was taken from, and links once', () => {
  const record = make(4, { openedAtMs: 4_999_000 });
  record.subflows.push(record.subflows[0]!);
  const [row] = readPage([record, make(5)], { sort: 'age', order: 'ascending' }, NOW, 0).rows;
  expect(row).toMatchObject({ id: 'm4', openForMs: 1000, links: ['wlan0'], subflowCount: 2 });
});

it('tells of subflows how they do, and why', () => {
  const record = make(6);
  const [subflow] = record.subflows;
  const state = () => readDetail(record, NOW, (id) => paths.get(id), undefined).subflows[0];
  const paths = new Map<string, { state: 'active' | 'down'; why: string | undefined }>();
  expect(state()).toMatchObject({ state: 'active', tcpState: 'established', rttUs: 6000 });
  subflow!.backup = true;
  expect(state()).toMatchObject({ state: 'backup' });
  subflow!.silence = { sinceMs: 1, sign: 'silent', sure: false, why: 'silent for 1 s' };
  expect(state()).toMatchObject({ state: 'stale', why: 'silent for 1 s' });
  paths.set('wlan0 10.0.0.2', { state: 'down', why: 'no carrier' });
  expect(state()).toMatchObject({ state: 'down', why: 'no carrier' });
  paths.clear();
  subflow!.silence = undefined;
  subflow!.state = 2;
  expect(state()).toMatchObject({ state: 'waiting', tcpState: 'syn-sent' });
  subflow!.state = 4;
  expect(state()).toMatchObject({ state: 'down', why: 'it is being closed' });
});

it('has fields of the detail only where they are known', () => {
  expect(readDetail(make(7), NOW, () => undefined, undefined)).not.toHaveProperty('denyJoinId0');
  const origin = { denyJoinId0: true, serverSide: false };
  expect(readDetail(make(7, { uid: 1000, subflowsMax: 2 }), NOW, () => undefined, origin)).toMatchObject({
    token: 7,
    uid: 1000,
    subflowsMax: 2,
    denyJoinId0: true,
    serverSide: false,
  });
});
