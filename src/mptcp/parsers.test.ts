/**
 * Every parser of what the kernel sends, given anything: it never throws, and never reads beyond the bytes that it was
 * given, which is shown by giving it the same bytes in two surroundings.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSockaddr } from '../native/index.ts';
import { parseAddress } from '../netlink/address.ts';
import { findU32 } from '../netlink/attributes.ts';
import { parseLink } from '../netlink/link.ts';
import { parseMessages, parseVerdict } from '../netlink/message.ts';
import { parseRoute } from '../netlink/route.ts';
import { parseRouteEvent } from '../netlink/route-netlink.ts';
import { parseRule } from '../netlink/rule.ts';
import { parseDiagSocket, parseDiagSubflow } from '../netlink/sock-diag-codec.ts';
import { parseEndpoint, parseEvent, parseLimits } from './path-manager-codec.ts';
import { parseFullInfo, parseMptcpInfo, parseSubflowAddresses, parseSubflowData } from './socket-info.ts';
import { parseTcpInfo } from './tcp-info.ts';

const message = (type: number, payload: Uint8Array) => ({
  type,
  flags: 0x300,
  sequence: 1,
  portId: 0,
  payload,
});

/** Parser, and how many bytes stand before the attributes (0: it reads no attributes). */
const PARSERS: Readonly<Record<string, readonly [(bytes: Uint8Array) => unknown, number]>> = {
  parseMessages: [parseMessages, 0],
  'parseVerdict of an error': [(bytes) => parseVerdict(message(2, bytes)), 20],
  'parseVerdict of the end of a dump': [(bytes) => parseVerdict(message(3, bytes)), 4],
  parseLink: [parseLink, 16],
  parseAddress: [parseAddress, 8],
  parseRoute: [parseRoute, 12],
  parseRule: [parseRule, 12],
  parseRouteEvent: [(bytes) => parseRouteEvent(message(16 + (bytes.length % 18), bytes)), 16],
  parseDiagSocket: [parseDiagSocket, 72],
  parseDiagSubflow: [parseDiagSubflow, 72],
  parseEndpoint: [parseEndpoint, 4],
  parseLimits: [parseLimits, 4],
  parseEvent: [parseEvent, 4],
  findU32: [(bytes) => findU32(bytes, 4, 2), 4],
  parseSockaddr: [parseSockaddr, 0],
  parseTcpInfo: [parseTcpInfo, 0],
  parseMptcpInfo: [parseMptcpInfo, 0],
  parseSubflowData: [parseSubflowData, 0],
  parseSubflowAddresses: [parseSubflowAddresses, 0],
  parseFullInfo: [(bytes) => parseFullInfo(bytes, bytes.subarray(20), bytes.subarray(10)), 0],
};

/** Attributes of small types, most of them well-formed, some nested, some with a length that is a lie. */
const attributes = (depth: number): fc.Arbitrary<number[]> => {
  const value: fc.Arbitrary<number[]> = fc.oneof(
    fc.array(fc.nat(255), { maxLength: 20 }),
    ...(depth > 0 ? [attributes(depth - 1)] : []),
  );
  const one = fc
    .tuple(fc.nat(33), value, fc.constantFrom(0, 0, 0, 0, 0x8000), fc.constantFrom(0, 0, 0, 0, 0, 1, -4, 40))
    .map(([type, bytes, flag, lie]) => {
      const length = Math.max(0, 4 + bytes.length + lie);
      const padding = Array.from({ length: -bytes.length & 3 }, () => 0);
      return [length & 255, length >> 8, type, flag >> 8].concat(bytes, padding);
    });
  return fc.array(one, { maxLength: 6 }).map((list) => list.flat());
};

/** The fixed part, of a family that parsers look at, then attributes, then a few bytes that are none. */
const payloadOf = (headerBytes: number) =>
  headerBytes === 0
    ? fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 10, 16)), { maxLength: 400 })
    : fc
        .tuple(
          fc.constantFrom<number>(0, 2, 10),
          fc.array(fc.oneof(fc.nat(255), fc.constant(0)), {
            minLength: headerBytes - 1,
            maxLength: headerBytes - 1,
          }),
          attributes(2),
          fc.array(fc.nat(255), { maxLength: 5 }),
        )
        .map(([family, header, list, rest]) => [family].concat(header, list, rest));

function surroundedBy(filler: number, bytes: readonly number[]): Uint8Array {
  const memory = new Uint8Array(bytes.length + 512).fill(filler);
  memory.set(bytes, 256);
  return memory.subarray(256, 256 + bytes.length);
}

/** Views of the input differ in where they stand, which is not what is compared. */
const plain = (result: unknown) =>
  JSON.stringify(result, (_key, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    return value instanceof Uint8Array ? [...value] : value;
  });

describe('a parser, given anything, neither throws nor reads beyond it', () => {
  it.each(Object.entries(PARSERS))('%s', (_name, [parse, headerBytes]) => {
    fc.assert(
      fc.property(payloadOf(headerBytes), fc.nat(420), (bytes, cut) => {
        const given = cut < 20 ? bytes.slice(0, cut * 4) : bytes;
        expect(plain(parse(surroundedBy(0xff, given)))).toBe(plain(parse(surroundedBy(0, given))));
      }),
      { numRuns: 300 },
    );
  });
});
