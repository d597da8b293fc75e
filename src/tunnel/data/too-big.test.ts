import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseIp } from '../../base/index.ts';
import { foldSum, sumBytes } from './checksum-twin.ts';
import { InnerPacket } from './inner-packet.ts';
import { PacketMemory } from './packet-memory.ts';
import { TokenBucket } from './token-bucket.ts';
import { ANSWER_BYTES_MAX, emitTooBig } from './too-big.ts';

const memory = new PacketMemory(1 << 18);
const AT = memory.reserve(4096);
const OUT = memory.reserve(ANSWER_BYTES_MAX);
const inner = new InnerPacket();
const FAR_V4 = parseIp('10.9.0.2')!;
const FAR_V6 = parseIp('fd09::2')!;

function answerTo(packet: Uint8Array, mtu: number, from: Uint8Array): Uint8Array {
  memory.bytes.set(packet, AT);
  expect(inner.parse(memory.bytes, AT, packet.length)).toBe(true);
  return memory.bytes.slice(OUT, OUT + emitTooBig(memory, inner, mtu, from, OUT));
}

function v4(length: number, changes: Readonly<Record<number, number>> = {}): Uint8Array {
  const packet = new Uint8Array(length).fill(0xab, 20);
  packet.set([0x45, 0, length >> 8, length & 255, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 7]);
  for (const [at, value] of Object.entries(changes)) packet[Number(at)] = value;
  return packet;
}

function v6(length: number, changes: Readonly<Record<number, number>> = {}): Uint8Array {
  const packet = new Uint8Array(length).fill(0xcd, 40);
  packet.set([0x60, 0, 0, 0, 0, 0, 17, 64]);
  packet.set(parseIp('fd09::1')!, 8);
  packet.set(parseIp('fd09::7')!, 24);
  for (const [at, value] of Object.entries(changes)) packet[Number(at)] = value;
  return packet;
}

it('answers IPv4 with the MTU, from the far end, quoting the packet', () => {
  for (const length of [100, 1500]) {
    const packet = v4(length);
    const answer = answerTo(packet, 1400, FAR_V4);
    const view = new DataView(answer.buffer);
    expect(answer.length).toBe(Math.min(576, length + 28));
    expect(view.getUint16(2)).toBe(answer.length);
    expect(sumBytes(answer, 0, 20)).toBe(0xffff);
    expect(sumBytes(answer, 20, answer.length - 20)).toBe(0xffff);
    expect([...answer.subarray(8, 10)]).toEqual([64, 1]);
    expect([...answer.subarray(12, 20)]).toEqual([10, 9, 0, 2, 10, 9, 0, 1]);
    expect([...answer.subarray(20, 22)]).toEqual([3, 4]);
    expect(view.getUint16(26)).toBe(1400);
    expect(Buffer.compare(answer.subarray(28), packet.subarray(0, answer.length - 28))).toBe(0);
  }
});

it('answers IPv6 with the MTU, from the far end, quoting the packet', () => {
  for (const length of [100, 1500]) {
    const packet = v6(length);
    const answer = answerTo(packet, 1390, FAR_V6);
    const view = new DataView(answer.buffer);
    expect(answer.length).toBe(Math.min(1280, length + 48));
    expect(view.getUint16(4)).toBe(answer.length - 40);
    expect([...answer.subarray(6, 8)]).toEqual([58, 64]);
    expect([...answer.subarray(8, 24)]).toEqual([...FAR_V6]);
    expect([...answer.subarray(24, 40)]).toEqual([...packet.subarray(8, 24)]);
    expect([...answer.subarray(40, 42)]).toEqual([2, 0]);
    expect(view.getUint32(44)).toBe(1390);
    const sum = sumBytes(answer, 8, 32) + 58 + answer.length - 40 + sumBytes(answer, 40, answer.length - 40);
    expect(foldSum(sum)).toBe(0xffff);
    expect(Buffer.compare(answer.subarray(48), packet.subarray(0, answer.length - 48))).toBe(0);
  }
});

it('answers from the destination when the tunnel has addresses of the other version only', () => {
  expect([...answerTo(v4(1500), 1400, FAR_V6).subarray(12, 16)]).toEqual([10, 9, 0, 7]);
  expect([...answerTo(v6(1500), 1400, FAR_V4).subarray(8, 24)]).toEqual([...parseIp('fd09::7')!]);
});

it.each([
  ['an ICMP error', v4(1500, { 9: 1, 20: 3 })],
  ['a later fragment', v4(1500, { 7: 9 })],
  ['multicast', v4(1500, { 16: 224 })],
  ['broadcast', v4(1500, { 16: 255 })],
  ['a source that is nobody', v4(1500, { 12: 0 })],
  ['a source that is a group', v4(1500, { 12: 230 })],
  ['a source that is the loopback', v4(1500, { 12: 127 })],
  ['an ICMPv6 error', v6(1500, { 6: 58, 40: 2 })],
  ['an IPv6 source that is a group', v6(1500, { 8: 0xff })],
  [
    'an IPv6 source that is nobody',
    v6(1500, Object.fromEntries(Array.from({ length: 16 }, (_, i) => [8 + i, 0]))),
  ],
])('does not answer %s', (_name, packet) => {
  expect(answerTo(packet, 1400, FAR_V4).length).toBe(0);
});

it('answers large echoes', () => {
  expect(answerTo(v4(1500, { 9: 1, 20: 8 }), 1400, FAR_V4).length).toBe(576);
  expect(answerTo(v6(1500, { 6: 58, 40: 128 }), 1400, FAR_V6).length).toBe(1280);
});

it('gives so many tokens a second, and no more at once than the burst', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(200_000), { maxLength: 200 }), (gapsUs) => {
      const bucket = new TokenBucket(100, 20);
      let nowUs = 5e9;
      let taken = 0;
      const startUs = nowUs;
      for (const gapUs of gapsUs) {
        nowUs += gapUs;
        if (bucket.take(nowUs)) taken++;
        expect(taken).toBeLessThanOrEqual(20 + ((nowUs - startUs) / 1e6) * 100 + 1);
      }
    }),
  );
  const bucket = new TokenBucket(100, 3);
  expect([1, 2, 3, 4].map(() => bucket.take(1000))).toEqual([true, true, true, false]);
  expect(bucket.take(11_000)).toBe(true);
  expect(bucket.take(11_000)).toBe(false);
  // However long it rested.
  expect([1, 2, 3, 4].map(() => bucket.take(9e9))).toEqual([true, true, true, false]);
});
