/**
 * Rows, details and pages of the connection list, from the records (pure).
 *
 * Invariant: a page costs by the rows it shows, and for search and sort a few comparisons for each connection; a row
 * with all its fields is made only for those that are shown.
 */
import { formatSocketAddress, WeftError } from '../../base/index.ts';
import { tcpStateName } from '../../mptcp/index.ts';
import type { Origin } from './event-watch.ts';
import type {
  ConnectionDetail,
  ConnectionPage,
  ConnectionQuery,
  ConnectionReading,
  ConnectionSort,
  PathState,
  SubflowReading,
} from './model.ts';
import { CONNECTION_ROWS_MAX } from './model.ts';
import type { ConnectionRecord, SubflowRecord } from './records.ts';

const ROWS_DEFAULT = 100;
const ESTABLISHED = 1;
const SYN_SENT = 2;
const SYN_RECEIVED = 3;
const CLOSE_WAIT = 8;
/** FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, LAST_ACK, CLOSING: nothing will go there any more. */
const CLOSING: ReadonlySet<number> = new Set([4, 5, 6, 7, 9, 11]);

/** Subflows that the last look saw. */
export const subflowsOf = (record: ConnectionRecord): SubflowRecord[] =>
  record.subflows.filter(({ seen }) => seen === record.seen);

/**
 * Those that may still carry something: one whose cable was pulled is being closed for minutes. All of them where the
 * whole connection is being closed.
 */
function openSubflowsOf(record: ConnectionRecord): SubflowRecord[] {
  const all = subflowsOf(record);
  const open = all.filter(({ state }) => !CLOSING.has(state));
  return open.length > 0 ? open : all;
}

export function linksOf(record: ConnectionRecord): string[] {
  const links: string[] = [];
  for (const { link } of openSubflowsOf(record)) {
    if (link !== undefined && !links.includes(link)) links.push(link);
  }
  return links;
}

function rttOf(record: ConnectionRecord): number | undefined {
  let least: number | undefined;
  for (const { rttUs } of subflowsOf(record)) {
    if (rttUs !== undefined && rttUs < (least ?? Infinity)) least = rttUs;
  }
  return least;
}

/** @param nowMs of the monotonic clock @param wallMs milliseconds since 1970 */
export interface Now {
  readonly nowMs: number;
  readonly wallMs: number;
}

const ageOf = ({ firstSeenMs, openedAtMs }: ConnectionRecord, { nowMs, wallMs }: Now) =>
  Math.max(0, Math.round(openedAtMs === undefined ? nowMs - firstSeenMs : wallMs - openedAtMs));

export function readRow(record: ConnectionRecord, now: Now): ConnectionReading {
  const { client, fallbackReason, pid, program, target } = record;
  const rttUs = rttOf(record);
  return {
    id: record.id,
    owner: record.owner,
    ...(program === undefined ? {} : { program }),
    ...(pid === undefined ? {} : { pid }),
    ...(target === undefined ? {} : { target }),
    ...(client === undefined ? {} : { client }),
    localAddress: record.localAddress,
    localPort: record.localPort,
    remoteAddress: record.remoteAddress,
    remotePort: record.remotePort,
    protocol: record.protocol,
    ...(fallbackReason === undefined ? {} : { fallbackReason }),
    state: record.state,
    subflowCount: openSubflowsOf(record).length,
    links: linksOf(record),
    sentBytes: record.sentBytes,
    receivedBytes: record.receivedBytes,
    sentBitsPerSecond: record.sentBitsPerSecond,
    receivedBitsPerSecond: record.receivedBitsPerSecond,
    ...(rttUs === undefined ? {} : { rttUs }),
    retransmittedSegments: record.retransmittedSegments,
    openForMs: ageOf(record, now),
  };
}

/** What is known of a path that a subflow may use. */
export interface PathNote {
  readonly state: PathState | undefined;
  readonly why: string | undefined;
}

function subflowState(
  record: SubflowRecord,
  path: PathNote | undefined,
): { readonly state: PathState; readonly why?: string } {
  const { backup, silence, state } = record;
  if (path?.state === 'down') return { state: 'down', why: path.why ?? 'its path is down' };
  if (silence !== undefined) return { state: 'stale', why: silence.why };
  if (state === SYN_SENT) return { state: 'waiting', why: 'the other end has not answered yet' };
  if (state === SYN_RECEIVED) return { state: 'waiting', why: 'its beginning is under way' };
  if (state !== ESTABLISHED && state !== CLOSE_WAIT) return { state: 'down', why: 'it is being closed' };
  return { state: backup ? 'backup' : 'active' };
}

export function readSubflow(record: SubflowRecord, path: PathNote | undefined): SubflowReading {
  const { congestionControl, link, rttUs } = record;
  return {
    localAddress: record.localAddress,
    localPort: record.localPort,
    remoteAddress: record.remoteAddress,
    remotePort: record.remotePort,
    ...(link === undefined ? {} : { link }),
    ...(record.path === undefined ? {} : { path: record.path }),
    initial: record.initial,
    backup: record.backup,
    ...subflowState(record, path),
    tcpState: tcpStateName(record.state),
    sentBytes: record.sentBytes,
    receivedBytes: record.receivedBytes,
    sentBitsPerSecond: record.sentBitsPerSecond,
    receivedBitsPerSecond: record.receivedBitsPerSecond,
    ...(rttUs === undefined ? {} : { rttUs, rttVariationUs: record.rttVariationUs }),
    windowSegments: record.windowSegments,
    retransmittedSegments: record.retransmittedSegments,
    ...(congestionControl === undefined ? {} : { congestionControl }),
  };
}

export function readDetail(
  record: ConnectionRecord,
  now: Now,
  pathOf: (id: string) => PathNote | undefined,
  origin: Origin | undefined,
): ConnectionDetail {
  const { addressesAccepted, addressesAcceptedMax, addressesAnnounced, subflowsMax, uid } = record;
  return {
    ...readRow(record, now),
    ...(record.token === 0 ? {} : { token: record.token }),
    ...(uid === undefined ? {} : { uid }),
    subflows: subflowsOf(record).map((subflow) =>
      readSubflow(subflow, subflow.path === undefined ? undefined : pathOf(subflow.path)),
    ),
    ...(subflowsMax === undefined ? {} : { subflowsMax }),
    ...(addressesAccepted === undefined ? {} : { addressesAccepted }),
    ...(addressesAcceptedMax === undefined ? {} : { addressesAcceptedMax }),
    ...(addressesAnnounced === undefined ? {} : { addressesAnnounced }),
    ...(origin === undefined ? {} : { denyJoinId0: origin.denyJoinId0, serverSide: origin.serverSide }),
  };
}

/** All texts of a row that a search looks at, in lower case. */
function textOf(record: ConnectionRecord): string {
  const parts = [
    record.id,
    record.owner,
    record.program,
    record.pid === undefined ? undefined : String(record.pid),
    record.target,
    record.client,
    formatSocketAddress(record.localAddress, record.localPort),
    formatSocketAddress(record.remoteAddress, record.remotePort),
    record.protocol,
    record.fallbackReason,
    record.state,
  ];
  for (const { link, localAddress, remoteAddress } of subflowsOf(record)) {
    parts.push(link, localAddress, remoteAddress);
  }
  return parts
    .filter((part) => part !== undefined)
    .join('\n')
    .toLowerCase();
}

/** "tcp" means those that are not multipath, although it is a part of "mptcp". */
const matches = (word: string, text: string, record: ConnectionRecord) =>
  word === 'tcp' ? record.protocol === 'tcp' : text.includes(word);

type Key = number | string;

const nameOf = (record: ConnectionRecord) => record.target ?? record.remoteAddress;

const KEYS: Readonly<Record<ConnectionSort, (record: ConnectionRecord, now: Now) => Key | undefined>> = {
  rate: (record) => record.sentBitsPerSecond + record.receivedBitsPerSecond,
  bytes: (record) => record.sentBytes + record.receivedBytes,
  rtt: rttOf,
  retransmissions: (record) => record.retransmittedSegments,
  age: ageOf,
  remote: nameOf,
  program: (record) => record.program,
  subflows: (record) => subflowsOf(record).length,
};

interface Keyed {
  readonly record: ConnectionRecord;
  readonly key: Key | undefined;
}

function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [x, y] = [String(a), String(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** What has no value is last in either order; equals keep one order, so that rows do not jump. */
function compare(a: Keyed, b: Keyed, sign: number): number {
  if (a.key === undefined || b.key === undefined) {
    if (a.key !== undefined) return -1;
    if (b.key !== undefined) return 1;
  } else {
    const byKey = compareKeys(a.key, b.key) * sign;
    if (byKey !== 0) return byKey;
  }
  return a.record.firstSeenMs - b.record.firstSeenMs || a.record.key - b.record.key;
}

/** @param records all that there are @param time of the look that they are of */
export function readPage(
  records: Iterable<ConnectionRecord>,
  query: ConnectionQuery,
  now: Now,
  time: number,
): ConnectionPage {
  const { limit = ROWS_DEFAULT, offset = 0, order = 'descending', sort = 'rate' } = query;
  const words = (query.search ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const keyOf = KEYS[sort];
  const found: Keyed[] = [];
  let total = 0;
  for (const record of records) {
    total++;
    if (words.length > 0) {
      const text = textOf(record);
      if (!words.every((word) => matches(word, text, record))) continue;
    }
    found.push({ record, key: keyOf(record, now) });
  }
  const sign = order === 'ascending' ? 1 : -1;
  found.sort((a, b) => compare(a, b, sign));
  const rows = found.slice(offset, offset + Math.min(limit, CONNECTION_ROWS_MAX));
  return { time, total, found: found.length, rows: rows.map(({ record }) => readRow(record, now)) };
}

export function noSuchConnection(id: string): WeftError {
  return new WeftError(`there is no connection "${id}"`, {
    code: 'NO_SUCH_CONNECTION',
    hint: 'it may have ended; "weft top" and the page list those that there are',
  });
}
