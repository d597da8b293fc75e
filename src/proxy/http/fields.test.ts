import { describe, expect, it } from 'vitest';
import { acceptsTrailers, endToEndFields, maxForwards, requestBody, timesSeen, withVia } from './fields.ts';

/** `name: value` lines as a flat list. */
const fields = (...lines: string[]) =>
  lines.flatMap((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at), line.slice(at + 1).trim()];
  });

describe('endToEndFields', () => {
  it('leaves behind what belongs to one connection, and what Connection names', () => {
    const kept = endToEndFields(
      fields(
        'Host: a',
        'Connection: close, X-One,x-two',
        'connection: Keep-Alive',
        'Proxy-Connection: keep-alive',
        'Keep-Alive: timeout=5',
        'TE: trailers',
        'Transfer-Encoding: chunked',
        'Upgrade: h2c',
        'HTTP2-Settings: x',
        'Proxy-Authorization: secret',
        'X-One: 1',
        'X-TWO: 2',
        'X-Three: 3',
        'Trailer: X-End',
      ),
    );
    expect(kept).toEqual(fields('Host: a', 'X-Three: 3', 'Trailer: X-End'));
  });

  it('keeps order, case and repetition', () => {
    const list = fields('b: 1', 'A: 2', 'b: 3', 'Set-Cookie: x', 'Set-Cookie: y');
    expect(endToEndFields(list)).toEqual(list);
  });

  it('does not let Connection take away what routes and frames the message', () => {
    const list = fields('Host: a', 'Content-Length: 5', 'Via: 1.1 x');
    expect(endToEndFields([...fields('Connection: host, content-length, via'), ...list])).toEqual(list);
  });

  it('drops what the caller replaces', () => {
    expect(endToEndFields(fields('Host: a', 'B: c'), ['host'])).toEqual(fields('B: c'));
  });
});

describe('requestBody', () => {
  it.each([
    [fields(), '1.1', { kind: 'none' }],
    [fields('Content-Length: 0'), '1.1', { kind: 'length', length: '0' }],
    [fields('Content-Length: 12'), '1.0', { kind: 'length', length: '12' }],
    [fields('Transfer-Encoding: Chunked'), '1.1', { kind: 'chunked' }],
  ])('%j in %s', (list, version, body) => expect(requestBody(list, version)).toEqual(body));

  it.each([
    [fields('Content-Length: 5', 'Transfer-Encoding: chunked'), '1.1', 400],
    [fields('Content-Length: 5', 'Content-Length: 5'), '1.1', 400],
    [fields('Content-Length: 5', 'Content-Length: 6'), '1.1', 400],
    [fields('Content-Length: 5, 5'), '1.1', 400],
    [fields('Content-Length: +5'), '1.1', 400],
    [fields('Content-Length: 0x5'), '1.1', 400],
    [fields('Content-Length:'), '1.1', 400],
    [fields('Content-Length: 99999999999999999999'), '1.1', 400],
    [fields('Transfer-Encoding: chunked'), '1.0', 400],
    [fields('Transfer-Encoding: identity'), '1.1', 400],
    [fields('Transfer-Encoding: chunked, gzip'), '1.1', 400],
    [fields('Transfer-Encoding: gzip, chunked'), '1.1', 501],
    [fields('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), '1.1', 501],
  ])('refuses %j in %s', (list, version, status) =>
    expect(requestBody(list, version)).toMatchObject({ status }),
  );
});

it('counts how often a Weft has seen the message', () => {
  expect(timesSeen(fields('Via: 1.1 squid'))).toBe(0);
  expect(timesSeen(withVia(fields('Via: 1.1 weft, 1.0 x (weft)', 'via: 1.1 Weft'), '1.1'))).toBe(3);
});

it('sees that trailers are wanted', () => {
  expect(acceptsTrailers(fields('TE: gzip;q=0.5, Trailers'))).toBe(true);
  expect(acceptsTrailers(fields('TE: gzip'))).toBe(false);
});

it.each([
  [fields(), { last: false }],
  [fields('Max-Forwards: 0'), { last: true }],
  [fields('Max-Forwards: 10'), { last: false, next: '9' }],
  [fields('Max-Forwards: x'), { last: false }],
])('maxForwards of %j', (list, expected) => expect(maxForwards(list)).toEqual(expected));
