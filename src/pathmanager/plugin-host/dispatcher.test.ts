import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EventType, type MptcpEvent } from '../../mptcp/index.ts';
import type { PluginCallbackName } from '../plugin-api.ts';
import { connectionView, subflowsOf } from './connection-table.ts';
import { Dispatcher, type DispatchTarget } from './dispatcher.ts';
import type { HostReading, ReadConnection, ReadSubflow } from './host-reading.ts';
import { planResync } from './resync.ts';

type Told = readonly [target: string, callback: PluginCallbackName, argument: unknown];

function targetOf(name: string, told: Told[], only?: readonly PluginCallbackName[]): DispatchTarget {
  return {
    name,
    wants: (callback) => only?.includes(callback) ?? true,
    deliver: (callback, argument) => told.push([name, callback, argument]),
  };
}

const created = (token: number, more: Partial<MptcpEvent> = {}): MptcpEvent => ({
  type: EventType.created,
  token,
  family: 2,
  localId: 0,
  remoteId: 0,
  sourceAddress4: '10.0.0.1',
  destinationAddress4: '10.0.0.2',
  sourcePort: 1000 + token,
  destinationPort: 80,
  ...more,
});
const closed = (token: number): MptcpEvent => ({ type: EventType.closed, token });
const subflow = (type: number, token: number, port: number, more: Partial<MptcpEvent> = {}): MptcpEvent => ({
  ...created(token),
  type,
  sourceAddress4: '10.0.1.1',
  sourcePort: port,
  localId: 1,
  backup: 0,
  ...more,
});

function make(preferred?: string, names = ['one', 'two']) {
  const told: Told[] = [];
  const dispatcher = new Dispatcher<DispatchTarget>(preferred);
  const targets = names.map((name) => targetOf(name, told));
  dispatcher.setTargets(targets);
  return { told, dispatcher, targets };
}

it('gives a connection to the default plugin, and its later events to the one it was given to', () => {
  const { told, dispatcher } = make('two');
  dispatcher.handleEvent(created(1));
  dispatcher.prefer('one');
  dispatcher.handleEvent(created(2));
  dispatcher.handleEvent(subflow(EventType.subflowEstablished, 1, 5));
  dispatcher.handleEvent(closed(1));
  dispatcher.handleEvent(closed(2));
  expect(told.map(([name, callback]) => [name, callback])).toEqual([
    ['two', 'newConnection'],
    ['one', 'newConnection'],
    ['two', 'newSubflow'],
    ['two', 'connectionClosed'],
    ['one', 'connectionClosed'],
  ]);
  expect(dispatcher.connections.size).toBe(0);
});

it('takes the first plugin when the preferred one is not there, and the next when it goes', () => {
  const { told, dispatcher, targets } = make('nobody');
  dispatcher.handleEvent(created(1));
  expect(dispatcher.remove(targets[0]!)).toBe(1);
  // Bound to one that has gone: nobody is told.
  dispatcher.handleEvent(subflow(EventType.subflowEstablished, 1, 5));
  dispatcher.handleEvent(created(2));
  expect(told.map(([name, callback]) => [name, callback])).toEqual([
    ['one', 'newConnection'],
    ['two', 'newConnection'],
  ]);
});

it('tells interfaces to all, listeners to the default plugin, and nobody what he does not want', () => {
  const { told, dispatcher } = make('two');
  dispatcher.tellAll('newInterface', { interface: {} });
  dispatcher.handleEvent({
    type: EventType.listenerCreated,
    sourceAddress6: '::ffff:10.0.0.1',
    sourcePort: 80,
  });
  expect(told).toEqual([
    ['one', 'newInterface', { interface: {} }],
    ['two', 'newInterface', { interface: {} }],
    ['two', 'listenerCreated', { local: { address: '10.0.0.1', port: 80 } }],
  ]);
  told.length = 0;
  dispatcher.setTargets([targetOf('picky', told, ['connectionClosed'])]);
  dispatcher.handleEvent(created(9));
  expect(dispatcher.counters.dispatched).toBe(3);
  dispatcher.handleEvent(closed(9));
  expect(told).toEqual([['picky', 'connectionClosed', { token: 9 }]]);
});

it('tells nothing twice, nothing of unknown connections, and the end of a subflow that never began', () => {
  const { told, dispatcher } = make(undefined, ['one']);
  expect(dispatcher.handleEvent(created(1))).toBe(true);
  expect(dispatcher.handleEvent(created(1))).toBe(false);
  expect(dispatcher.handleEvent({ ...created(1), type: EventType.established })).toBe(true);
  expect(dispatcher.handleEvent({ ...created(1), type: EventType.established })).toBe(false);
  expect(dispatcher.handleEvent(closed(7))).toBe(false);
  expect(dispatcher.handleEvent(subflow(EventType.subflowEstablished, 7, 5))).toBe(false);
  expect(dispatcher.counters.unmatched).toBe(1);
  const refused = subflow(EventType.subflowClosed, 1, 5, { error: 111, resetReason: 3, resetFlags: 1 });
  expect(dispatcher.handleEvent(refused)).toBe(true);
  expect(told.at(-1)).toEqual([
    'one',
    'subflowClosed',
    {
      token: 1,
      local: { address: '10.0.1.1', port: 5 },
      remote: { address: '10.0.0.2', port: 80 },
      localId: 1,
      remoteId: 0,
      backup: false,
      adopted: false,
      error: 111,
      resetReason: 3,
      resetFlags: 1,
    },
  ]);
  // As some kernels repeat it.
  const repeated = subflow(EventType.subflowClosed, 1, 0, { destinationPort: 0 });
  expect(dispatcher.handleEvent(repeated)).toBe(false);
  expect(dispatcher.handleEvent({ type: 99, token: 1 })).toBe(false);
});

it('knows subflows, their priority and the addresses of the peer', () => {
  const { dispatcher } = make();
  dispatcher.handleEvent(created(1, { flags: 3 }));
  dispatcher.handleEvent(subflow(EventType.subflowEstablished, 1, 5, { linkIndex: 4 }));
  dispatcher.handleEvent(subflow(EventType.subflowPriority, 1, 5, { backup: 1 }));
  const announced = {
    type: EventType.announced,
    token: 1,
    remoteId: 3,
    destinationAddress4: '10.0.9.9',
    destinationPort: 80,
  };
  dispatcher.handleEvent(announced);
  dispatcher.handleEvent({ ...announced, destinationPort: 81 });
  dispatcher.handleEvent({ ...announced, remoteId: 4 });
  dispatcher.handleEvent({ type: EventType.removed, token: 1, remoteId: 4 });
  expect(connectionView(dispatcher.connections.get(1)!)).toMatchObject({
    token: 1,
    serverSide: true,
    denyJoinId0: true,
    established: false,
    subflows: [
      { local: { address: '10.0.0.1' }, localId: 0, backup: false },
      { local: { address: '10.0.1.1', port: 5 }, localId: 1, backup: true, linkIndex: 4 },
    ],
    remoteAddresses: [{ token: 1, remoteId: 3, address: '10.0.9.9', port: 81 }],
  });
});

const readSubflow = (port: number, more: Partial<ReadSubflow> = {}): ReadSubflow => ({
  local: { address: '10.0.1.1', port },
  remote: { address: '10.0.0.2', port: 80 },
  localId: 1,
  remoteId: 0,
  backup: false,
  linkIndex: 0,
  first: false,
  open: true,
  ...more,
});

const readFirst = (token: number): ReadSubflow =>
  readSubflow(1000 + token, {
    local: { address: '10.0.0.1', port: 1000 + token },
    localId: 0,
    first: true,
  });

const readConnection = (token: number, more: Partial<ReadConnection> = {}): ReadConnection => ({
  token,
  local: { address: '10.0.0.1', port: 1000 + token },
  remote: { address: '10.0.0.2', port: 80 },
  serverSide: false,
  open: true,
  established: false,
  subflows: [readFirst(token)],
  ...more,
});

const reading = (...connections: ReadConnection[]): HostReading =>
  new Map(connections.map((connection) => [connection.token, connection]));

function resync(dispatcher: Dispatcher<DispatchTarget>, host: HostReading) {
  const plan = planResync(dispatcher.connections, host);
  for (const event of plan.events) dispatcher.handleEvent(event, true);
  for (const token of plan.withoutFirst) dispatcher.connections.forgetFirstSubflow(token);
  return plan.report;
}

it('tells the difference to a reading, ends first, as adopted', () => {
  const { told, dispatcher } = make(undefined, ['one']);
  for (const token of [1, 2, 3]) dispatcher.handleEvent(created(token));
  dispatcher.handleEvent(subflow(EventType.subflowEstablished, 2, 5));
  told.length = 0;
  const report = resync(
    dispatcher,
    reading(
      readConnection(2, { established: true, subflows: [readFirst(2), readSubflow(6, { backup: true })] }),
      readConnection(3),
      readConnection(4, { established: true, serverSide: true, subflows: [readSubflow(7)] }),
      // Fallen back to TCP, or not yet established.
      readConnection(5, { open: false }),
    ),
  );
  expect(report).toEqual({
    connectionsOpened: 1,
    connectionsClosed: 1,
    connectionsEstablished: 2,
    subflowsOpened: 2,
    subflowsClosed: 1,
  });
  expect(told.map(([, callback, argument]) => [callback, (argument as { token: number }).token])).toEqual([
    ['connectionClosed', 1],
    ['subflowClosed', 2],
    ['connectionEstablished', 2],
    ['newSubflow', 2],
    ['newConnection', 4],
    ['connectionEstablished', 4],
    ['newSubflow', 4],
  ]);
  expect(told[3]![2]).toMatchObject({ local: { port: 6 }, backup: true, adopted: true });
  expect(told[4]![2]).toMatchObject({ serverSide: true, adopted: true });
  // Its first subflow is not there any more.
  expect(subflowsOf(dispatcher.connections.get(4)!).map((event) => event.sourcePort)).toEqual([7]);
});

it('agrees with any reading after one resynchronisation, and has nothing to tell after that', () => {
  const port = fc.integer({ min: 1, max: 4 });
  const events = fc.array(
    fc.record({
      kind: fc.constantFrom(
        EventType.created,
        EventType.established,
        EventType.closed,
        EventType.subflowEstablished,
        EventType.subflowClosed,
      ),
      token: fc.integer({ min: 1, max: 5 }),
      port,
    }),
    { maxLength: 40 },
  );
  const connections = fc.uniqueArray(
    fc.record({
      token: fc.integer({ min: 1, max: 5 }),
      established: fc.boolean(),
      ports: fc.uniqueArray(port),
      first: fc.boolean(),
    }),
    { selector: ({ token }) => token },
  );
  fc.assert(
    fc.property(events, connections, (heard, there) => {
      const { dispatcher } = make(undefined, ['one']);
      for (const { kind, token, port: of } of heard) {
        if (kind === EventType.closed) dispatcher.handleEvent(closed(token));
        else if (kind === EventType.created || kind === EventType.established) {
          dispatcher.handleEvent({ ...created(token), type: kind });
        } else dispatcher.handleEvent(subflow(kind, token, of));
      }
      const host = reading(
        ...there.map(({ token, established, ports, first }) =>
          readConnection(token, {
            established,
            subflows: [...(first ? [readFirst(token)] : []), ...ports.map((of) => readSubflow(of))],
          }),
        ),
      );
      resync(dispatcher, host);
      expect(new Set(dispatcher.connections.tokens())).toEqual(new Set(host.keys()));
      for (const [token, { subflows }] of host) {
        const known = subflowsOf(dispatcher.connections.get(token)!).map((event) => event.sourcePort);
        expect(new Set(known)).toEqual(new Set(subflows.map(({ local }) => local.port)));
        expect(known).toHaveLength(subflows.length);
      }
      expect(planResync(dispatcher.connections, host).events).toEqual([]);
    }),
  );
});
