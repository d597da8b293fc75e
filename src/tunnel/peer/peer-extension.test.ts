import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PathStatus } from '../control/path-status.ts';
import { nodeHmacSha256 } from '../control/node-crypto.ts';
import { emitKeepalive, KEEPALIVE_BYTES } from '../wire/keepalive.ts';
import { emitMark, EXTENSION_VERSION, markedVersion } from './mark.ts';
import {
  emitExtension,
  extendedBytes,
  formatExtension,
  isExtensionSealed,
  parseExtension,
  sealExtension,
  TAG_BYTES,
  tagKeyOf,
  type Extension,
} from './peer-extension.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const mapped = (last: number) => Uint8Array.from([...Array(10).fill(0), 0xff, 0xff, 10, 0, 0, last]);
const plain = (room: number) => {
  const out = new Uint8Array(room);
  const keepalive = {
    ipVersion: 4 as const,
    ipLocal: mapped(2),
    ipRemote: mapped(3),
    extension: new Uint8Array(0),
  };
  emitKeepalive(out, 0, keepalive);
  emitMark(out, 0);
  return out;
};

const EXAMPLE: Extension = {
  isProbe: false,
  wantsShortIntervals: true,
  senderSession: 0x0102_0304_0506,
  receiverSession: 0x1112_1314_1516,
  number: 7,
  sentUs: 0xfeff_ffff,
  sentPackets: 1000,
  sentBytes: 0x0001_0000_0001,
  echo: { number: 6, heldUs: 49_000, counts: { receivedPackets: 990, receivedBytes: 1_386_000 } },
  probeArrived: 5,
  intervalMs: 250,
  wordNumber: 2,
  word: PathStatus.down,
  heardWordNumber: 1,
  observed: { address: mapped(9), port: 4754 },
};

const write = (extension: Extension, hasTag: boolean, padding = 0) => {
  const out = plain(extendedBytes(hasTag) + padding);
  expect(emitExtension(out, extension, hasTag)).toBe(out.length - padding);
  return out;
};

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const extensions: fc.Arbitrary<Extension> = fc
  .record({
    isProbe: fc.boolean(),
    wantsShortIntervals: fc.boolean(),
    senderSession: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    receiverSession: u48,
    number: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    sentUs: u32,
    sentPackets: u32,
    sentBytes: u48,
    echo: fc.option(
      fc.record({
        number: u32,
        heldUs: u32,
        counts: fc.option(fc.record({ receivedPackets: u32, receivedBytes: u48 })),
      }),
    ),
    probeArrived: u32,
    intervalMs: u16,
    wordNumber: fc.integer({ min: 0, max: 255 }),
    word: fc.constantFrom(PathStatus.ok, PathStatus.down),
    heardWordNumber: fc.integer({ min: 0, max: 255 }),
    observed: fc.record({ address: fc.uint8Array({ minLength: 16, maxLength: 16 }), port: u16 }),
  })
  .map(({ echo, ...fields }) => {
    if (echo === null) return fields;
    const { counts, number, heldUs } = echo;
    return Object.assign(fields, { echo: counts === null ? { number, heldUs } : { number, heldUs, counts } });
  });

it('writes the bytes of the example in docs/tunnel.md', () => {
  const docs = readFileSync(new URL('../../../docs/tunnel.md', import.meta.url), 'utf8');
  const example = /An example, between 10\.0\.0\.2 and 10\.0\.0\.3[^`]*```\n([^`]*)```/.exec(docs)?.[1];
  expect(hex(write(EXAMPLE, false))).toBe(example?.replace(/\s/g, ''));
});

it('is an original keepalive but for the mark', () => {
  const bytes = plain(KEEPALIVE_BYTES);
  expect(markedVersion(bytes)).toBe(EXTENSION_VERSION);
  expect(markedVersion(bytes.subarray(0, 43))).toBe(0);
  bytes[8] = 0;
  expect(markedVersion(bytes)).toBe(0);
});

it('reads what it writes', () => {
  fc.assert(
    fc.property(extensions, fc.boolean(), fc.integer({ min: 0, max: 300 }), (extension, hasTag, padding) => {
      expect(parseExtension(write(extension, hasTag, padding))).toEqual(extension);
    }),
  );
});

it('takes arbitrary bytes, and every part of a good one', () => {
  const good = write(EXAMPLE, true);
  for (let length = 0; length < good.length; length++) {
    expect(typeof parseExtension(good.subarray(0, length))).toBe('string');
    expect(formatExtension(good.subarray(0, length))).toContain(`${length} bytes`);
  }
  expect(formatExtension(good)).toBe(
    'keepalive 7 of 140 bytes, echo of 6 after 49000 us, next within 250 ms, word 2 down',
  );
  const key = new Uint8Array(32);
  const patch = fc.array(fc.tuple(fc.nat(159), fc.nat(255)), { maxLength: 20 });
  fc.assert(
    fc.property(patch, fc.nat(160), (patches, length) => {
      const bytes = write(EXAMPLE, true, 20);
      for (const [at, value] of patches) bytes[at] = value;
      const datagram = bytes.subarray(0, length);
      if (typeof parseExtension(datagram) !== 'string') isExtensionSealed(datagram, key, nodeHmacSha256);
      formatExtension(datagram);
    }),
    { numRuns: 2000 },
  );
});

it('fields of later versions are skipped, other versions are not read', () => {
  const bytes = write(EXAMPLE, false, 8);
  bytes[46] = 88;
  expect(parseExtension(bytes)).toEqual(EXAMPLE);
  bytes[46] = 89;
  expect(parseExtension(bytes)).toBe('cut off');
  bytes[46] = 79;
  expect(parseExtension(bytes)).toBe('contradictory');
  bytes[45] = 2;
  expect(parseExtension(bytes)).toBe('other version');
});

it('a tag covers every byte, padding included, and takes the key', () => {
  const key = tagKeyOf(new TextEncoder().encode('0123456789abcdef0123456789abcdef'), nodeHmacSha256);
  const other = tagKeyOf(new TextEncoder().encode('0123456789abcdef0123456789abcdeF'), nodeHmacSha256);
  const good = write(EXAMPLE, true, 40);
  sealExtension(good, key, nodeHmacSha256);
  expect(isExtensionSealed(good, key, nodeHmacSha256)).toBe(true);
  expect(isExtensionSealed(good, other, nodeHmacSha256)).toBe(false);
  for (let at = 0; at < good.length; at++) {
    const bad = good.slice();
    bad[at]! ^= 1;
    if (typeof parseExtension(bad) === 'string') continue;
    expect(isExtensionSealed(bad, key, nodeHmacSha256), `byte ${at}`).toBe(false);
  }
  expect(isExtensionSealed(good.subarray(0, -1), key, nodeHmacSha256)).toBe(false);
  expect(good.subarray(124, 124 + TAG_BYTES).some((byte) => byte !== 0)).toBe(true);
});
