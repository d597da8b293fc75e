/** The ways to ask a proxy for a tunnel: golden bytes, answers in any pieces, and answers that are none. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { connectRequest, connectUdpRequest, HttpNegotiation } from './http-connect.ts';
import type { Negotiation, NegotiationStep } from './negotiation.ts';
import { formatProxyStatus, parseProxyStatusDetails } from './proxy-status.ts';
import { Socks5Negotiation } from './socks5-connect.ts';

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const request = connectRequest({ host: 'example.org', port: 443 }, {});

/** Feeds bytes in pieces until it ends; the bytes not fed yet would be the tunnel's. */
function feed(
  negotiation: Negotiation,
  bytes: Buffer,
  size: number,
): { step: NegotiationStep; unfed: Buffer } {
  for (let at = 0; at < bytes.length; at += size) {
    const step = negotiation.handleBytes(bytes.subarray(at, at + size));
    if (step.ahead !== undefined || step.failed !== undefined)
      return { step, unfed: bytes.subarray(at + size) };
  }
  return { step: {}, unfed: Buffer.alloc(0) };
}

describe('CONNECT', () => {
  it('asks as RFC 9110 has it', () => {
    expect(request.toString()).toBe('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n');
    expect(
      connectRequest({ host: '2001:db8::1', port: 80 }, { user: 'ann', password: 'é:' }).toString(),
    ).toBe(
      'CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n' +
        `Proxy-Authorization: Basic ${Buffer.from('ann:é:').toString('base64')}\r\n\r\n`,
    );
    expect(connectRequest({ host: 'a', port: 80 }, { token: 'T' }).toString()).toMatch(
      /Authorization: Bearer T\r\n/,
    );
  });

  it('asks a far end for frames, and takes no tunnel without them: an end that is none would not be noticed', () => {
    const asked = connectRequest({ host: 'a', port: 80 }, { token: 'T' }, true);
    expect(asked.toString()).toBe(
      'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nWeft-Tunnel: frames\r\nProxy-Authorization: Bearer T\r\n\r\n',
    );
    const answerTo = (fields: string) => {
      const negotiation = new HttpNegotiation(asked, { isFramed: true });
      return feed(negotiation, latin1(`HTTP/1.1 200 OK\r\n${fields}\r\nfirst`), 3);
    };
    const { step, unfed } = answerTo('weft-tunnel:  Frames \r\n');
    expect(Buffer.concat([step.ahead!, unfed]).toString()).toBe('first');
    for (const fields of [
      '',
      'Weft-Tunnel: other\r\n',
      'X-Weft-Tunnel: frames\r\n',
      'Weft-Tunnel: frames2\r\n',
    ]) {
      expect(answerTo(fields).step.failed?.text, fields).toMatch(/same Weft at both ends/);
    }
  });

  it('asks for datagrams as RFC 9298 has it', () => {
    const bytes = connectUdpRequest({ host: 'vps', port: 13443 }, { host: '2001:db8::1', port: 53 }, {});
    expect(bytes.toString()).toBe(
      'GET /.well-known/masque/udp/2001%3Adb8%3A%3A1/53/ HTTP/1.1\r\nHost: vps:13443\r\n' +
        'Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n',
    );
  });

  it('a 2xx in any pieces, interim answers before it, and not a byte of the tunnel taken', () => {
    const answer = latin1(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nVia: x\r\n\r\n\r\n\r\nfirst bytes',
    );
    for (let size = 1; size <= answer.length; size++) {
      const { step, unfed } = feed(new HttpNegotiation(request), answer, size);
      expect(Buffer.concat([step.ahead!, unfed]).toString()).toBe('\r\n\r\nfirst bytes');
    }
  });

  it.each([
    ['HTTP/1.1 502 Bad Gateway', { failure: 'target' }],
    ['HTTP/1.1 504 Gateway Timeout', { failure: 'target', status: 504 }],
    ['HTTP/1.1 403 Forbidden', { failure: 'refused', status: 403 }],
    ['HTTP/1.1 503 Busy', { failure: 'refused', status: 503 }],
    ['HTTP/1.1 407 Who', { failure: 'handshake' }],
    ['HTTP/1.1 301 Elsewhere', { failure: 'refused' }],
    ['HTTP/1.1 101 Switching', { failure: 'refused' }],
    ['HTTP/2 200', { failure: 'broken' }],
    ['SSH-2.0-OpenSSH', { failure: 'broken' }],
  ])('%s is no tunnel', (line, failed) => {
    const { step } = feed(new HttpNegotiation(request), latin1(`${line}\r\n\r\n`), 3);
    expect(step.failed).toMatchObject(failed);
  });

  it('the far end’s words come through; a terminal obeys none of them', () => {
    const field = `Proxy-Status: ${formatProxyStatus('connection_refused', 'could "not"\u001b[2J reach \\ it')}`;
    const { step } = feed(
      new HttpNegotiation(request),
      latin1(`HTTP/1.1 502 \u001b[2J\r\n${field}\r\n\r\n`),
      1000,
    );
    expect(step.failed?.text).toBe('answered 502 (\\x1b[2J): could "not"?[2J reach \\ it');
  });

  it('an endless head is given up', () => {
    const negotiation = new HttpNegotiation(request);
    const piece = latin1(`X: ${'y'.repeat(1000)}\r\n`);
    let step = negotiation.handleBytes(latin1('HTTP/1.1 200 OK\r\n'));
    for (let i = 0; i < 100 && step.failed === undefined; i++) step = negotiation.handleBytes(piece);
    expect(step.failed).toMatchObject({ failure: 'broken' });
  });

  it('whatever comes, it ends or wants more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        const { step } = feed(new HttpNegotiation(request), Buffer.from(bytes), size);
        expect(step.ahead === undefined || step.failed === undefined).toBe(true);
      }),
    );
  });
});

describe('Proxy-Status', () => {
  it('details survive whatever they hold, within ASCII', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 100 }), (text) => {
        expect(parseProxyStatusDetails(formatProxyStatus('x', text))).toBe(text);
      }),
    );
    expect(parseProxyStatusDetails('a; b="c"')).toBeUndefined();
  });
});

describe('SOCKS5', () => {
  const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
  const bytes = (text: string) => Buffer.from(text, 'hex');

  it('a name without a user, byte by byte (RFC 1928)', () => {
    const negotiation = new Socks5Negotiation({ host: 'example.org', port: 443 });
    expect(hex(negotiation.first)).toBe('050100');
    expect(negotiation.handleBytes(bytes('05'))).toEqual({});
    expect(hex(negotiation.handleBytes(bytes('00')).send)).toBe(
      `05010003${(11).toString(16).padStart(2, '0')}${Buffer.from('example.org').toString('hex')}01bb`,
    );
    const { step } = feed(negotiation, bytes('05000001c633640a1f90'), 1);
    expect(hex(step.ahead)).toBe('');
  });

  it('with a user (RFC 1929), an IPv6 target, and bytes of the tunnel behind the answer', () => {
    const negotiation = new Socks5Negotiation({ host: '2001:db8::1', port: 80 }, 'ann', 'pw');
    expect(hex(negotiation.first)).toBe('05020002');
    expect(hex(negotiation.handleBytes(bytes('0502')).send)).toBe('0103616e6e027077');
    expect(hex(negotiation.handleBytes(bytes('0100')).send)).toBe(
      '0501000420010db80000000000000000000000010050',
    );
    const { step, unfed } = feed(
      negotiation,
      bytes(`0500000403${'00'.repeat(15)}0050abcd`.replace('0403', '0400')),
      5,
    );
    expect(hex(Buffer.concat([step.ahead!, unfed]))).toBe('abcd');
  });

  it('an answer with a name as its address', () => {
    const negotiation = new Socks5Negotiation({ host: '192.0.2.1', port: 80 });
    expect(hex(negotiation.handleBytes(bytes('0500')).send)).toBe('05010001c00002010050');
    expect(hex(negotiation.handleBytes(bytes('0500000302616200509f')).ahead)).toBe('9f');
  });

  it.each([
    [[], '05ff', 'handshake'],
    [['ann', 'pw'], '05ff', 'handshake'],
    [[], '0502', 'handshake'],
    [[], '4854', 'broken'],
    [[], '050000', 'broken'],
  ] as const)('user %j, answer %s to the greeting: %s', (user, answer, failure) => {
    const negotiation = new Socks5Negotiation({ host: 'a', port: 1 }, ...user);
    expect(negotiation.handleBytes(bytes(answer)).failed).toMatchObject({ failure });
  });

  it('a wrong password, and each refusal', () => {
    const wrong = new Socks5Negotiation({ host: 'a', port: 1 }, 'ann', 'pw');
    wrong.handleBytes(bytes('0502'));
    expect(wrong.handleBytes(bytes('0101')).failed).toMatchObject({ failure: 'handshake' });
    for (const [code, failure] of [
      ['01', 'target'],
      ['02', 'refused'],
      ['05', 'target'],
      ['63', 'target'],
    ] as const) {
      const asked = new Socks5Negotiation({ host: 'a', port: 1 });
      asked.handleBytes(bytes('0500'));
      expect(asked.handleBytes(bytes(`05${code}`)).failed).toMatchObject({ failure });
    }
  });

  it('whatever comes, it ends or wants more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 50 }), (random, size) => {
        feed(new Socks5Negotiation({ host: 'a', port: 1 }, 'u', 'p'), Buffer.from(random), size);
        const asked = new Socks5Negotiation({ host: 'a', port: 1 });
        asked.handleBytes(bytes('0500'));
        feed(asked, Buffer.concat([bytes('050000'), random]), size);
      }),
    );
  });
});
