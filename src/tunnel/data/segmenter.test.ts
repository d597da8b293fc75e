import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldSum, sumBytes } from './checksum-twin.ts';
import { Fragmenter } from './fragmenter.ts';
import { InnerPacket } from './inner-packet.ts';
import { PacketMemory } from './packet-memory.ts';
import { completeChecksum, Segmenter } from './segmenter.ts';
import { GSO_ECN, GsoType } from './virtio-header.ts';

const memory = new PacketMemory(1 << 20);
const AT = memory.reserve(70_000);
const OUT = memory.reserve(512);
const segmenter = new Segmenter(memory);

interface Shape {
  readonly version: 4 | 6;
  readonly protocol: 6 | 17;
  /** Bytes of IPv4 options or IPv6 extension headers. */
  readonly ipOptions: number;
  readonly tcpOptions: number;
  readonly payload: number;
  readonly gso: number;
  readonly flags: number;
  readonly sequence: number;
  readonly id: number;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  protocol: fc.constantFrom(6 as const, 17 as const),
  ipOptions: fc.constantFrom(0, 8),
  tcpOptions: fc.constantFrom(0, 12, 40),
  payload: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.constantFrom(60_000, 65_000)),
  gso: fc.oneof(fc.integer({ min: 100, max: 1500 }), fc.constantFrom(1388, 1400)),
  flags: fc.nat(0xff),
  sequence: fc.oneof(fc.nat(), fc.constantFrom(0xffff_ff00, 0)),
  id: fc.nat(0xffff),
});

const ipBytesOf = ({ version, ipOptions }: Shape) => (version === 4 ? 20 : 40) + ipOptions;
const headerBytesOf = (shape: Shape) => ipBytesOf(shape) + (shape.protocol === 6 ? 20 + shape.tcpOptions : 8);

/** A packet with right checksums, any payload. */
function makePacket(shape: Shape, payload: Uint8Array, changes: Partial<Shape> = {}): Uint8Array {
  const s = { ...shape, ...changes };
  const ip = ipBytesOf(s);
  const header = headerBytesOf(s);
  const packet = new Uint8Array(header + payload.length);
  const view = new DataView(packet.buffer);
  packet.set(payload, header);
  if (s.version === 4) {
    packet[0] = 0x40 | (ip / 4);
    packet[1] = 3;
    view.setUint16(2, packet.length);
    view.setUint16(4, s.id);
    view.setUint16(6, 0x4000);
    packet.set([63, s.protocol], 8);
    packet.set([10, 1, 2, 3, 10, 9, 8, 7], 12);
    packet.fill(1, 20, ip);
    view.setUint16(10, ~sumBytes(packet, 0, ip) & 0xffff);
  } else {
    packet.set([0x60, 0x12, 0x34, 0x56], 0);
    view.setUint16(4, packet.length - 40);
    packet[6] = s.ipOptions > 0 ? 60 : s.protocol;
    packet[7] = 61;
    for (let i = 8; i < 40; i++) packet[i] = i * 7;
    if (s.ipOptions > 0) packet.set([s.protocol, 0, 1, 4, 0, 0, 0, 0], 40);
  }
  packet.set([0x12, 0x34, 0x56, 0x78], ip);
  if (s.protocol === 6) {
    view.setUint32(ip + 4, s.sequence);
    view.setUint32(ip + 8, 0xdeadbeef);
    packet[ip + 12] = ((20 + s.tcpOptions) / 4) << 4;
    packet[ip + 13] = s.flags;
    packet.set([0xff, 0xfe], ip + 14);
    packet.fill(1, ip + 20, header);
  } else {
    view.setUint16(ip + 4, packet.length - ip);
  }
  const field = ip + (s.protocol === 6 ? 16 : 6);
  const checksum = ~transportSum(packet, s) & 0xffff;
  view.setUint16(field, checksum === 0 && s.protocol === 17 ? 0xffff : checksum);
  return packet;
}

/** Of pseudo header, header and payload; 0xffff if the checksum is right. */
function transportSum(packet: Uint8Array, shape: Shape): number {
  const ip = ipBytesOf(shape);
  const [at, length] = shape.version === 4 ? [12, 8] : [8, 32];
  const transport = packet.length - ip;
  return foldSum(sumBytes(packet, at, length) + shape.protocol + transport + sumBytes(packet, ip, transport));
}

/** What the kernel's segmentation makes of it, one whole packet after another. */
function naiveSegments(shape: Shape, payload: Uint8Array): Uint8Array[] {
  const segments: Uint8Array[] = [];
  for (let done = 0; done < payload.length; done += shape.gso) {
    const isFirst = done === 0;
    const isLast = done + shape.gso >= payload.length;
    let { flags } = shape;
    if (!isLast) flags &= ~0x09;
    if (!isFirst) flags &= ~0x80;
    segments.push(
      makePacket(shape, payload.subarray(done, done + shape.gso), {
        flags,
        sequence: (shape.sequence + done) >>> 0,
        id: (shape.id + segments.length) & 0xffff,
      }),
    );
  }
  return segments;
}

function gsoTypeOf({ version, protocol }: Shape): number {
  if (protocol === 17) return GsoType.udp;
  return version === 4 ? GsoType.tcp4 : GsoType.tcp6;
}

function segment(shape: Shape, packet: Uint8Array): Uint8Array[] {
  memory.bytes.set(packet, AT);
  const type = gsoTypeOf(shape) | (shape.protocol === 6 && (shape.flags & 0x80) !== 0 ? GSO_ECN : 0);
  expect(segmenter.measure(AT, packet.length, type, shape.gso, ipBytesOf(shape))).toBe(true);
  segmenter.begin();
  const { count, headerBytes, payload, payloadBytes } = segmenter;
  return Array.from({ length: count }, (_, i) => {
    segmenter.emitHeaders(i, OUT);
    const header = memory.bytes.slice(OUT, OUT + headerBytes);
    const from = payload + i * payloadBytes;
    return Uint8Array.of(...header, ...memory.bytes.subarray(from, from + segmenter.payloadBytesOf(i)));
  });
}

const randomBytes = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24);

describe('Segmenter', () => {
  it('makes of a super-packet what the kernel would, to the byte', () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, seed) => {
        const payload = randomBytes(Math.min(shape.payload, 65_535 - headerBytesOf(shape)), seed);
        const made = segment(shape, makePacket(shape, payload));
        const expected = naiveSegments(shape, payload);
        expect(made.length).toBe(expected.length);
        for (const [i, packet] of expected.entries()) {
          expect(Buffer.compare(made[i]!, packet), `segment ${i}`).toBe(0);
          expect(transportSum(made[i]!, shape)).toBe(0xffff);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('changes nothing while it only measures', () => {
    const shape: Shape = {
      version: 4,
      protocol: 6,
      ipOptions: 0,
      tcpOptions: 12,
      payload: 3000,
      gso: 1000,
      flags: 0x18,
      sequence: 5,
      id: 6,
    };
    const packet = makePacket(shape, randomBytes(3000, 1));
    memory.bytes.set(packet, AT);
    expect(segmenter.measure(AT, packet.length, GsoType.tcp4, 1000, 20)).toBe(true);
    expect(segmenter).toMatchObject({ count: 3, headerBytes: 52, payloadBytes: 1000, payload: AT + 52 });
    expect(Buffer.compare(memory.bytes.subarray(AT, AT + packet.length), packet)).toBe(0);
  });

  it.each([
    ['no bytes a segment', GsoType.tcp4, 0, 20, 200],
    ['an unknown type', 3, 100, 20, 200],
    ['TCP over the other IP version', GsoType.tcp6, 100, 20, 200],
    ['a transport header inside the IP header', GsoType.tcp4, 100, 19, 200],
    ['a transport header beyond the end', GsoType.tcp4, 100, 190, 200],
    ['headers only', GsoType.tcp4, 100, 20, 40],
    ['more headers than there is room for', GsoType.udp, 100, 313, 500],
  ])('refuses %s', (_name, type, gso, start, length) => {
    memory.bytes.fill(0, AT, AT + 600);
    memory.bytes[AT] = 0x45;
    memory.bytes[AT + 32] = 0x50;
    expect(segmenter.measure(AT, length, type, gso, start)).toBe(false);
  });

  it('survives any headers, and never writes more than it may', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 60, maxLength: 600 }),
        fc.oneof(fc.constantFrom(GsoType.tcp4, GsoType.tcp6, GsoType.udp), fc.nat(0xff)),
        fc.nat(700),
        fc.nat(700),
        fc.constantFrom(0x45, 0x60),
        (bytes, type, gso, start, first) => {
          memory.bytes.set(bytes, AT);
          memory.bytes[AT] = first;
          if (!segmenter.measure(AT, bytes.length, type, gso, start)) return;
          segmenter.begin();
          memory.bytes.fill(0xee, OUT, OUT + 512);
          for (let i = 0; i < segmenter.count; i++) {
            segmenter.emitHeaders(i, OUT);
            expect(segmenter.payloadBytesOf(i)).toBeGreaterThan(0);
          }
          expect(segmenter.headerBytes).toBeLessThanOrEqual(320);
          expect(memory.bytes[OUT + 324]).toBe(0xee);
        },
      ),
    );
  });
});

describe('a checksum that was left to be done', () => {
  it('is completed from the pseudo header sum on', () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 1400 }), fc.nat(), (shape, length, seed) => {
        const expected = makePacket(shape, randomBytes(length, seed));
        const packet = Uint8Array.from(expected);
        const ip = ipBytesOf(shape);
        const offset = shape.protocol === 6 ? 16 : 6;
        const [at, addresses] = shape.version === 4 ? [12, 8] : [8, 32];
        const pseudo = foldSum(sumBytes(packet, at, addresses) + shape.protocol + packet.length - ip);
        new DataView(packet.buffer).setUint16(ip + offset, pseudo);
        memory.bytes.set(packet, AT);
        expect(completeChecksum(memory, AT, packet.length, ip, offset)).toBe(true);
        expect(Buffer.compare(memory.bytes.subarray(AT, AT + packet.length), expected)).toBe(0);
      }),
    );
  });

  it('is not looked for outside the packet', () => {
    expect(completeChecksum(memory, AT, 30, 20, 9)).toBe(false);
    expect(completeChecksum(memory, AT, 30, 60_000, 60_000)).toBe(false);
    expect(completeChecksum(memory, AT, 30, 20, 8)).toBe(true);
  });
});

describe('Fragmenter', () => {
  const fragmenter = new Fragmenter(memory);
  const inner = new InnerPacket();

  /** RFC 791's reassembly: payload by offset; checks headers on the way. */
  function reassemble(fragments: readonly Uint8Array[]): Uint8Array {
    const payload = new Uint8Array(70_000);
    let end = 0;
    let total = -1;
    for (const fragment of fragments) {
      const view = new DataView(fragment.buffer);
      const header = (fragment[0]! & 15) * 4;
      expect(sumBytes(fragment, 0, header)).toBe(0xffff);
      expect(view.getUint16(2)).toBe(fragment.length);
      const offset = (view.getUint16(6) & 0x1fff) * 8;
      expect(offset).toBe(end);
      payload.set(fragment.subarray(header), offset);
      end = offset + fragment.length - header;
      if ((view.getUint16(6) & 0x2000) === 0) total = end;
    }
    expect(total).toBe(end);
    return payload.subarray(0, end);
  }

  it('makes fragments that fit and are whole together', () => {
    fc.assert(
      fc.property(
        shapes.filter(({ version }) => version === 4),
        fc.integer({ min: 1, max: 4000 }),
        fc.integer({ min: 68, max: 1500 }),
        (shape, length, most) => {
          const packet = makePacket(shape, randomBytes(length, 3));
          packet[6] = 0;
          memory.bytes.set(packet, AT);
          expect(inner.parse(memory.bytes, AT, packet.length)).toBe(true);
          expect(fragmenter.begin(inner, most)).toBe(true);
          const fragments = Array.from({ length: fragmenter.count }, (_, i) => {
            fragmenter.emitHeader(i, OUT);
            const header = memory.bytes.slice(OUT, OUT + fragmenter.headerBytes);
            const from = fragmenter.payloadOf(i);
            return Uint8Array.of(
              ...header,
              ...memory.bytes.subarray(from, from + fragmenter.payloadBytesOf(i)),
            );
          });
          for (const fragment of fragments) expect(fragment.length).toBeLessThanOrEqual(most);
          expect(Buffer.compare(reassemble(fragments), packet.subarray(ipBytesOf(shape)))).toBe(0);
        },
      ),
    );
  });

  it('keeps offset and "more fragments" of what is a fragment already', () => {
    const packet = new Uint8Array(20 + 64);
    packet.set([0x45, 0, 0, 84, 0, 1, 0x20, 10, 64, 17], 0);
    memory.bytes.set(packet, AT);
    expect(inner.parse(memory.bytes, AT, packet.length)).toBe(true);
    expect(fragmenter.begin(inner, 60)).toBe(true);
    expect(fragmenter.count).toBe(2);
    const fields = [0, 1].map((i) => {
      fragmenter.emitHeader(i, OUT);
      return memory.view.getUint16(OUT + 6);
    });
    expect(fields).toEqual([0x2000 | 10, 0x2000 | 15]);
  });

  it('leaves options that are not to be copied to the first fragment', () => {
    const packet = new Uint8Array(28 + 64);
    // Record route (7, not copied) and router alert (0x94, copied).
    packet.set([0x47, 0, 0, 92, 0, 1, 0, 0, 64, 17], 0);
    packet.set([7, 3, 4, 0x94, 4, 0, 0, 0], 20);
    memory.bytes.set(packet, AT);
    expect(inner.parse(memory.bytes, AT, packet.length)).toBe(true);
    expect(fragmenter.begin(inner, 68)).toBe(true);
    fragmenter.emitHeader(0, OUT);
    expect([...memory.bytes.subarray(OUT + 20, OUT + 28)]).toEqual([7, 3, 4, 0x94, 4, 0, 0, 0]);
    fragmenter.emitHeader(1, OUT);
    expect([...memory.bytes.subarray(OUT + 20, OUT + 28)]).toEqual([1, 1, 1, 0x94, 4, 0, 0, 0]);
  });

  it('refuses when not even 8 bytes fit', () => {
    memory.bytes.fill(0, AT, AT + 100);
    memory.bytes[AT] = 0x45;
    expect(inner.parse(memory.bytes, AT, 100)).toBe(true);
    expect(fragmenter.begin(inner, 27)).toBe(false);
    expect(fragmenter.begin(inner, -Infinity)).toBe(false);
  });
});
