import { afterAll, expect, it } from 'vitest';
import { closeFd, libc } from '../../native/index.ts';
import { readTotalCounters } from './data-counters.ts';
import { PacketMemory } from './packet-memory.ts';
import { newCounterBlock } from './protocol.ts';
import { TunWriter, WRITER_MEMORY_BYTES } from './tun-writer.ts';

const O_DIRECT = 0o40000;
const EBADF = 9;
/** With O_DIRECT each write is a packet of its own, as with the device. */
const ends = new Int32Array(2);
expect(libc.pipe2(new Uint8Array(ends.buffer), O_DIRECT)).toBe(0);
const [out, into] = [ends[0]!, ends[1]!];
afterAll(() => {
  closeFd(out);
  closeFd(into);
});

const memory = new PacketMemory(8 * WRITER_MEMORY_BYTES + 4096);
const at = memory.reserve(64);
memory.bytes.set([0x45, 1, 2, 3, 4], at);
const totals = new Float64Array(newCounterBlock());
const written = () => readTotalCounters(new Float64Array(newCounterBlock()), totals).received;

const read = (): number[] => {
  const buffer = new Uint8Array(100);
  return [...buffer.subarray(0, libc.read(out, buffer, buffer.length))];
};

it('puts an empty virtio header before a packet where the device wants one', () => {
  const writer = new TunWriter(memory, { fd: into, hasVirtioHeader: true, totals });
  expect(writer.writeSingle(at, 5)).toBe(true);
  expect(writer.writeSingle(at, 2)).toBe(true);
  expect(read()).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x45, 1, 2, 3, 4]);
  expect(read()).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x45, 1]);
});

it('writes bare packets where it does not', () => {
  const writer = new TunWriter(memory, { fd: into, hasVirtioHeader: false, totals });
  expect(writer.writeSingle(at, 5)).toBe(true);
  expect(read()).toEqual([0x45, 1, 2, 3, 4]);
});

it('counts what is refused', () => {
  const before = written();
  const writer = new TunWriter(memory, { fd: -1, hasVirtioHeader: true, totals });
  expect(writer.writeSingle(at, 5)).toBe(false);
  expect(writer.lastError).toBe(EBADF);
  expect(written()).toEqual({ writes: before.writes + 1, writeErrors: before.writeErrors + 1 });
});
