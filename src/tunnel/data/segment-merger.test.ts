import fc from 'fast-check';
import { beforeEach, expect, it } from 'vitest';
import { makeInnerPacket, testContent, type InnerPacketShape } from '../../../test/support/inner-packets.ts';
import { IOVEC_BYTES, PacketMemory } from './packet-memory.ts';
import { BUFFER_BYTES, BUFFERS, PacketSlots, SLOTS_MEMORY_BYTES } from './packet-slots.ts';
import { MERGER_MEMORY_BYTES, SegmentMerger, type PacketWriter } from './segment-merger.ts';
import { Segmenter } from './segmenter.ts';
import { VIRTIO_CHECKSUM_START, VIRTIO_GSO_BYTES, VIRTIO_GSO_TYPE } from './virtio-header.ts';

const memory = new PacketMemory(SLOTS_MEMORY_BYTES + 3 * MERGER_MEMORY_BYTES + 500_000);
const slots = new PacketSlots(memory);
const segmenter = new Segmenter(memory);
const aside = memory.reserve(70_000);
const asideHeaders = memory.reserve(256);
const SLOTS = slots.freeSlots;
const EINVAL = 22;

/** What the kernel would get: each write as the packets that it stands for. */
class Recorder implements PacketWriter {
  readonly writes: Uint8Array[][] = [];
  lastError = 0;

  writeSingle(at: number, lengthBytes: number): boolean {
    this.writes.push([memory.bytes.slice(at, at + lengthBytes)]);
    return true;
  }

  writeParts(address: number, vectors: number): boolean {
    if (this.lastError !== 0) return false;
    const parts = Array.from({ length: vectors }, (_, i) => {
      const word = (address - memory.address + i * IOVEC_BYTES) / 4;
      const at = memory.words[word]! - (memory.address % 2 ** 32);
      return memory.bytes.slice(at, at + memory.words[word + 2]!);
    });
    const [header, ...rest] = parts;
    this.writes.push(segmentsOf(header!, Buffer.concat(rest)));
    return true;
  }
}

function segmentsOf(header: Uint8Array, packet: Uint8Array): Uint8Array[] {
  memory.bytes.set(packet, aside);
  const fields = new DataView(header.buffer);
  const gso = fields.getUint16(VIRTIO_GSO_BYTES, true);
  const start = fields.getUint16(VIRTIO_CHECKSUM_START, true);
  expect(segmenter.measure(aside, packet.length, header[VIRTIO_GSO_TYPE]!, gso, start)).toBe(true);
  segmenter.begin();
  return Array.from({ length: segmenter.count }, (_, i) => {
    segmenter.emitHeaders(i, asideHeaders);
    const payload = segmenter.payload + i * segmenter.payloadBytes;
    return new Uint8Array(
      Buffer.concat([
        memory.bytes.subarray(asideHeaders, asideHeaders + segmenter.headerBytes),
        memory.bytes.subarray(payload, payload + segmenter.payloadBytesOf(i)),
      ]),
    );
  });
}

let recorder = new Recorder();
const refused: number[] = [];
const makeMerger = (mergesTcp: boolean, mergesUdp: boolean) =>
  new SegmentMerger(
    memory,
    slots,
    {
      writeSingle: (at, lengthBytes) => recorder.writeSingle(at, lengthBytes),
      writeParts: (address, vectors) => recorder.writeParts(address, vectors),
      get lastError() {
        return recorder.lastError;
      },
    },
    { mergesTcp, mergesUdp, onRefused: (protocol) => refused.push(protocol) },
  );
/** Has nothing left from one test to the next. */
const merger = makeMerger(true, true);

beforeEach(() => {
  recorder = new Recorder();
});

/** Gives packets to the merger, as they would lie in a buffer, and ends the turn. */
function merge(packets: readonly Uint8Array[], innerBytesMax = 0, into = merger): void {
  let buffer = slots.lendBuffer();
  let at = slots.bufferAt(buffer);
  const end = () => slots.bufferAt(buffer) + BUFFER_BYTES;
  let taken = 0;
  for (const packet of packets) {
    if (at + packet.length > end() || taken === 200) {
      slots.returnBuffer(buffer);
      buffer = slots.lendBuffer();
      at = slots.bufferAt(buffer);
      taken = 0;
    }
    memory.bytes.set(packet, at);
    const sum = packet.length % 3 === 0 ? memory.sum(at, packet.length) : -1;
    into.add(slots.take(buffer, at, packet.length, sum), innerBytesMax);
    at += packet.length + 8;
    taken++;
  }
  into.flushAll();
  slots.returnBuffer(buffer);
  expect(slots.freeSlots).toBe(SLOTS);
  expect(slots.freeBuffers).toBe(BUFFERS);
}

const TIMESTAMPS = [1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4];
const tcp = (changes: Partial<InnerPacketShape> = {}): InnerPacketShape => ({
  version: 4,
  protocol: 6,
  flow: 1,
  options: TIMESTAMPS,
  payload: testContent(1388),
  ...changes,
});
/** `count` segments that follow one another; the last one is shorter. */
const stream = (count: number, changes: Partial<InnerPacketShape> = {}, lastBytes = 700): Uint8Array[] =>
  Array.from({ length: count }, (_, i) =>
    makeInnerPacket(
      tcp({
        id: i,
        sequence: (0xffff_f000 + i * 1388) >>> 0,
        payload: testContent(i === count - 1 ? lastBytes : 1388, i),
        ...changes,
      }),
    ),
  );

it.each([4, 6] as const)('makes one write of consecutive segments, IPv%i', (version) => {
  const packets = stream(40, { version });
  merge(packets);
  expect(recorder.writes.length).toBe(1);
  expect(recorder.writes[0]).toEqual(packets);
});

it('ends a super-packet where a length field ends, and at 128 segments', () => {
  const packets = stream(100);
  merge(packets);
  expect(recorder.writes.map(({ length }) => length)).toEqual([47, 47, 6]);
  recorder.writes.length = 0;
  const small = Array.from({ length: 200 }, (_, i) =>
    makeInnerPacket(tcp({ id: i, sequence: i * 100, payload: testContent(100, i) })),
  );
  merge(small);
  expect(recorder.writes.map(({ length }) => length)).toEqual([128, 72]);
  expect(recorder.writes.flat()).toEqual(small);
});

it('makes one write of UDP datagrams of one size, and of a shorter one at the end', () => {
  const sizes = [500, 500, 500, 200, 500, 500, 600, 500];
  const packets = sizes.map((size, i) =>
    makeInnerPacket({ version: 6, protocol: 17, flow: 3, payload: testContent(size, i) }),
  );
  merge(packets);
  expect(recorder.writes.map(({ length }) => length)).toEqual([4, 2, 2]);
  expect(recorder.writes.flat()).toEqual(packets);
});

it('merges nothing that the device does not take', () => {
  const packets = [
    ...stream(3),
    ...[1, 2].map((i) =>
      makeInnerPacket({ version: 4, protocol: 17, flow: 3, id: i, payload: testContent(50) }),
    ),
  ];
  merge(packets, 0, makeMerger(false, false));
  expect(recorder.writes).toEqual(packets.map((packet) => [packet]));
});

it('stops to merge a protocol when the device refuses it, and says so once', () => {
  const refusing = makeMerger(true, true);
  recorder.lastError = EINVAL;
  merge(stream(10), 0, refusing);
  merge(stream(10), 0, refusing);
  expect(refused).toEqual([6]);
  expect(recorder.writes.length).toBe(10);
  expect(refusing.mergesUdp).toBe(true);
});

const KEEPS_APART: readonly (readonly [string, Partial<InnerPacketShape>])[] = [
  ['another acknowledgement', { acknowledgement: 2 }],
  ['another window', { windowSize: 501 }],
  ['another option', { options: [1, 1, 8, 10, 0, 0, 1, 3, 0, 0, 3, 4] }],
  ['no options', { options: [] }],
  ['another type of service', { service: 3 }],
  ['other hops', { hops: 62 }],
  ['a hole', { sequence: 5000 }],
  ['fragments allowed', { dontFragment: false }],
  ['URG', { flags: 0x30 }],
  ['RST', { flags: 0x14 }],
  ['SYN', { flags: 0x12 }],
  ['CWR', { flags: 0x90 }],
  ['ECE', { flags: 0x50 }],
  ['no ACK', { flags: 0 }],
  ['a longer payload', { payload: testContent(1389) }],
];

it.each(KEEPS_APART)('keeps segments apart: %s', (_what, changes) => {
  const packets = [
    makeInnerPacket(tcp()),
    makeInnerPacket(tcp({ sequence: 1388, id: 1 })),
    makeInnerPacket(tcp({ sequence: 2776, id: 2, ...changes })),
  ];
  merge(packets);
  expect(recorder.writes).toEqual([packets.slice(0, 2), packets.slice(2)]);
});

it.each([0x18, 0x11, 0x19])('ends a super-packet with PSH and FIN (flags %i)', (flags) => {
  const packets = [
    makeInnerPacket(tcp()),
    makeInnerPacket(tcp({ sequence: 1388, id: 1, flags })),
    makeInnerPacket(tcp({ sequence: 2776, id: 2 })),
  ];
  merge(packets);
  expect(recorder.writes).toEqual([packets.slice(0, 2), packets.slice(2)]);
});

it('takes the numbers of packets that may be cut into account', () => {
  const at = (i: number, id: number) =>
    makeInnerPacket(tcp({ dontFragment: false, sequence: i * 1388, id, payload: testContent(1388, i) }));
  const packets = [at(0, 65_535), at(1, 0), at(2, 1), at(3, 7), at(4, 8)];
  merge(packets);
  expect(recorder.writes).toEqual([packets.slice(0, 3), packets.slice(3)]);
});

it('merges nothing whose checksum is wrong, and leaves it to the kernel', () => {
  for (const [at, by] of [
    [60, 1],
    [1439, 0x80],
    [10, 4],
    [8, 0],
    [37, 1],
  ] as const) {
    for (const which of [0, 1, 2]) {
      recorder.writes.length = 0;
      const packets = stream(3, {}, 1388);
      packets[which]![at]! ^= by;
      const isBroken = by !== 0;
      merge(packets);
      expect(recorder.writes.flat()).toEqual(packets);
      const merged = recorder.writes.filter(({ length }) => length > 1).flat();
      expect(merged.includes(packets[which]!)).toBe(false);
      expect(recorder.writes.length).toBe(isBroken ? (which === 1 ? 3 : 2) : 1);
    }
  }
});

it('does not take two wrong checksums for one right sum', () => {
  const packets = stream(3, {}, 1388);
  const view = new DataView(packets[1]!.buffer);
  view.setUint16(10, view.getUint16(10) - 1);
  view.setUint16(36, view.getUint16(36) + 1);
  merge(packets);
  expect(recorder.writes).toEqual(packets.map((packet) => [packet]));
});

it('lowers the MSS of a SYN, also behind IPv4 options', () => {
  for (const ipOptionBytes of [0, 4]) {
    recorder.writes.length = 0;
    const mss = (value: number) => [2, 4, value >> 8, value & 0xff];
    const syn = { flags: 0x02, payload: new Uint8Array(0), ipOptionBytes };
    merge([makeInnerPacket(tcp({ ...syn, options: mss(1460) }))], 1300);
    expect(recorder.writes).toEqual([[makeInnerPacket(tcp({ ...syn, options: mss(1260) }))]]);
  }
});

/** Differences that re-segmentation cannot bring back, because nothing depends on them. */
function normalised(packet: Uint8Array): string {
  const copy = packet.slice();
  if (copy[0] === 0x45 && copy[6] === 0x40) copy.fill(0, 4, 6).fill(0, 10, 12);
  return Buffer.from(copy).toString('base64');
}

/** Addresses, protocol and ports; what is no IP packet is a flow of its own. */
function flowOf(packet: Uint8Array): string {
  const version = packet[0]! >> 4;
  if (version !== 4 && version !== 6) return 'none';
  const ip = version === 4 ? (packet[0]! & 15) * 4 : 40;
  const parts = version === 4 ? [0, 1, 9, 10, 12, 20] : [0, 1, 6, 7, 8, 40];
  parts.push(ip, ip + 4);
  const texts = parts.flatMap((at, i) => (i % 2 === 0 ? [packet.subarray(at, parts[i + 1])] : []));
  return texts.map((part) => Buffer.from(part).toString('hex')).join(' ');
}

const step = fc.record({
  flow: fc.nat(11),
  count: fc.integer({ min: 1, max: 12 }),
  bytes: fc.constantFrom(1, 2, 99, 500, 1388),
  lastBytes: fc.constantFrom(0, 1, 400, 1388),
  flags: fc.constantFrom(0x10, 0x10, 0x10, 0x18, 0x11, 0x50, 0x90, 0x04),
  gap: fc.constantFrom(0, 0, 0, 1, -1388),
  breaks: fc.constantFrom(-1, -1, -1, 0, 9, 12, 33, 45, 60),
  dontFragment: fc.boolean(),
});

it('hands on every packet of every flow in its order, whatever comes', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.array(fc.uint8Array({ minLength: 20, maxLength: 80 }), { maxLength: 5 }),
      (steps, junk) => {
        recorder.writes.length = 0;
        const next = new Map<number, number>();
        const packets: Uint8Array[] = [];
        for (const s of steps) {
          let sequence = ((next.get(s.flow) ?? 0xffff_fff0) + s.gap) >>> 0;
          const version = s.flow % 2 === 0 ? 4 : 6;
          const protocol = s.flow % 3 === 0 ? 17 : 6;
          for (let i = 0; i < s.count; i++) {
            const payload = testContent(i === s.count - 1 ? s.lastBytes : s.bytes, packets.length);
            const flags = i === s.count - 1 ? s.flags : 0x10;
            const { flow, dontFragment } = s;
            packets.push(
              makeInnerPacket({
                version,
                protocol,
                flow,
                sequence,
                flags,
                payload,
                dontFragment,
                id: packets.length,
              }),
            );
            sequence = (sequence + payload.length) >>> 0;
          }
          next.set(s.flow, sequence);
          const last = packets.at(-1)!;
          if (s.breaks >= 0) last[s.breaks % last.length]! ^= 0x55;
        }
        for (const [i, bytes] of junk.entries()) packets.splice(i * 3, 0, bytes);
        const given = packets.map((packet) => packet.slice());
        merge(packets);
        const written = recorder.writes.flat();
        expect(written.length).toBe(given.length);
        const byFlow = (list: readonly Uint8Array[]) => {
          const flows = new Map<string, string[]>();
          for (const packet of list) {
            const flow = flowOf(packet);
            flows.set(flow, [...(flows.get(flow) ?? []), normalised(packet)]);
          }
          return flows;
        };
        expect(byFlow(written)).toEqual(byFlow(given));
      },
    ),
    { numRuns: 100 },
  );
});
