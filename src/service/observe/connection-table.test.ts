import { beforeEach, expect, it } from 'vitest';
import { parseIp } from '../../base/index.ts';
import { ScannedConnection, ScannedSubflow } from '../../mptcp/index.ts';
import { DiagView, PayloadWriter } from '../../netlink/index.ts';
import { ConnectionTable } from './connection-table.ts';
import { joinProxied, noteFallback } from './proxied-rows.ts';

const CLIENT = '10.0.0.2';
const SERVER = '203.0.113.9';

interface Numbers {
  readonly sent?: number;
  readonly received?: number;
  readonly retransmitted?: number;
  readonly segments?: number;
  readonly initial?: boolean;
  readonly fallback?: boolean;
  readonly port?: number;
}

/** inet_diag_msg, with the socket's cookie. */
function head(cookie: number, { port = 443 }: Numbers): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  bytes[0] = 2;
  bytes[1] = 1;
  view.setUint16(4, 40_000, false);
  view.setUint16(6, port, false);
  bytes.set(parseIp(CLIENT)!, 8);
  bytes.set(parseIp(SERVER)!, 24);
  view.setUint32(44, cookie, true);
  view.setUint32(68, 5000 + cookie, true);
  return bytes;
}

function show(bytes: Uint8Array): DiagView {
  const seen = new DiagView();
  seen.look(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
  return seen;
}

function subflow(cookie: number, token: number, numbers: Numbers = {}): ScannedSubflow {
  const { initial = true, received = 0, retransmitted = 0, segments = 0, sent = 0 } = numbers;
  const info = new Uint8Array(280);
  const view = new DataView(info.buffer);
  view.setUint32(100, retransmitted, true);
  view.setBigUint64(128, BigInt(received), true);
  view.setUint32(156, segments, true);
  // Retransmissions are in it.
  view.setBigUint64(200, BigInt(sent + 77), true);
  view.setBigUint64(208, 77n, true);
  const writer = new PayloadWriter().struct(head(cookie, numbers)).bytes(2, info);
  if (token !== 0) {
    writer.nest(19, (ulp) => {
      ulp.nest(3, (mptcp) => {
        mptcp.u32(2, token).u32(8, initial ? 2 : 8);
      });
    });
  }
  return new ScannedSubflow(show(writer.finish()));
}

function connection(cookie: number, token: number, numbers: Numbers = {}): ScannedConnection {
  const info = new Uint8Array(96);
  const view = new DataView(info.buffer);
  info[3] = 2;
  view.setUint32(8, numbers.fallback === true ? 1 : 2, true);
  view.setUint32(12, token, true);
  view.setBigUint64(56, BigInt(numbers.sent ?? 0), true);
  view.setBigUint64(64, BigInt(numbers.received ?? 0), true);
  return new ScannedConnection(
    show(new PayloadWriter().struct(head(cookie, numbers)).bytes(2, info).finish()),
  );
}

let table: ConnectionTable;
let nowMs: number;

beforeEach(() => {
  table = new ConnectionTable();
  nowMs = 1_000_000;
});

function look(
  connections: readonly ScannedConnection[],
  subflows: readonly ScannedSubflow[],
  windowMs = 1000,
): void {
  nowMs += 1000;
  table.begin(nowMs);
  for (const shown of connections) table.connection(shown);
  for (const shown of subflows) table.subflow(shown);
  table.end(table.look === 1 ? 0 : windowMs);
}

const rows = () => [...table.connections()];
const subflowOf = (key: number) => table.subflowOf(key)!;

it('joins subflows to connections, the first one first', () => {
  look([connection(1, 7)], [subflow(12, 7, { initial: false }), subflow(11, 7), subflow(13, 8)]);
  const [row] = rows();
  expect(row).toMatchObject({
    id: 'm7',
    localAddress: CLIENT,
    remotePort: 443,
    protocol: 'mptcp',
    inode: 5001,
  });
  expect(row!.subflows.map(({ key }) => key)).toEqual([11, 12]);
  // Its connection is seen at the next look.
  look([connection(1, 7), connection(2, 8)], [subflow(11, 7), subflow(13, 8)]);
  expect(table.connectionOfToken(8)!.subflows.map(({ key }) => key)).toEqual([13]);
});

it('counts what was moved since the first look, and rates by the window', () => {
  look([connection(1, 7, { received: 5000 })], [subflow(11, 7, { received: 5000, segments: 50 })]);
  expect(subflowOf(11)).toMatchObject({ receivedNew: 0, segmentsNew: 0, receivedBytes: 5000 });
  look(
    [connection(1, 7, { received: 7000 })],
    [subflow(11, 7, { received: 6000, segments: 60, retransmitted: 2 })],
  );
  expect(subflowOf(11)).toMatchObject({ receivedNew: 1000, segmentsNew: 10, retransmittedNew: 2 });
  expect(subflowOf(11).receivedBitsPerSecond).toBe(8000);
  expect(rows()[0]).toMatchObject({ receivedBytes: 7000, receivedBitsPerSecond: 16_000 });
  expect(rows()[0]!.retransmittedSegments).toBe(2);
});

it('goes on with a window that a hurried look does not end', () => {
  look([], [subflow(11, 7)]);
  look([], [subflow(11, 7, { sent: 1000 })], 500);
  look([], [subflow(11, 7, { sent: 9000 })], 0);
  expect(subflowOf(11).sentBitsPerSecond).toBe(16_000);
  look([], [subflow(11, 7, { sent: 10_000 })], 500);
  expect(subflowOf(11)).toMatchObject({ sentNew: 1000, sentBitsPerSecond: 144_000 });
});

it('counts a new connection from its beginning, and one that a dump left out only once', () => {
  look([], []);
  look([connection(1, 7, { sent: 300 })], [subflow(11, 7, { sent: 300 })]);
  expect(subflowOf(11).sentNew).toBe(300);
  look([], []);
  expect(rows()).toEqual([]);
  expect(table.connectionOfToken(7)).toBeUndefined();
  look([connection(1, 7, { sent: 350 })], [subflow(11, 7, { sent: 350 })]);
  expect(subflowOf(11).sentNew).toBe(50);
  expect(rows()[0]!.subflows).toHaveLength(1);
});

it('takes a new socket with the same ports, or the same token, for a new one', () => {
  look([connection(1, 7)], [subflow(11, 7, { sent: 900 })]);
  look([connection(2, 7)], [subflow(12, 7, { sent: 10 })]);
  expect(subflowOf(12).sentNew).toBe(10);
  expect(table.connectionOfToken(7)!.key).toBe(2);
  for (let i = 0; i < 4; i++) look([connection(2, 7)], [subflow(12, 7, { sent: 10 })]);
  expect(table.connectionOfToken(7)!.subflows.map(({ key }) => key)).toEqual([12]);
});

it('never lets a sum fall, also when a counter restarts', () => {
  look([connection(1, 7, { sent: 500 })], [subflow(11, 7, { sent: 500 })]);
  look([connection(1, 7, { sent: 20 })], [subflow(11, 7, { sent: 20 })]);
  expect(subflowOf(11)).toMatchObject({ sentNew: 20, sentBitsPerSecond: 160 });
  expect(rows()[0]!.sentBitsPerSecond).toBe(160);
});

it('remembers what subflows that are gone have retransmitted', () => {
  look([connection(1, 7)], [subflow(11, 7, { retransmitted: 5 }), subflow(12, 7, { retransmitted: 3 })]);
  for (let i = 0; i < 5; i++) look([connection(1, 7)], [subflow(11, 7, { retransmitted: 6 })]);
  expect(rows()[0]!.retransmittedSegments).toBe(9);
});

it('forgets what is gone: 20,000 connections that came and went leave nothing', () => {
  for (let n = 0; n < 20; n++) {
    const keys = Array.from({ length: 1000 }, (_, i) => n * 1000 + i + 1);
    look(
      keys.map((key) => connection(key, key)),
      keys.flatMap((key) => [subflow(key * 2, key), subflow(key * 2 + 1, key, { initial: false })]),
    );
    expect(table.size.connections).toBeLessThanOrEqual(3000);
  }
  for (let i = 0; i < 4; i++) look([], []);
  expect(table.size).toEqual({ connections: 0, subflows: 0 });
});

// ── the proxy's ──

const proxied = (id: number, more: object = {}) => ({
  id,
  kind: 'connect' as const,
  client: '127.0.0.1:5000',
  target: 'example.org:443',
  remote: `${SERVER}:443`,
  protocol: 'mptcp' as const,
  bytesUp: 10,
  bytesDown: 20,
  openedAtMs: 1,
  ...more,
});

function proxyLook(
  connections: readonly ReturnType<typeof proxied>[],
  sockets: readonly ScannedSubflow[] = [],
) {
  nowMs += 1000;
  table.begin(nowMs);
  table.connection(connection(1, 7, { fallback: true }));
  table.connection(connection(2, 8));
  const plain = joinProxied(table, connections, ({ target }) => target === 'left:1');
  for (const socket of sockets) plain.offer(table.subflow(socket));
  plain.pair();
  table.end(table.look === 1 ? 0 : 1000);
  for (const record of table.connections()) noteFallback(record);
}

it('knows the proxy’s connections by their tokens, and has rows for those of plain TCP', () => {
  proxyLook([
    proxied(3, { token: 8 }),
    proxied(4, { protocol: 'tcp', fallbackReason: 'the server has no MPTCP' }),
    proxied(5, { token: 99 }),
    proxied(6, { protocol: 'tcp', target: 'left:1' }),
  ]);
  expect(rows().map(({ id, owner, protocol }) => [id, owner, protocol])).toEqual([
    ['m7', 'program', 'tcp'],
    ['m8', 'proxy', 'mptcp'],
    ['p4', 'proxy', 'tcp'],
  ]);
  expect(rows()[0]!.fallbackReason).toMatch(/does not speak MPTCP/);
  expect(rows()[2]).toMatchObject({
    fallbackReason: 'the server has no MPTCP',
    remoteAddress: SERVER,
    remotePort: 443,
    target: 'example.org:443',
    sentBytes: 10,
    receivedBytes: 20,
  });
});

it('gives a plain TCP row its socket when there is no doubt, else only the address they share', () => {
  const tcp = { protocol: 'tcp' as const };
  proxyLook([proxied(4, tcp)], [subflow(21, 0)]);
  const [, , row] = rows();
  expect(row).toMatchObject({ localAddress: CLIENT, localPort: 40_000 });
  expect(row!.subflows).toHaveLength(1);
  // Two more to the same server within one look.
  proxyLook(
    [proxied(4, tcp), proxied(5, tcp), proxied(6, tcp)],
    [subflow(21, 0), subflow(22, 0), subflow(23, 0)],
  );
  const others = rows().filter(({ id }) => id === 'p5' || id === 'p6');
  expect(
    others.map(({ localAddress, localPort, subflows }) => [localAddress, localPort, subflows.length]),
  ).toEqual([
    [CLIENT, 0, 0],
    [CLIENT, 0, 0],
  ]);
});
