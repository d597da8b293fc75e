import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AF_INET, AF_INET6, parseIp } from '../base/ip.ts';
import { PayloadWriter } from './attributes.ts';
import { DiagView } from './diag-view.ts';
import { parseDiagSocket, parseDiagSubflow } from './sock-diag-codec.ts';

const INET_DIAG_INFO = 2;
const INET_DIAG_CONG = 4;
const INET_DIAG_ULP_INFO = 19;

interface Socket {
  readonly v6: boolean;
  readonly numbers: readonly number[];
  readonly ports: readonly [number, number];
  readonly state: number;
  readonly token: number;
  readonly flags: number;
  readonly info: Uint8Array;
}

/** A message as the kernel makes it: <linux/inet_diag.h>, see sock-diag-codec.ts. */
function emit(socket: Socket): Uint8Array {
  const head = new Uint8Array(72);
  const view = new DataView(head.buffer);
  head[0] = socket.v6 ? AF_INET6 : AF_INET;
  head[1] = socket.state;
  view.setUint16(4, socket.ports[0], false);
  view.setUint16(6, socket.ports[1], false);
  head.set(parseIp(socket.v6 ? '2001:db8::7' : '10.1.2.3')!, 8);
  head.set(parseIp(socket.v6 ? '::ffff:10.9.8.7' : '203.0.113.9')!, 24);
  for (const [index, at] of [40, 44, 48, 64, 68].entries()) view.setUint32(at, socket.numbers[index]!, true);
  const writer = new PayloadWriter().struct(head);
  writer.u8(5, 0).bytes(INET_DIAG_INFO, socket.info).text(INET_DIAG_CONG, 'bbr');
  writer.nest(INET_DIAG_ULP_INFO, (ulp) => {
    ulp.text(1, 'mptcp').nest(3, (mptcp) => {
      mptcp.u32(1, 99).u32(2, socket.token).u32(8, socket.flags).u8(9, 4).u8(10, 5);
    });
  });
  return writer.finish();
}

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const port = fc.integer({ min: 0, max: 0xffff });
const sockets: fc.Arbitrary<Socket> = fc.record({
  v6: fc.boolean(),
  numbers: fc.array(u32, { minLength: 5, maxLength: 5 }),
  ports: fc.tuple(port, port),
  state: fc.integer({ min: 0, max: 12 }),
  token: u32,
  flags: u32,
  info: fc.uint8Array({ maxLength: 300 }),
});

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

it('tells what the codec of lists tells, wherever in memory the message stands', () => {
  const seen = new DiagView();
  fc.assert(
    fc.property(sockets, fc.nat(40), (socket, before) => {
      const message = emit(socket);
      const memory = new Uint8Array(before + message.length + 9).fill(0xee);
      memory.set(message, before);
      expect(seen.look(new DataView(memory.buffer), before, before + message.length)).toBe(true);
      const kept = parseDiagSubflow(message)!;
      for (const field of ['family', 'state', 'localAddress', 'localPort', 'remoteAddress'] as const) {
        expect(seen[field]).toEqual(kept[field]);
      }
      for (const field of ['remotePort', 'linkIndex', 'uid', 'inode', 'congestionControl'] as const) {
        expect(seen[field]).toEqual(kept[field]);
      }
      expect([seen.token, seen.subflowFlags]).toEqual([kept.subflow.localToken, kept.subflow.flags]);
      const copy = new Uint8Array(message.length + 7);
      expect(seen.lengthBytes).toBe(message.length);
      seen.copyTo(viewOf(copy), 3);
      expect(copy.subarray(3, 3 + message.length)).toEqual(message);
      expect(seen.cookie).toBe(socket.numbers[2]! * 2 ** 32 + socket.numbers[1]!);
      const { info } = socket;
      const u8 = (at: number) => (at < info.length ? info[at]! : 0);
      for (const at of [0, 2, info.length - 1, info.length, 400]) {
        if (at >= 0) expect(seen.infoU8(at)).toBe(u8(at));
      }
      const whole = viewOf(info);
      expect(seen.infoU32(8)).toBe(info.length >= 12 ? whole.getUint32(8, true) : 0);
      expect(seen.infoU64(16)).toBe(info.length >= 24 ? Number(whole.getBigUint64(16, true)) : 0);
      expect(seen.hasInfo(info.length)).toBe(true);
      expect(seen.hasInfo(info.length + 1)).toBe(false);
    }),
  );
});

it('forgets the message before', () => {
  const seen = new DiagView();
  const message = emit({
    v6: false,
    numbers: [1, 2, 3, 4, 5],
    ports: [1, 2],
    state: 1,
    token: 7,
    flags: 8,
    info: new Uint8Array(8).fill(1),
  });
  seen.look(viewOf(message), 0, message.length);
  const bare = message.slice(0, 72);
  seen.look(viewOf(bare), 0, 72);
  expect([seen.token, seen.subflowFlags, seen.infoU32(0), seen.congestionControl]).toEqual([
    0,
    0,
    0,
    undefined,
  ]);
});

it('takes any bytes, and any beginning of a message, without an error', () => {
  const seen = new DiagView();
  const read = (bytes: Uint8Array) => {
    const known = seen.look(viewOf(bytes), 0, bytes.length);
    expect(known).toBe(bytes.length >= 72);
    if (!known) return;
    expect([
      seen.cookie,
      seen.token,
      seen.infoU64(0),
      seen.congestionControl,
      seen.remoteAddress,
    ]).toHaveLength(5);
    // The other codec does not fail either, and knows other families not.
    parseDiagSocket(bytes);
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), read));
  const message = emit({
    v6: true,
    numbers: [1, 2, 3, 4, 5],
    ports: [1, 2],
    state: 1,
    token: 7,
    flags: 8,
    info: new Uint8Array(280),
  });
  for (let length = 0; length <= message.length; length++) read(message.slice(0, length));
});
