import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseUpstreamUrl, withoutCredentials } from './upstream-url.ts';

describe('URLs of upstream proxies', () => {
  it.each([
    ['weft://vps.example.org', { kind: 'weft', host: 'vps.example.org', port: 13443 }],
    ['weft://203.0.113.10:443', { kind: 'weft', host: '203.0.113.10', port: 443 }],
    ['http://proxy:3128/', { kind: 'http', host: 'proxy', port: 3128 }],
    ['HTTP://proxy', { kind: 'http', host: 'proxy', port: 3128 }],
    [
      'https://ann:a%40b%3Ac@p.example',
      { kind: 'https', host: 'p.example', port: 443, user: 'ann', password: 'a@b:c' },
    ],
    ['socks5://[2001:DB8::1]:1080', { kind: 'socks5', host: '2001:db8::1', port: 1080 }],
    ['socks5://ann@s', { kind: 'socks5', host: 's', port: 1080, user: 'ann', password: '' }],
  ])('%s', (url, parsed) => {
    expect(parseUpstreamUrl(url)).toEqual(parsed);
  });

  it.each([
    ['ftp://x:1', /allowed: weft:\/\/, http:\/\//],
    ['vps.example.org:13443', /is not the URL of a proxy/],
    ['http://', /no proper host/],
    ['http://a b', /no proper host/],
    ['http://1.2.3', /no proper host/],
    ['http://[1.2.3.4]:1', /no proper host/],
    ['http://x:0', /not a port/],
    ['http://x:70000', /not a port/],
    ['http://x/path', /not the URL/],
    ['weft://ann:secret@vps', /knows no users/],
    ['http://%zz:secret@x', /URL-encoded/],
    ['http://a%0d%0ab:secret@x', /URL-encoded/],
    [`http://${'u'.repeat(300)}:secret@x`, /at most 255 bytes/],
  ])('%s is refused, and no secret told', (url, why) => {
    const problem = parseUpstreamUrl(url);
    expect(problem).toMatch(why);
    expect(problem).not.toMatch(/secret/);
  });

  it('whatever comes, it answers', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseUpstreamUrl(text);
        expect(typeof parsed === 'string' || parsed.port > 0).toBe(true);
        expect(withoutCredentials(`x://u:p@${text}`)).not.toMatch(/u:p/);
      }),
    );
  });
});
