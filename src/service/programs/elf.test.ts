import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { goVersion, parseElf } from './elf.ts';

interface Part {
  readonly type: number;
  readonly flags?: number;
  readonly bytes?: Uint8Array;
  readonly offset?: number;
}

const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;

const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** A note of ELF: lengths of name and value, type, both padded to four bytes. */
function note(name: string, type: number, value: Uint8Array): Uint8Array {
  const padded = (length: number) => (length + 3) & ~3;
  const bytes = new Uint8Array(12 + padded(name.length) + padded(value.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length, true);
  view.setUint32(4, value.length, true);
  view.setUint32(8, type, true);
  bytes.set(ascii(name), 12);
  bytes.set(value, 12 + padded(name.length));
  return bytes;
}

/** The head of a program, laid out as elf(5) says. */
function makeElf(bits: 32 | 64, parts: readonly Part[], machine = 62): Uint8Array {
  const wide = bits === 64;
  const [headBytes, entryBytes] = wide ? [64, 56] : [52, 32];
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(18, machine, true);
  if (wide) view.setBigUint64(0x20, BigInt(headBytes), true);
  else view.setUint32(0x1c, headBytes, true);
  view.setUint16(wide ? 0x36 : 0x2a, entryBytes, true);
  view.setUint16(wide ? 0x38 : 0x2c, parts.length, true);
  let free = headBytes + parts.length * entryBytes;
  for (const [i, { type, flags = 4, bytes: content = new Uint8Array(0), offset = free }] of parts.entries()) {
    const at = headBytes + i * entryBytes;
    view.setUint32(at, type, true);
    view.setUint32(at + (wide ? 4 : 24), flags, true);
    if (wide) {
      view.setBigUint64(at + 8, BigInt(offset), true);
      view.setBigUint64(at + 32, BigInt(content.length), true);
    } else {
      view.setUint32(at + 4, offset, true);
      view.setUint32(at + 16, content.length, true);
    }
    if (offset === free) {
      bytes.set(content, free);
      free += content.length;
    }
  }
  return bytes;
}

const INTERPRETER: Part = { type: PT_INTERP, bytes: ascii('/lib64/ld-linux-x86-64.so.2\0') };
const GO_NOTE: Part = {
  type: PT_NOTE,
  bytes: Uint8Array.from([
    ...note('GNU\0', 3, new Uint8Array(20)),
    ...note('Go\0\0', 4, ascii('abc/def/ghi')),
  ]),
};

describe.each([32, 64] as const)('a program of %d bits', (bits) => {
  it('linked dynamically', () => {
    expect(parseElf(makeElf(bits, [INTERPRETER, { type: PT_LOAD, flags: 5 }]))).toEqual({
      bits,
      machine: 62,
      madeByGo: false,
      interpreter: '/lib64/ld-linux-x86-64.so.2',
    });
  });

  it('linked statically by Go, with writable data behind the head', () => {
    const parts = [{ type: PT_LOAD, flags: 5 }, GO_NOTE, { type: PT_LOAD, flags: 6, offset: 0x40_0000 }];
    expect(parseElf(makeElf(bits, parts, 183))).toEqual({
      bits,
      machine: 183,
      madeByGo: true,
      dataOffset: 0x40_0000,
    });
  });

  it('with notes of others only', () => {
    const others = { type: PT_NOTE, bytes: note('GNU\0', 4, ascii('Go')) };
    expect(parseElf(makeElf(bits, [others]))).toMatchObject({ madeByGo: false });
  });

  it('cut off anywhere, never throws', () => {
    const whole = makeElf(bits, [INTERPRETER, GO_NOTE]);
    for (let length = 0; length < 400; length++) parseElf(whole.subarray(0, length));
    expect(parseElf(whole.subarray(0, 63))).toBe('it is cut off');
  });
});

it('says what is no ELF file', () => {
  expect(parseElf(ascii('#!/bin/sh\n'))).toBe('it is no ELF file');
  expect(parseElf(new Uint8Array(0))).toBe('it is no ELF file');
});

it('takes any bytes without throwing', () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, fc.constantFrom(1, 2), (rest, width) => {
      parseElf(rest);
      const result = parseElf(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, width, 1, ...rest]));
      expect(['string', 'object']).toContain(typeof result);
      goVersion(rest);
    }),
  );
});

describe('the version of Go', () => {
  const information = (version: string, flags = 2) =>
    Uint8Array.from([
      0xff,
      ...ascii(' Go buildinf:'),
      8,
      flags,
      ...new Uint8Array(16),
      version.length,
      ...ascii(version),
      0,
    ]);

  it.each([
    ['go1.21.4', [1, 21]],
    ['go1.19', [1, 19]],
    ['devel go1.24-af12', [1, 24]],
    ['gccgo', undefined],
  ])('%s', (text, expected) => {
    expect(goVersion(information(text))).toEqual(expected);
    expect(goVersion(Uint8Array.from([...new Uint8Array(32), ...information(text)]))).toEqual(expected);
  });

  it('of an older form is not known', () => expect(goVersion(information('go1.17', 0))).toBeUndefined());
});
