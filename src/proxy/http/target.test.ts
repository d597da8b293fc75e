import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMalformed, parseAbsoluteTarget, parseAuthority } from './target.ts';

describe('parseAuthority', () => {
  it.each([
    ['example.org:443', 'example.org', 443],
    ['EXAMPLE.org:443', 'example.org', 443],
    ['127.0.0.1:1', '127.0.0.1', 1],
    ['[::1]:65535', '::1', 65_535],
    ['[2001:DB8:0::1]:80', '2001:db8::1', 80],
    ['under_score.example.:8080', 'under_score.example.', 8080],
    ['x:00080', 'x', 80],
  ])('%s', (text, host, port) => expect(parseAuthority(text)).toEqual({ host, port }));

  it.each([
    'example.org',
    'example.org:',
    ':443',
    '',
    'example.org:0',
    'example.org:65536',
    'example.org:443x',
    'example.org:-1',
    'example.org:443:443',
    '::1:443',
    '[::1',
    '[::1]443',
    '[::g]:443',
    '[127.0.0.1]:443',
    'user@example.org:443',
    'user:password@example.org:443',
    'exa mple.org:443',
    'example.org/x:443',
    '-x:443',
    'bücher.example:443',
    'a%00b:443',
    `${'a'.repeat(254)}:443`,
    'http://example.org:443',
  ])('refuses %j', (text) => expect(parseAuthority(text)).toHaveProperty('reason'));

  it('never throws, and what it accepts is a host and a port', () => {
    const part = fc.constantFrom('a', ':', '[', ']', '1', '.', '@', '/', '443', '::', '-', '%');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(part, { maxLength: 8 }).map((parts) => parts.join('')),
          fc.string(),
        ),
        (text) => {
          const parsed = parseAuthority(text);
          if (isMalformed(parsed)) return;
          expect(parsed.host).toMatch(/^[a-z0-9._:-]+$/);
          expect(parsed.port >= 1 && parsed.port <= 65_535).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('parseAbsoluteTarget', () => {
  it.each([
    ['http://a', 'a', 80, 'a', '/'],
    ['http://a/', 'a', 80, 'a', '/'],
    ['HTTP://A:80/', 'a', 80, 'a', '/'],
    ['http://a:8080/b/../c?d=%20', 'a', 8080, 'a:8080', '/b/../c?d=%20'],
    ['http://a?x', 'a', 80, 'a', '/?x'],
    ['http://a:/x', 'a', 80, 'a', '/x'],
    ['http://[::1]:81/x//y\\z', '::1', 81, '[::1]:81', '/x//y\\z'],
    ['http://a/http://b/', 'a', 80, 'a', '/http://b/'],
    ['http://a/@b', 'a', 80, 'a', '/@b'],
  ])('%s', (text, host, port, hostField, path) =>
    expect(parseAbsoluteTarget('GET', text)).toEqual({ host, port, hostField, path }),
  );

  it('asks about the server as a whole with OPTIONS and no path', () => {
    expect(parseAbsoluteTarget('OPTIONS', 'http://a')).toMatchObject({ path: '*' });
    expect(parseAbsoluteTarget('OPTIONS', 'http://a/')).toMatchObject({ path: '/' });
    expect(parseAbsoluteTarget('OPTIONS', 'http://a?x')).toMatchObject({ path: '/?x' });
  });

  it.each([
    '/',
    '*',
    'a:80',
    'https://a/',
    'ftp://a/',
    'http:/a',
    'http:///x',
    'http://u@a/',
    'http://a/#x',
    'http://a:x/',
  ])('refuses %s', (text) => expect(parseAbsoluteTarget('GET', text)).toHaveProperty('reason'));
});
