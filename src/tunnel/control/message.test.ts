import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRequest, DEFAULT_KEY, hex, pathRequest } from '../../../test/support/mpt-model.ts';
import {
  DEFAULT_KEY_TEXT,
  equalBytes,
  isSealedWith,
  keyOf,
  sealMessage,
  ZERO_KEY,
} from './authentication.ts';
import { classifyCommandDatagram } from './command-port.ts';
import { cutToLines, emitCreateBody, parseCreateBody } from './create-body.ts';
import { Initiator } from './initiator.ts';
import { emitLocalReply, emitLocalRequest, parseLocalAnswer, parseLocalRequest } from './local-protocol.ts';
import {
  controlMessageBytes,
  emitControlMessage,
  formatControlMessage,
  MAX_CONTROL_BYTES,
  parseControlMessage,
  type ControlMessage,
} from './message.ts';
import { nodeRandomToken, nodeSha256 } from './node-crypto.ts';
import { announcedStatus, emitPathChange, parsePathChange } from './path-status.ts';

const byte = fc.nat(255);
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const address = fc.uint8Array({ minLength: 16, maxLength: 16 });

const message: fc.Arbitrary<ControlMessage> = fc
  .record({
    command: fc.constantFrom(0xa2 as const, 0xa3 as const),
    status: byte,
    authType: fc.constantFrom(0 as const, 1 as const, 2 as const),
    token: u32,
    round: byte,
    ipVersion: fc.constantFrom(4 as const, 6 as const),
    mark: byte,
    exchangeNumber: byte,
    ipLocal: address,
    ipRemote: address,
    bodyBytes: u32,
    body: fc.uint8Array({ maxLength: 200 }),
  })
  .map((each) => {
    const announces = each.round === 1 || each.round === 2;
    const body = announces ? new Uint8Array(0) : each.body;
    return Object.assign(each, {
      token: each.authType === 0 ? 0 : each.token,
      body,
      bodyBytes: announces ? each.bodyBytes : body.length,
    });
  });

describe('control message', () => {
  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(message, (each) => {
        const bytes = emitControlMessage(each);
        expect(bytes).toHaveLength(controlMessageBytes(each));
        expect(parseControlMessage(bytes)).toEqual(each);
      }),
    );
  });

  it('cut anywhere before its body is none, and never more than its bytes are read', () => {
    fc.assert(
      fc.property(message, byte, (each, filler) => {
        const bytes = emitControlMessage(each);
        const around = new Uint8Array(bytes.length + 64).fill(filler);
        around.set(bytes);
        for (let length = 0; length <= bytes.length; length++) {
          const parsed = parseControlMessage(around.subarray(0, length));
          const wanted = bytes.length - each.body.length;
          expect(typeof parsed === 'string').toBe(length < wanted);
          if (typeof parsed !== 'string') expect(parsed.body.length).toBe(length - wanted);
          formatControlMessage(around.subarray(0, length));
        }
      }),
      { numRuns: 30 },
    );
  });

  it('of arbitrary bytes is a reason or a message, the same wherever they lie', () => {
    const nearly = fc
      .tuple(
        fc.constantFrom(0xa2, 0xa3),
        byte,
        fc.constantFrom(0, 1, 2),
        fc.constantFrom(0, 4, 36),
        fc.uint8Array(),
      )
      .map(([command, status, type, length, rest]) => Uint8Array.of(command, status, type, length, ...rest));
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 120 }), nearly),
        fc.nat(20),
        byte,
        (bytes, before, filler) => {
          const around = new Uint8Array(before + bytes.length + 50).fill(filler);
          around.set(bytes, before);
          const inside = around.subarray(before, before + bytes.length);
          const parsed = parseControlMessage(inside);
          expect(parsed).toEqual(parseControlMessage(bytes));
          expect(formatControlMessage(inside)).toBe(formatControlMessage(bytes));
          expect(classifyCommandDatagram(inside, false)).toBe(classifyCommandDatagram(bytes, false));
          if (typeof parsed === 'string') return;
          expect(controlMessageBytes(parsed)).toBeLessThanOrEqual(bytes.length);
          if (parsed.authType === 2) expect(isSealedWith(inside, DEFAULT_KEY, nodeSha256)).toBe(false);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['too short', 'a2000000'],
    ['no such command', `a1000000${'00'.repeat(40)}`],
    ['no such authentication type', `a2000300${'00'.repeat(40)}`],
    ['wrong length of the authentication field', `a2000204${'00'.repeat(40)}`],
    ['no such IP version', `a2000000${'00'.repeat(40)}`],
    ['too short', `a20000000104${'00'.repeat(36)}`],
  ])('%s', (reason, text) => {
    expect(parseControlMessage(new Uint8Array(Buffer.from(text, 'hex')))).toBe(reason);
  });

  it('is refused before it is sent when it fits into no datagram', () => {
    const options = (length: number) => ({
      request: createRequest(new Uint8Array(length)),
      key: DEFAULT_KEY,
      sha256: nodeSha256,
    });
    expect(() => new Initiator(options(MAX_CONTROL_BYTES - 75), 0)).toThrow(/too long for one datagram/);
    expect(() => new Initiator(options(MAX_CONTROL_BYTES - 76), 0)).not.toThrow();
  });

  it('in words shows neither token nor hash', () => {
    const { datagram } = new Initiator(
      { request: pathRequest(2, 0x80), key: DEFAULT_KEY, sha256: nodeSha256 },
      0,
    );
    expect(formatControlMessage(datagram)).toBe(
      'path status round 1, authentication 2, status 128, body 32 bytes',
    );
  });
});

describe('authentication', () => {
  it('takes the first 32 characters of the key as they stand', () => {
    expect(Buffer.from(keyOf(DEFAULT_KEY_TEXT)).toString()).toBe('A0A1A2A3A4A5A6A7A8A9AAABACADAEAF');
    expect(hex(keyOf('ab'))).toBe(`6162${'00'.repeat(30)}`);
    expect(keyOf('')).toEqual(ZERO_KEY);
  });

  it('sees every changed bit', () => {
    const typeTwo = message.map((each) => Object.assign(each, { authType: 2 as const }));
    fc.assert(
      fc.property(typeTwo, fc.uint8Array({ minLength: 32, maxLength: 32 }), u32, (each, key, at) => {
        const bytes = emitControlMessage(each);
        sealMessage(bytes, key, nodeSha256);
        expect(isSealedWith(bytes, key, nodeSha256)).toBe(true);
        const bit = at % (bytes.length * 8);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(isSealedWith(bytes, key, nodeSha256)).toBe(false);
      }),
    );
  });

  it('compares bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        expect(equalBytes(a, b)).toBe(hex(a) === hex(b));
        expect(equalBytes(a, a.slice())).toBe(true);
      }),
    );
  });

  it('makes tokens that are never the absent one', () => {
    const tokens = Array.from({ length: 100 }, () => nodeRandomToken());
    expect(tokens.every((token) => token > 0 && token < 2 ** 32)).toBe(true);
    expect(new Set(tokens).size).toBeGreaterThan(90);
  });
});

describe('bodies', () => {
  it('path change', () => {
    fc.assert(
      fc.property(address, address, (publicAddress, remoteAddress) => {
        const body = emitPathChange({ publicAddress, remoteAddress });
        expect(parsePathChange(body)).toEqual({ publicAddress, remoteAddress });
        for (let length = 0; length < 32; length++)
          expect(parsePathChange(body.subarray(0, length))).toBeUndefined();
      }),
    );
    expect([0, 0x80, 0x81, 0x83].map((status) => announcedStatus(status))).toEqual([0, 0x80, 0x80, 0x80]);
  });

  it('create: four throw-away characters, whole lines only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (line) => {
        const text = `${line.replaceAll('\n', ' ')}\n`;
        const parsed = parseCreateBody(emitCreateBody(text));
        expect(parsed).toBe(/^[;#]{4}/.test(text) ? text.slice(4) : `\n${text}`);
        expect(parseCreateBody(emitCreateBody(`${text}[path`))).toBe(parsed);
      }),
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseCreateBody(bytes)));
  });

  it('create: an answer is cut at the end of a line', () => {
    const lines = new TextEncoder().encode('a = 1\nb = 128\n');
    expect(cutToLines(lines, 14)).toEqual(lines);
    for (let room = 6; room < 14; room++)
      expect(Buffer.from(cutToLines(lines, room)).toString()).toBe('a = 1\n');
    expect(cutToLines(lines, 5)).toHaveLength(0);
    expect(cutToLines(lines, -3)).toHaveLength(0);
  });
});

describe('local protocol', () => {
  const text = fc.string({ unit: 'binary', maxLength: 200 });

  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(text, fc.boolean(), (each, ok) => {
        const command = each.replaceAll('\0', '');
        expect(parseLocalRequest(emitLocalRequest(command))).toBe(command);
        expect(parseLocalAnswer(emitLocalReply(ok, each))).toEqual({ kind: 'reply', ok, text: each });
      }),
    );
  });

  it('never throws, whatever the bytes', () => {
    const first = fc.constantFrom(0xa4, 0xa5, 0xa3);
    fc.assert(
      fc.property(first, fc.uint8Array({ maxLength: 40 }), (command, rest) => {
        for (const bytes of [rest, Uint8Array.of(command, ...rest)]) {
          parseLocalRequest(bytes);
          parseLocalAnswer(bytes);
          classifyCommandDatagram(bytes, true);
        }
      }),
    );
    expect(parseLocalRequest(emitLocalRequest('x'.repeat(5000)))).toBeUndefined();
  });

  it('cuts a report that fits into no datagram at a line, and says so', () => {
    const report = 'Path Status : 0\n'.repeat(10_000);
    const bytes = emitLocalReply(true, report);
    expect(bytes.length).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
    const answer = parseLocalAnswer(bytes);
    expect(answer?.kind === 'reply' && answer.text).toMatch(/: 0\n\.\.\. \(too long for one datagram\)\n$/);
  });
});
