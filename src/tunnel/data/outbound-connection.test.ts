import { expect, it } from 'vitest';
import { OutboundConnection } from './outbound-connection.ts';
import { newCounterBlock, type DataConnection, type DataPathDescription } from './protocol.ts';

const NONE = { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] };

const path = (fd: number, changes: Partial<DataPathDescription> = {}): DataPathDescription => ({
  fd,
  remoteSockaddr: new Uint8Array(16),
  remoteAddress: new Uint8Array(16),
  datagramBytesMax: 1472,
  segmentation: true,
  pinned: NONE,
  view: { isUsable: true, weight: 1 },
  ...changes,
});

const describe = (changes: Partial<DataConnection> = {}): DataConnection => ({
  id: 5,
  order: 0,
  ipVersion: 4,
  localAddress: new Uint8Array(4),
  remoteAddress: new Uint8Array(4),
  sources: [],
  destinations: [],
  isSequenced: true,
  reorderWindow: 0,
  maxDelayMs: 0,
  scheduler: 'weights',
  dropsCopies: false,
  innerBytesMax: 0,
  paths: [path(10), path(11)],
  outboundCounters: newCounterBlock(),
  inboundCounters: newCounterBlock(),
  ...changes,
});

const make = (changes: Partial<DataConnection> = {}, before?: OutboundConnection) =>
  new OutboundConnection(describe(changes), before, 0);

function headers(connection: OutboundConnection, count: number): string[] {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, () => {
    bytes.fill(0xee);
    connection.emitHeader(view, 8);
    return Buffer.from(bytes).toString('hex');
  });
}

it('writes numbers that go on at 2^32 and in the connection that takes its place', () => {
  const connection = make({ firstSequence: 0xffff_fffe });
  expect(headers(connection, 3)).toEqual(['10000800fffffffe', '10000800ffffffff', '1000080000000000']);
  const after = make({ ipVersion: 6, firstSequence: 77, scheduler: 'adaptive' }, connection);
  expect(headers(after, 1)).toEqual(['100086dd00000001']);
  expect(headers(make({ isSequenced: false }, after), 1)).toEqual(['eeeeeeee00000800']);
});

it('goes on in the turn of its paths when the scheduler is the same', () => {
  const connection = make();
  expect(connection.scheduler.choose(100, 0, 0)).toBe(1);
  expect(make({}, connection).scheduler.choose(100, 0, 0)).toBe(2);
  expect(make({ paths: [path(10)] }, connection).scheduler.choose(100, 0, 0)).toBe(1);
});

it('carries what fits through every path that may be used', () => {
  const paths = [path(10), path(11, { datagramBytesMax: 1280 })];
  const connection = make({ paths });
  expect(connection.packetBytesMax).toBe(1272);
  expect(make({ paths, isSequenced: false }).packetBytesMax).toBe(1276);
  expect(connection.isTooBig(1272, 4)).toBe(false);
  expect(connection.isTooBig(1273, 4)).toBe(true);
  // Smaller than the smallest MTU of IPv6: tried all the same.
  expect(connection.isTooBig(1280, 6)).toBe(false);
  expect(connection.isTooBig(1281, 6)).toBe(true);
  const up = { isUsable: true, weight: 1 };
  const down = { isUsable: false, weight: 1 };
  connection.update([up, down], 0);
  expect(connection.packetBytesMax).toBe(1464);
  expect(connection.usable).toBe(1);
  connection.update([down, down], 0);
  expect(connection.isTooBig(65_535, 4)).toBe(false);
  expect(connection.scheduler.choose(100, 0, 0)).toBe(0);
  // Not of this connection's paths.
  connection.update([up], 0);
  expect(connection.usable).toBe(0);
});

it('knows of a socket what was found out before', () => {
  const connection = make();
  connection.paths[0]!.segments = false;
  connection.paths[1]!.segments = false;
  const after = make({ paths: [path(10), path(12)] }, connection);
  expect(after.paths.map(({ segments }) => segments)).toEqual([false, true]);
});
