import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECORDINGS, readRecording } from '../../../test/support/mpt-recordings.ts';
import { classifyDatagram, DatagramKind, FIRST_MALFORMED, formatDatagramKind } from './classify.ts';
import {
  emitPlainHeader,
  emitSequencedHeader,
  headerBytesAt,
  isSequenced,
  PROTOCOL_IPV6,
  sequenceAt,
  type IpVersion,
} from './data-header.ts';
import { emitKeepalive, KEEPALIVE_BYTES, parseKeepalive } from './keepalive.ts';

const ipVersion = fc.constantFrom<IpVersion>(4, 6);
const address = fc.uint8Array({ minLength: 16, maxLength: 16 });

/** A buffer in which a datagram lies somewhere, with other bytes around it. */
const embedded = (datagram: Uint8Array, before: number, filler: number) => {
  const bytes = new Uint8Array(before + datagram.length + 16).fill(filler);
  bytes.set(datagram, before);
  return bytes;
};

/** Every access outside of the given part fails the test. */
function guarded(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) {
        const index = Number(key);
        if (index < from || index >= to) throw new Error(`read of byte ${index} outside of ${from}..${to}`);
        return target[index];
      }
      if (key === 'subarray') {
        return (start: number, end: number) => {
          if (start < from || end > to || start > end) throw new Error(`part ${start}..${end}`);
          return target.subarray(start, end);
        };
      }
      return Reflect.get(target, key, target);
    },
  });
}

describe('recorded data ports', () => {
  const names = RECORDINGS.filter((name) => name.startsWith('data-') || name.startsWith('ctl-create'));

  it('are all there', () => {
    expect(names).toHaveLength(10);
  });

  it.each(names)('%s: each datagram is known and written again to the same bytes', (name) => {
    const datagrams = readRecording(name).filter(
      (each) => !each.from.endsWith(':60456') && !each.from.startsWith('127'),
    );
    if (name === 'ctl-create.lo') {
      expect(datagrams).toEqual([]);
      return;
    }
    const kinds = new Set<number>();
    for (const { payload } of datagrams) {
      const kind = classifyDatagram(payload, 0, payload.length);
      kinds.add(kind);
      const again = new Uint8Array(payload.length);
      if (kind === DatagramKind.keepalive) {
        const keepalive = parseKeepalive(payload, 0, payload.length)!;
        expect(emitKeepalive(again, 0, keepalive)).toBe(KEEPALIVE_BYTES);
      } else {
        expect(kind).toBe(DatagramKind.data);
        const at = headerBytesAt(payload, 0);
        const version = (payload[at]! >>> 4) as IpVersion;
        const written = isSequenced(payload, 0)
          ? emitSequencedHeader(again, 0, version, sequenceAt(payload, 0))
          : emitPlainHeader(again, 0, version);
        expect(written).toBe(at);
        again.set(payload.subarray(at), at);
      }
      expect(Buffer.from(again).toString('hex')).toBe(Buffer.from(payload).toString('hex'));
    }
    expect(kinds).toEqual(new Set(name.includes('nets2') ? [DatagramKind.keepalive] : [0, 1]));
  });

  it('number the packets of a connection over both paths', () => {
    const sent = ['eth1', 'eth2'].flatMap((link) =>
      readRecording(`data-v4outer-reorder900.${link}`)
        .filter((each) => /^10\.\d\.\d\.2:23456$/.test(each.from) && isSequenced(each.payload, 0))
        .map((each) => sequenceAt(each.payload, 0)),
    );
    expect(sent.sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });
});

describe('data header', () => {
  it('is what was asked for, wherever it stands', () => {
    fc.assert(
      fc.property(
        ipVersion,
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.nat(40),
        (version, sequence, at) => {
          const out = new Uint8Array(at + 8 + 40).fill(0xee);
          const length = emitSequencedHeader(out, at, version, sequence);
          out[at + length] = version << 4;
          expect(classifyDatagram(out, at, length + 40)).toBe(DatagramKind.data);
          expect(headerBytesAt(out, at)).toBe(8);
          expect(sequenceAt(out, at)).toBe(sequence);
          expect(emitPlainHeader(out, at, version)).toBe(4);
          expect(isSequenced(out, at)).toBe(false);
          expect((out[at + 2]! << 8) | out[at + 3]!).toBe(version === 6 ? PROTOCOL_IPV6 : 0x0800);
          expect(out.subarray(0, at).every((byte) => byte === 0xee)).toBe(true);
        },
      ),
    );
  });
});

describe('classification', () => {
  const packet = (first: number, inner: number, flags = 0, version = 0) => {
    const bytes = new Uint8Array(4 + inner);
    bytes.set([flags, version, 8, 0, first]);
    return bytes;
  };
  it.each([
    ['seven bytes', packet(0x45, 3), DatagramKind.tooShort],
    ['a sequenced header alone', packet(0, 4, 0x10), DatagramKind.tooShort],
    ['a checksum', packet(0x45, 40, 0x80), DatagramKind.unsupportedFlags],
    ['a key', packet(0x45, 40, 0x20), DatagramKind.unsupportedFlags],
    ['PPTP', packet(0x45, 40, 0, 1), DatagramKind.unsupportedVersion],
    ['a path status change', packet(0xa2, 40), DatagramKind.controlOnDataPort],
    ['a short keepalive', packet(0xa1, 4), DatagramKind.keepalive],
    ['an inner version 5', packet(0x55, 40), DatagramKind.notIp],
    ['half an IPv4 header', packet(0x45, 19), DatagramKind.innerTooShort],
    ['half an IPv6 header', packet(0x60, 39), DatagramKind.innerTooShort],
    ['an empty IPv4 packet', packet(0x45, 20), DatagramKind.data],
    ['an empty IPv6 packet', packet(0x60, 40), DatagramKind.data],
    ['reserved bits that a receiver ignores', packet(0x45, 20, 0x03, 0xf8), DatagramKind.data],
  ])('of %s', (_, bytes, kind) => {
    expect(classifyDatagram(bytes, 0, bytes.length)).toBe(kind);
    expect(formatDatagramKind(kind)).not.toBe('');
  });

  it('never reads outside and never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(9), fc.nat(255), (datagram, before, filler) => {
        const bytes = embedded(datagram, before, filler);
        const view = guarded(bytes, before, before + datagram.length);
        const kind = classifyDatagram(view, before, datagram.length);
        expect(formatDatagramKind(kind)).toBeTypeOf('string');
        if (kind >= FIRST_MALFORMED) return;
        expect(headerBytesAt(view, before)).toBeLessThan(datagram.length);
        if (isSequenced(view, before)) sequenceAt(view, before);
        if (kind === DatagramKind.keepalive) parseKeepalive(view, before, datagram.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('never reads outside of a keepalive cut anywhere', () => {
    fc.assert(
      fc.property(
        address,
        address,
        fc.boolean(),
        fc.nat(60),
        fc.nat(9),
        (local, remote, sequenced, cut, before) => {
          const whole = new Uint8Array(64);
          emitKeepalive(whole, 0, {
            ipVersion: 4,
            ipLocal: local,
            ipRemote: remote,
            extension: new Uint8Array(16),
          });
          if (sequenced) {
            whole.copyWithin(8, 4);
            emitSequencedHeader(whole, 0, 4, 7);
          }
          const datagram = whole.subarray(0, cut);
          const view = guarded(embedded(datagram, before, 0xa1), before, before + cut);
          const kind = classifyDatagram(view, before, cut);
          expect(kind).toBe(cut < (sequenced ? 9 : 8) ? DatagramKind.tooShort : DatagramKind.keepalive);
          if (kind !== DatagramKind.keepalive) return;
          const parsed = parseKeepalive(view, before, cut);
          expect(parsed === undefined).toBe(cut < (sequenced ? 48 : 44));
        },
      ),
    );
  });
});

describe('keepalive', () => {
  it('comes back from its bytes', () => {
    const extension = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(
        ipVersion,
        address,
        address,
        extension,
        fc.nat(9),
        (version, ipLocal, ipRemote, more, at) => {
          const keepalive = { ipVersion: version, ipLocal, ipRemote, extension: more };
          const out = new Uint8Array(at + 44 + more.length).fill(0xff);
          const length = emitKeepalive(out, at, keepalive);
          expect(length).toBe(44 + more.length);
          expect(classifyDatagram(out, at, length)).toBe(DatagramKind.keepalive);
          expect(parseKeepalive(out, at, length)).toEqual(keepalive);
        },
      ),
    );
  });
});
