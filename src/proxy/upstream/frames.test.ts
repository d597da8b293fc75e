import fc from 'fast-check';
import { expect, it } from 'vitest';
import { END_FRAME, FrameReader, framesOf, LONGEST_FRAME } from './frames.ts';

const bytes = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const hex = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces).toString('hex');

it('golden bytes', () => {
  expect(hex(framesOf([bytes('abcd')]))).toBe('00000002abcd');
  expect(hex(framesOf([bytes('ab'), bytes(''), bytes('cdef')]))).toBe('00000003abcdef');
  expect(hex([END_FRAME])).toBe('00000000');
  // An empty write must not be the end's word.
  expect(framesOf([])).toEqual([]);
  expect(framesOf([bytes('')])).toEqual([]);
});

it('what was framed is read, in any pieces, and ends once', () => {
  const writes = fc.array(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }), { maxLength: 8 });
  fc.assert(
    fc.property(writes, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (items, sizes) => {
      const stream = Buffer.concat([...items.flatMap((chunks) => framesOf(chunks)), END_FRAME]);
      const reader = new FrameReader();
      const got: Uint8Array[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        expect(reader.isEnded).toBe(false);
        const piece = stream.subarray(at, at + sizes[i % sizes.length]!);
        got.push(...reader.handleBytes(piece)!);
        at += piece.length;
      }
      expect(hex(got)).toBe(hex(items.flat()));
      expect(reader.isEnded).toBe(true);
    }),
  );
});

it('payload is neither copied nor held back', () => {
  const payload = Buffer.alloc(1000, 7);
  const [header, same] = framesOf([payload]);
  expect(same).toBe(payload);
  const reader = new FrameReader();
  expect(reader.handleBytes(header!)).toEqual([]);
  const part = payload.subarray(0, 400);
  expect(reader.handleBytes(part)![0]).toBe(part);
  expect(reader.handleBytes(payload.subarray(400))![0]!.buffer).toBe(payload.buffer);
});

it('more than a frame holds goes in several', () => {
  const long = Buffer.alloc(2 * LONGEST_FRAME + 5, 3);
  const reader = new FrameReader();
  let total = 0;
  for (const piece of framesOf([long, bytes('ab')])) {
    for (const { length } of reader.handleBytes(piece)!) total += length;
  }
  expect(total).toBe(long.length + 1);
});

it.each([
  ['a frame that is too long', '00 10 00 01'],
  ['text', '48 54 54 50 2f'],
  ['a frame behind the end', '00000000 00000001 ab'],
  ['a second end', '00000000 00000000'],
  ['one byte behind the end', '00000001 ab 00000000 00'],
])('%s is no frame, in any pieces', (_what, text) => {
  const stream = bytes(text);
  for (let size = 1; size <= stream.length; size++) {
    const reader = new FrameReader();
    let isMalformed = false;
    for (let at = 0; at < stream.length && !isMalformed; at += size) {
      isMalformed = reader.handleBytes(stream.subarray(at, at + size)) === undefined;
    }
    expect(isMalformed, `pieces of ${size}`).toBe(true);
  }
});

it('random bytes never throw, and give no more than came', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (chunks) => {
      const reader = new FrameReader();
      for (const chunk of chunks) {
        const payload = reader.handleBytes(chunk);
        if (payload === undefined) return;
        expect(payload.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(chunk.length);
      }
    }),
  );
});
