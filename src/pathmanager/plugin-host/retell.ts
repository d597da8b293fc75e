/**
 * Brings a plugin up to date that missed events (pure): it is told the state of each connection concerned, with
 * `adopted` set, as if it had begun now.
 */
import type { TableEntry } from './connection-table.ts';
import { subflowsOf } from './connection-table.ts';
import type { DispatchTarget } from './dispatcher.ts';
import { connectionEvent, remoteAddressEvent, subflowEvent } from './event-decode.ts';
import type { MissedConnection } from './missed-events.ts';
import type { PluginCallbackName } from '../plugin-api.ts';

export function retell(
  target: DispatchTarget,
  missed: MissedConnection,
  entry: TableEntry<DispatchTarget> | undefined,
): void {
  const tell = (name: PluginCallbackName, argument: object) => {
    if (target.wants(name)) target.deliver(name, argument);
  };
  const { token } = missed;
  if (missed.closed) tell('connectionClosed', { token });
  if (entry === undefined || entry.owner !== target) return;
  if (missed.unknown || missed.closed) tell('newConnection', connectionEvent(entry.created, true));
  else for (const end of missed.subflowEnds) tell('subflowClosed', end);
  if (entry.established) tell('connectionEstablished', connectionEvent(entry.created, true));
  for (const event of entry.remoteAddresses ?? []) tell('newAddress', remoteAddressEvent(event));
  for (const event of subflowsOf(entry)) {
    // The first subflow is told by the connection itself.
    if (event !== entry.created) tell('newSubflow', subflowEvent(event, true));
  }
}
