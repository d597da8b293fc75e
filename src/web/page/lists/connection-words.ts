/**
 * What the list of connections says of one, as short texts (pure): the same words in the table, on the cards of narrow
 * screens and in the panel of the one that is followed.
 */
import type {
  ConnectionReading,
  ConnectionSort,
  PathState,
  SubflowReading,
} from '../../../service/observe/model.ts';
import { formatAddressPort } from '../format.ts';

export const PATH_STATE_WORDS: Readonly<Record<PathState, string>> = {
  active: 'active',
  backup: 'backup',
  waiting: 'waiting',
  stale: 'stale',
  down: 'down',
};

/** Where it leads, as whoever opened it said it. */
export function destinationOf({ target, remoteAddress, remotePort }: ConnectionReading): string {
  return target ?? formatAddressPort(remoteAddress, remotePort);
}

/** Whose it is: the program, or what Weft itself does with it. */
export function ownerOf({ owner, program }: ConnectionReading): string {
  if (owner === 'proxy') return 'Weft proxy';
  if (owner === 'tunnel') return program ?? 'tunnel';
  return program ?? 'unknown program';
}

/** What stands small below the owner. */
export function ownerDetailOf({ owner, program, pid, client }: ConnectionReading): string {
  if (owner === 'proxy' && client !== undefined) return `for ${client}`;
  const parts: string[] = [];
  if (owner === 'tunnel' && program !== undefined) parts.push('tunnel');
  if (pid !== undefined) parts.push(`process ${pid}`);
  return parts.join(', ');
}

/** What stands small below the destination: the addresses, where the destination is a name. */
export function addressesOf(connection: ConnectionReading): string {
  const from = formatAddressPort(connection.localAddress, connection.localPort);
  const to = formatAddressPort(connection.remoteAddress, connection.remotePort);
  return destinationOf(connection) === to ? `from ${from}` : `${from} → ${to}`;
}

export function protocolOf({ protocol }: ConnectionReading): string {
  return protocol === 'mptcp' ? 'MPTCP' : 'TCP';
}

/** Names a subflow among those of its connection. */
export function subflowKey(subflow: SubflowReading): string {
  const { localAddress, localPort, remoteAddress, remotePort } = subflow;
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** What its state alone does not say: that it is backup as well, the kernel's word where it is not the usual one, why. */
export function subflowRemarkOf({ state, backup, why, tcpState }: SubflowReading): string {
  const words: string[] = [];
  if (backup && state !== 'backup') words.push('backup');
  if (tcpState !== 'established') words.push(tcpState);
  if (why !== undefined) words.push(why);
  return words.join(', ');
}

export interface ListColumn {
  readonly id: string;
  readonly title: string;
  /** Absent: it cannot be sorted by. */
  readonly sort?: ConnectionSort;
  /** What a first press sorts by. */
  readonly first?: 'ascending' | 'descending';
  readonly numeric?: boolean;
}

export const LIST_COLUMNS: readonly ListColumn[] = [
  { id: 'program', title: 'Program', sort: 'program', first: 'ascending' },
  { id: 'destination', title: 'Connected to', sort: 'remote', first: 'ascending' },
  { id: 'links', title: 'Links' },
  { id: 'protocol', title: 'Protocol' },
  { id: 'subflows', title: 'Subflows', sort: 'subflows', first: 'descending', numeric: true },
  { id: 'rate', title: 'Rate', sort: 'rate', first: 'descending', numeric: true },
  { id: 'bytes', title: 'Data', sort: 'bytes', first: 'descending', numeric: true },
  { id: 'rtt', title: 'RTT', sort: 'rtt', first: 'descending', numeric: true },
  { id: 'retransmissions', title: 'Resent', sort: 'retransmissions', first: 'descending', numeric: true },
  { id: 'age', title: 'Open for', sort: 'age', first: 'descending', numeric: true },
];

export interface Sorting {
  readonly sort: ConnectionSort;
  readonly order: 'ascending' | 'descending';
}

/** What pressing a column's head leads to: its own order first, then the other one. */
export function sortingAfter(
  { sort, order }: Sorting,
  wanted: ConnectionSort,
  columns: readonly ListColumn[] = LIST_COLUMNS,
): Sorting {
  if (sort === wanted) return { sort, order: order === 'ascending' ? 'descending' : 'ascending' };
  const column = columns.find((one) => one.sort === wanted);
  return { sort: wanted, order: column?.first ?? 'descending' };
}
