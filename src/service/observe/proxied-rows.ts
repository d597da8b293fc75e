/**
 * Brings what the proxy knows of its connections and what the kernel knows of them together (pure): by MPTCP token
 * where there is one, and for plain TCP ones by the address of the other end.
 *
 * Invariant: a socket is given to a row only when it can be no other's.
 */
import { formatSocketAddress } from '../../base/index.ts';
import { PEER_FALLBACK } from '../../mptcp/index.ts';
import type { ProxyConnection } from '../../proxy/index.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { ConnectionRecord, SubflowRecord } from './records.ts';

const LATE_FALLBACK = 'it fell back after its beginning: something on the way removes or changes MPTCP';

/** `address:port`, IPv6 in brackets. */
export function splitRemote(text: string): { readonly address: string; readonly port: number } {
  const at = text.lastIndexOf(':');
  const address = text.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { address, port: Number(text.slice(at + 1)) || 0 };
}

/** Rows of the proxy have odd negative keys; the kernel's are positive. */
const keyOf = ({ id }: ProxyConnection) => -2 * id - 1;

function takeKnowledge(record: ConnectionRecord, connection: ProxyConnection): void {
  record.owner = 'proxy';
  record.program = 'weft';
  record.pid = process.pid;
  record.target = connection.target;
  record.client = connection.client;
  record.openedAtMs = connection.openedAtMs;
  record.fallbackReason = connection.fallbackReason ?? (record.fellBack ? LATE_FALLBACK : undefined);
}

function openRow(table: ConnectionTable, connection: ProxyConnection): ConnectionRecord {
  const record = table.open(keyOf(connection), `p${connection.id}`);
  if (record.remoteAddress === '') {
    const { address, port } = splitRemote(connection.remote);
    record.remoteAddress = address;
    record.remotePort = port;
    record.protocol = 'tcp';
    record.state = 'established';
    record.hasOwnBytes = true;
  }
  record.sentBytes = connection.bytesUp;
  record.receivedBytes = connection.bytesDown;
  takeKnowledge(record, connection);
  table.touch(record);
  return record;
}

/** Rows of the proxy that are plain TCP, by where they lead to. */
export class PlainRows {
  readonly #rows = new Map<
    string,
    { readonly rows: ConnectionRecord[]; readonly sockets: SubflowRecord[] }
  >();

  add(record: ConnectionRecord): void {
    const remote = formatSocketAddress(record.remoteAddress, record.remotePort);
    const known = this.#rows.get(remote);
    if (known === undefined) this.#rows.set(remote, { rows: [record], sockets: [] });
    else known.rows.push(record);
  }

  hasRemote(address: string, port: number): boolean {
    return this.#rows.has(formatSocketAddress(address, port));
  }

  offer(socket: SubflowRecord): void {
    this.#rows.get(formatSocketAddress(socket.remoteAddress, socket.remotePort))?.sockets.push(socket);
  }

  /** Gives each socket to its row where that is certain. */
  pair(): void {
    for (const { rows, sockets } of this.#rows.values()) {
      const freeRows = rows.filter(({ subflows }) => subflows.length === 0);
      const freeSockets = sockets.filter(({ connection }) => connection === undefined);
      const [row] = freeRows;
      const [socket] = freeSockets;
      if (row === undefined || socket === undefined) continue;
      const addresses = new Set(freeSockets.map(({ localAddress }) => localAddress));
      if (addresses.size === 1) for (const free of freeRows) free.localAddress = socket.localAddress;
      if (freeRows.length > 1 || freeSockets.length > 1) continue;
      row.localPort = socket.localPort;
      row.subflows.push(socket);
      socket.connection = row;
    }
  }
}

/** Sockets that are the proxy's own and MPTCP's, although TCP is on the wire: one row is enough for each. */
function fallbacksByInode(table: ConnectionTable): Map<number, ConnectionRecord> {
  const found = new Map<number, ConnectionRecord>();
  for (const record of table.connectionsSoFar()) if (record.fellBack) found.set(record.inode, record);
  return found;
}

/**
 * Marks the rows of the kernel that are the proxy's, and makes rows for its plain TCP connections.
 * @param leaveOut those that somebody else tells of
 */
export function joinProxied(
  table: ConnectionTable,
  proxied: readonly ProxyConnection[],
  leaveOut: (connection: ProxyConnection) => boolean,
): PlainRows {
  const plain = new PlainRows();
  const fellBack = proxied.some(({ inode }) => inode !== undefined) ? fallbacksByInode(table) : undefined;
  for (const connection of proxied) {
    if (leaveOut(connection)) continue;
    const { inode, protocol, token } = connection;
    const record =
      token === undefined
        ? inode === undefined
          ? undefined
          : fellBack?.get(inode)
        : table.connectionOfToken(token);
    if (record !== undefined) takeKnowledge(record, connection);
    // One that speaks MPTCP and that the kernel does not show has just ended, or has just begun.
    else if (protocol === 'tcp') plain.add(openRow(table, connection));
  }
  return plain;
}

/** Of connections that are not the proxy's. */
export function noteFallback(record: ConnectionRecord): void {
  if (record.owner === 'program') record.fallbackReason = record.fellBack ? PEER_FALLBACK : undefined;
}
