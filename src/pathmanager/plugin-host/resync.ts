/**
 * What to tell so that the table of connections is as the host is (pure): for the start, when nothing is known, and
 * after events were lost. The difference is made into events, so that everything that is told takes one way.
 *
 * What is told may come again from the kernel, whose messages of the same things may still wait; the table knows them
 * then. So a reading is best made when no message that is older than the loss waits.
 */
import { isIpv6 } from '../../base/index.ts';
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { ResyncReport } from '../daemon-status.ts';
import type { PathAddress } from '../plugin-api.ts';
import { subflowsOf, type ConnectionTable, type TableEntry } from './connection-table.ts';
import { isSameSubflow } from './event-decode.ts';
import type { HostReading, ReadConnection, ReadSubflow } from './host-reading.ts';

const SERVER_SIDE = 2;

export interface ResyncPlan {
  /** Ends first. */
  readonly events: readonly MptcpEvent[];
  /** Tokens of new connections whose first subflow is there no more. */
  readonly withoutFirst: ReadonlySet<number>;
  readonly report: ResyncReport;
}

function ends(local: PathAddress, remote: PathAddress): Partial<MptcpEvent> {
  const addresses = isIpv6(remote.address)
    ? { sourceAddress6: local.address, destinationAddress6: remote.address }
    : { sourceAddress4: local.address, destinationAddress4: remote.address };
  return { ...addresses, sourcePort: local.port, destinationPort: remote.port };
}

function subflowOf(type: number, token: number, subflow: ReadSubflow): MptcpEvent {
  const { local, remote, localId, remoteId, backup, linkIndex } = subflow;
  return {
    type,
    token,
    ...ends(local, remote),
    localId,
    remoteId,
    backup: backup ? 1 : 0,
    ...(linkIndex === 0 ? {} : { linkIndex }),
  };
}

function connectionOf(type: number, connection: ReadConnection): MptcpEvent {
  const { token, local, remote, serverSide } = connection;
  const first = connection.subflows.find((subflow) => subflow.first);
  // The first subflow's addresses, where they are known, because the connection's event also stands for it.
  const whole = first === undefined ? ends(local, remote) : ends(first.local, first.remote);
  const ids = { localId: first?.localId ?? 0, remoteId: first?.remoteId ?? 0 };
  return { type, token, ...whole, ...ids, flags: serverSide ? SERVER_SIDE : 0 };
}

type Counts = { -readonly [Key in keyof ResyncReport]: number };

export function planResync(table: ConnectionTable<unknown>, reading: HostReading): ResyncPlan {
  const events: MptcpEvent[] = [];
  const withoutFirst = new Set<number>();
  const report: Counts = {
    connectionsOpened: 0,
    connectionsClosed: 0,
    connectionsEstablished: 0,
    subflowsOpened: 0,
    subflowsClosed: 0,
  };
  for (const token of table.tokens()) {
    if (reading.has(token)) continue;
    events.push({ type: EventType.closed, token });
    report.connectionsClosed++;
  }
  for (const connection of reading.values()) {
    const entry = table.get(connection.token);
    if (entry !== undefined) planKnown(entry, connection, events, report);
    else if (connection.open) {
      if (!connection.subflows.some((subflow) => subflow.first)) withoutFirst.add(connection.token);
      planNew(connection, events, report);
    }
  }
  return { events, withoutFirst, report };
}

function planNew(connection: ReadConnection, events: MptcpEvent[], report: Counts): void {
  events.push(connectionOf(EventType.created, connection));
  report.connectionsOpened++;
  if (connection.established) {
    events.push(connectionOf(EventType.established, connection));
    report.connectionsEstablished++;
  }
  for (const subflow of connection.subflows) {
    if (subflow.first || !subflow.open) continue;
    events.push(subflowOf(EventType.subflowEstablished, connection.token, subflow));
    report.subflowsOpened++;
  }
}

function planKnown(
  entry: TableEntry<unknown>,
  connection: ReadConnection,
  events: MptcpEvent[],
  report: Counts,
): void {
  const { token } = connection;
  const known = subflowsOf(entry);
  const present = connection.subflows.map((subflow) =>
    subflowOf(EventType.subflowEstablished, token, subflow),
  );
  for (const event of known) {
    if (present.some((candidate) => isSameSubflow(candidate, event))) continue;
    events.push({ ...event, type: EventType.subflowClosed });
    report.subflowsClosed++;
  }
  if (connection.established && !entry.established) {
    events.push(connectionOf(EventType.established, connection));
    report.connectionsEstablished++;
  }
  for (const [i, event] of present.entries()) {
    if (connection.subflows[i]?.open !== true) continue;
    if (known.some((candidate) => isSameSubflow(candidate, event))) continue;
    events.push(event);
    report.subflowsOpened++;
  }
}
