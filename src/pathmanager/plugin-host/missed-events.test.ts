import { expect, it } from 'vitest';
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { PluginCallbackName } from '../plugin-api.ts';
import { Dispatcher, type DispatchTarget } from './dispatcher.ts';
import { MissedEvents } from './missed-events.ts';
import { retell } from './retell.ts';

it('forgets a connection that began and ended, and remembers the end of one that was known', () => {
  const missed = new MissedEvents();
  missed.note('newConnection', { token: 1 });
  missed.note('newSubflow', { token: 1 });
  missed.note('connectionClosed', { token: 1 });
  missed.note('connectionClosed', { token: 2 });
  missed.note('listenerClosed', { local: {} });
  missed.note('ready', undefined);
  expect(missed.size).toBe(1);
  expect(missed.take()).toEqual([{ token: 2, unknown: false, closed: true, subflowEnds: [] }]);
  expect(missed.take()).toEqual([]);
});

it('remembers a bounded number of ends of subflows', () => {
  const missed = new MissedEvents();
  for (let port = 0; port < 1000; port++) missed.note('subflowClosed', { token: 1, local: { port } });
  expect(missed.take()[0]!.subflowEnds).toHaveLength(64);
});

/** What a plugin believes after it was told. */
class Believer implements DispatchTarget {
  readonly name = 'believer';
  readonly connections = new Map<number, Set<number>>();
  readonly missed = new MissedEvents();
  asleep = false;

  wants(): boolean {
    return true;
  }

  deliver(callback: PluginCallbackName, argument: object | undefined): void {
    if (this.asleep) {
      this.missed.note(callback, argument);
      return;
    }
    const { token, local } = argument as { token: number; local: { port: number } };
    if (callback === 'newConnection') this.connections.set(token, new Set());
    if (callback === 'connectionClosed') this.connections.delete(token);
    if (callback === 'newSubflow') this.connections.get(token)?.add(local.port);
    if (callback === 'subflowClosed') this.connections.get(token)?.delete(local.port);
  }
}

it('is enough to bring a plugin up to date', () => {
  const believer = new Believer();
  const dispatcher = new Dispatcher<DispatchTarget>(undefined);
  dispatcher.setTargets([believer]);
  const tell = (type: number, token: number, sourcePort = 0) => {
    const event: MptcpEvent = { type, token, sourcePort, destinationPort: 80, sourceAddress4: '10.0.0.1' };
    dispatcher.handleEvent(event);
  };
  for (const token of [1, 2, 3]) tell(EventType.created, token);
  tell(EventType.subflowEstablished, 1, 11);
  tell(EventType.subflowEstablished, 1, 12);
  believer.asleep = true;
  tell(EventType.subflowClosed, 1, 11);
  tell(EventType.subflowEstablished, 1, 13);
  tell(EventType.closed, 2);
  // The token is used again.
  tell(EventType.closed, 3);
  tell(EventType.created, 3);
  tell(EventType.subflowEstablished, 3, 31);
  tell(EventType.created, 4);
  tell(EventType.subflowEstablished, 4, 41);
  believer.asleep = false;
  for (const item of believer.missed.take()) {
    retell(believer, item, dispatcher.connections.get(item.token));
  }
  expect(believer.connections).toEqual(
    new Map([
      [1, new Set([12, 13])],
      [3, new Set([31])],
      [4, new Set([41])],
    ]),
  );
});
