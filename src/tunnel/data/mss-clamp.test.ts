import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sumBytes } from './checksum-twin.ts';
import { InnerPacket, PROTOCOL_UNKNOWN } from './inner-packet.ts';
import { clampMss } from './mss-clamp.ts';

/** A TCP segment in IPv4 or IPv6 with these options (padded), and a right checksum. */
function makeTcp(version: 4 | 6, flags: number, options: readonly number[]): Uint8Array {
  const optionBytes = Math.ceil(options.length / 4) * 4;
  const ip = version === 4 ? 20 : 40;
  const packet = new Uint8Array(ip + 20 + optionBytes);
  const tcp = packet.length - ip;
  packet[0] = version === 4 ? 0x45 : 0x60;
  packet[version === 4 ? 9 : 6] = 6;
  packet.set([10, 0, 0, 1, 10, 0, 0, 2], version === 4 ? 12 : 8);
  packet.set([0x12, 0x34, 0, 80, 1, 2, 3, 4], ip);
  packet[ip + 12] = (5 + optionBytes / 4) << 4;
  packet[ip + 13] = flags;
  packet.set(options, ip + 20);
  const sum = ~tcpSum(packet, version, tcp) & 0xffff;
  packet.set([sum >> 8, sum & 0xff], ip + 16);
  return packet;
}

/** 0xffff for a right checksum. */
function tcpSum(packet: Uint8Array, version: 4 | 6, tcpBytes: number): number {
  const [at, length] = version === 4 ? [12, 8] : [8, 32];
  let sum =
    sumBytes(packet, at, length) + 6 + tcpBytes + sumBytes(packet, packet.length - tcpBytes, tcpBytes);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

function parsed(packet: Uint8Array): InnerPacket {
  const inner = new InnerPacket();
  expect(inner.parse(packet, 0, packet.length)).toBe(true);
  return inner;
}

describe('InnerPacket', () => {
  const inner = new InnerPacket();

  it('finds the transport header behind options and extension headers', () => {
    const v4 = new Uint8Array(60);
    v4.set([0x47], 0);
    v4[9] = 17;
    expect(inner.parse(v4, 0, 60)).toBe(true);
    expect(inner).toMatchObject({ version: 4, protocol: 17, transport: 28, isFragment: false });

    const v6 = new Uint8Array(100);
    v6[0] = 0x60;
    v6[6] = 0;
    v6.set([60, 1], 40);
    v6.set([6, 0], 56);
    expect(inner.parse(v6, 0, 100)).toBe(true);
    expect(inner).toMatchObject({ version: 6, protocol: 6, transport: 64, isFragment: false });
  });

  it('knows fragments, and that only the first has the ports', () => {
    const v4 = makeTcp(4, 0, []);
    v4[6] = 0x20;
    expect(inner.parse(v4, 0, v4.length)).toBe(true);
    expect(inner).toMatchObject({ isFragment: true, protocol: 6 });
    v4[7] = 5;
    expect(inner.parse(v4, 0, v4.length)).toBe(true);
    expect(inner).toMatchObject({ isFragment: true, protocol: PROTOCOL_UNKNOWN });

    const v6 = new Uint8Array(80);
    v6[0] = 0x60;
    v6[6] = 44;
    v6.set([17, 0, 0, 1], 40);
    expect(inner.parse(v6, 0, 80)).toBe(true);
    expect(inner).toMatchObject({ isFragment: true, protocol: 17, transport: 48 });
    v6.set([17, 0, 0, 8], 40);
    expect(inner.parse(v6, 0, 80)).toBe(true);
    expect(inner).toMatchObject({ isFragment: true, protocol: PROTOCOL_UNKNOWN });
  });

  it('reads inside the given bytes, whatever they are', () => {
    // Many zeros, which are hop-by-hop headers.
    const byte = fc.oneof(fc.constantFrom(0, 0, 43, 44, 60), fc.nat(255));
    const extended = fc.oneof(
      fc.array(byte, { maxLength: 120 }),
      fc.array(byte, { minLength: 40, maxLength: 50 }),
    );
    fc.assert(
      fc.property(extended, fc.constantFrom(0, 0x45, 0x60, 0x60), (random, first) => {
        const bytes = Uint8Array.from(random);
        if (bytes.length > 0 && first !== 0) bytes[0] = first;
        const touched: number[] = [];
        const watched = new Proxy(bytes, {
          get: (target, key) => {
            if (typeof key === 'string' && /^\d+$/.test(key)) touched.push(Number(key));
            return Reflect.get(target, key) as unknown;
          },
        });
        const isPacket = inner.parse(watched, 0, bytes.length);
        expect(Math.max(-1, ...touched)).toBeLessThan(bytes.length);
        if (isPacket) expect(inner.transport).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe('the MSS of a SYN', () => {
  const NOPS = fc.array(fc.constant(1), { maxLength: 5 });

  it('is lowered, with a right checksum, wherever the option stands', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4 as const, 6 as const),
        NOPS,
        fc.integer({ min: 1, max: 0xffff }),
        fc.integer({ min: 600, max: 1500 }),
        (version, nops, mss, innerBytesMax) => {
          const packet = makeTcp(version, 0x02, [...nops, 2, 4, mss >> 8, mss & 0xff, 1, 3, 3, 7]);
          const ip = version === 4 ? 20 : 40;
          const tcpBytes = packet.length - ip;
          const allowed = innerBytesMax - ip - 20;
          expect(clampMss(parsed(packet), packet, innerBytesMax, false)).toBe(mss > allowed);
          const at = ip + 20 + nops.length + 2;
          expect((packet[at]! << 8) | packet[at + 1]!).toBe(Math.min(mss, allowed));
          expect(tcpSum(packet, version, tcpBytes)).toBe(0xffff);
        },
      ),
    );
  });

  it('leaves the checksum alone that is still to be done', () => {
    const packet = makeTcp(4, 0x12, [2, 4, 0x05, 0xb4]);
    packet.set([0xaa, 0xbb], 36);
    expect(clampMss(parsed(packet), packet, 1400, true)).toBe(true);
    expect([...packet.subarray(36, 38)]).toEqual([0xaa, 0xbb]);
    expect((packet[42]! << 8) | packet[43]!).toBe(1360);
  });

  it.each([
    ['no SYN', makeTcp(4, 0x10, [2, 4, 0x05, 0xb4]), 1400],
    ['no limit', makeTcp(4, 0x02, [2, 4, 0x05, 0xb4]), 0],
    ['an end before it', makeTcp(4, 0x02, [0, 2, 4, 0x05, 0xb4]), 1400],
    ['a length of another', makeTcp(4, 0x02, [2, 3, 0x05, 1]), 1400],
    ['an option without length', makeTcp(4, 0x02, [3, 0, 2, 4, 5, 0xb4]), 1400],
    ['an option beyond the header', makeTcp(4, 0x02, [3, 9, 2, 4]), 1400],
    ['none', makeTcp(4, 0x02, []), 1400],
  ])('is left: %s', (_name, packet, innerBytesMax) => {
    const before = Uint8Array.from(packet);
    expect(clampMss(parsed(packet), packet, innerBytesMax, false)).toBe(false);
    expect(packet).toEqual(before);
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 100 }), (random) => {
        const bytes = Uint8Array.from(random);
        bytes[0] = 0x45;
        bytes[9] = 6;
        bytes[6] = bytes[7] = 0;
        const inner = new InnerPacket();
        if (inner.parse(bytes, 0, bytes.length)) clampMss(inner, bytes, 600, false);
        expect(bytes.length).toBe(random.length);
      }),
    );
  });
});
