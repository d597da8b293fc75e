/** The SOCKS codecs: golden bytes from the RFCs' tables and from curl, every prefix, and noise. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitDatagram, parseDatagram } from './datagram.ts';
import type { Parsed } from './parsed.ts';
import { emitSocks4Reply, parseSocks4 } from './socks4.ts';
import {
  emitAddress,
  emitChoice,
  emitReply,
  emitVerdict,
  parseAddress,
  parseCredentials,
  parseGreeting,
  parseRequest,
} from './socks5.ts';

const bytes = (...parts: (number | string)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));

/** The message comes with its last byte, not sooner, and what follows is left alone. */
function expectMessage<T>(parse: (given: Uint8Array) => Parsed<T>, given: Buffer, value: T): void {
  for (let length = 0; length < given.length; length++) {
    expect(parse(given.subarray(0, length)), `${length} bytes`).toEqual({ kind: 'more' });
  }
  const parsed = { kind: 'message', value, length: given.length };
  expect(parse(given)).toEqual(parsed);
  expect(parse(Buffer.concat([given, Buffer.from('next')]))).toEqual(parsed);
}

describe('SOCKS5', () => {
  it('greeting', () => {
    expectMessage(parseGreeting, bytes(5, 1, 0), [0]);
    // curl with a user offers none, GSSAPI and user.
    expectMessage(parseGreeting, bytes(5, 3, 0, 1, 2), [0, 1, 2]);
    expect(parseGreeting(bytes(5, 0))).toMatchObject({ kind: 'malformed' });
    expect(parseGreeting(bytes(4))).toMatchObject({ kind: 'malformed' });
    expect(emitChoice(2)).toEqual(bytes(5, 2));
  });

  it('user and password', () => {
    expectMessage(parseCredentials, bytes(1, 3, 'ann', 6, 'secret'), { user: 'ann', password: 'secret' });
    expectMessage(parseCredentials, bytes(1, 0, 0), { user: '', password: '' });
    expectMessage(parseCredentials, bytes(1, 2, 'ü', 2, 'ß'), { user: 'ü', password: 'ß' });
    expect(parseCredentials(bytes(5))).toMatchObject({ kind: 'malformed' });
    expect(emitVerdict(true)).toEqual(bytes(1, 0));
    expect(emitVerdict(false)).toEqual(bytes(1, 1));
  });

  it('requests', () => {
    const to = (host: string, port: number) => ({ command: 'connect' as const, destination: { host, port } });
    expectMessage(parseRequest, bytes(5, 1, 0, 1, 127, 0, 0, 1, 0, 80), to('127.0.0.1', 80));
    expectMessage(parseRequest, bytes(5, 1, 0, 3, 11, 'Example.ORG', 1, 187), to('example.org', 443));
    expectMessage(
      parseRequest,
      Buffer.concat([bytes(5, 1, 0, 4), Buffer.alloc(15), bytes(1, 31, 144)]),
      to('::1', 8080),
    );
    // An address that comes as a name is one.
    expectMessage(parseRequest, bytes(5, 1, 0, 3, 8, '10.0.0.1', 0, 1), to('10.0.0.1', 1));
    expectMessage(parseRequest, bytes(5, 3, 0, 1, 0, 0, 0, 0, 0, 0), {
      command: 'udp-associate',
      destination: { host: '0.0.0.0', port: 0 },
    });
    expectMessage(parseRequest, bytes(5, 2, 0, 1, 0, 0, 0, 0, 0, 0), {
      command: 'bind',
      destination: { host: '0.0.0.0', port: 0 },
    });
    expect(parseRequest(bytes(5, 9, 0, 2, 1))).toMatchObject({
      value: { command: 'other', destination: undefined },
    });
  });

  it.each([
    ['an empty name', ''],
    ['a space', 'a b'],
    ['a zero', 'a\0.example.org'],
    ['a line break', 'a\r\nHost: b'],
    ['an @', 'user@example.org'],
    ['a port', 'example.org:80'],
    ['letters beyond ASCII', 'bücher.example'],
    ['254 letters', 'a'.repeat(254)],
  ])('refuses %s as a host', (_what, name) => {
    const host = Buffer.from(name);
    const request = Buffer.concat([bytes(5, 1, 0, 3, host.length), host, bytes(0, 80)]);
    expect(parseRequest(request)).toMatchObject({ kind: 'malformed' });
  });

  it('replies', () => {
    expect(emitReply(0)).toEqual(bytes(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
    expect(emitReply(0, '::ffff:10.1.2.3', 258)).toEqual(bytes(5, 0, 0, 1, 10, 1, 2, 3, 1, 2));
    expect(emitReply(4, '::1', 1)).toHaveLength(3 + 1 + 16 + 2);
  });

  it('an address is read as it was written', () => {
    const anyHost = fc.oneof(
      fc.ipV4(),
      fc.domain().map((name) => name.toLowerCase()),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map((raw) => {
        const parsed = parseAddress(Buffer.concat([bytes(4), raw, bytes(0, 1)]), 0);
        return parsed.kind === 'message' ? parsed.value.host : 'unreachable';
      }),
    );
    fc.assert(
      fc.property(anyHost, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        // A mapped address is written as what it means.
        fc.pre(!host.startsWith('::ffff:'));
        const written = emitAddress(host, port);
        const parsed = { kind: 'message', value: { host, port }, length: written.length };
        expect(parseAddress(written, 0)).toEqual(parsed);
      }),
    );
  });
});

describe('SOCKS4', () => {
  const to = (host: string, port: number) => ({ command: 'connect' as const, host, port });

  it('requests', () => {
    expectMessage(parseSocks4, bytes(4, 1, 0, 80, 66, 102, 7, 99, 'Fred', 0), to('66.102.7.99', 80));
    expectMessage(parseSocks4, bytes(4, 1, 0, 80, 10, 0, 0, 1, 0), to('10.0.0.1', 80));
    // 0.0.0.0 is an address, not the sign for a name.
    expectMessage(parseSocks4, bytes(4, 1, 0, 80, 0, 0, 0, 0, 0), to('0.0.0.0', 80));
    expect(parseSocks4(bytes(4, 2, 0, 80, 10, 0, 0, 1, 0))).toMatchObject({ value: { command: 'other' } });
    expect(emitSocks4Reply(90)).toEqual(bytes(0, 90, 0, 0, 0, 0, 0, 0));
  });

  it('4a: names', () => {
    expectMessage(
      parseSocks4,
      bytes(4, 1, 1, 187, 0, 0, 0, 1, 'Fred', 0, 'Example.org', 0),
      to('example.org', 443),
    );
    expect(parseSocks4(bytes(4, 1, 1, 187, 0, 0, 0, 1, 0, 0))).toMatchObject({ kind: 'malformed' });
  });

  it('texts without an end are given up', () => {
    const head = bytes(4, 1, 0, 80, 10, 0, 0, 1);
    expect(parseSocks4(Buffer.concat([head, Buffer.alloc(255, 'x')]))).toEqual({ kind: 'more' });
    expect(parseSocks4(Buffer.concat([head, Buffer.alloc(256, 'x')]))).toMatchObject({ kind: 'malformed' });
    const named = bytes(4, 1, 0, 80, 0, 0, 0, 1, 0);
    expect(parseSocks4(Buffer.concat([named, Buffer.alloc(256, 'x')]))).toMatchObject({ kind: 'malformed' });
  });
});

describe('datagrams', () => {
  it('are read as they were written', () => {
    const written = emitDatagram('192.0.2.1', 53, bytes('question'));
    expect(written.subarray(0, 10)).toEqual(bytes(0, 0, 0, 1, 192, 0, 2, 1, 0, 53));
    expect(parseDatagram(written)).toEqual({
      destination: { host: '192.0.2.1', port: 53 },
      payload: bytes('question'),
    });
    expect(parseDatagram(emitDatagram('a.example', 53, bytes()))).toEqual({
      destination: { host: 'a.example', port: 53 },
      payload: bytes(),
    });
  });

  it('are refused for a reason', () => {
    const whole = emitDatagram('2001:db8::1', 53, bytes());
    for (let length = 0; length < whole.length; length++) {
      expect(parseDatagram(whole.subarray(0, length))).toEqual({ problem: 'truncated' });
    }
    expect(parseDatagram(bytes(0, 0, 1, 1, 192, 0, 2, 1, 0, 53, 'x'))).toEqual({ problem: 'fragment' });
    expect(parseDatagram(bytes(0, 0, 0, 2, 192, 0, 2, 1, 0, 53))).toEqual({ problem: 'address' });
    expect(parseDatagram(bytes(0, 0, 0, 1, 192, 0, 2, 1, 0, 0))).toEqual({ problem: 'address' });
  });
});

it('noise is never taken for more than it is', () => {
  const parsers: ((given: Uint8Array) => Parsed<unknown>)[] = [
    parseGreeting,
    parseCredentials,
    parseRequest,
    parseSocks4,
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...parsers),
      fc.constantFrom(0, 1, 3, 4, 5),
      fc.uint8Array({ maxLength: 600 }),
      (parse, first, noise) => {
        const given = Buffer.concat([bytes(first), noise]);
        const parsed = parse(given);
        if (parsed.kind === 'message') expect(parsed.length).toBeLessThanOrEqual(given.length);
        // However long it is, 520 bytes decide.
        if (given.length >= 520) expect(parsed.kind).not.toBe('more');
        parseDatagram(given);
      },
    ),
  );
});
