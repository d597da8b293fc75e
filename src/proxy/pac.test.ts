/** The PAC file, run as a browser would with the functions that browsers give it. */
import { createContext, Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { inPrefix, type Prefix } from '../base/index.ts';
import { PacFile } from './pac.ts';
import type { ProxyRule, Way } from './policy/types.ts';

const direct: Way = { kind: 'direct' };
const refuse: Way = { kind: 'refuse' };
const name = (text: string, subdomains = false) => ({ name: text, subdomains });
const to = (names: ReturnType<typeof name>[], prefixes: Prefix[] = []) => ({ names, prefixes });

function run(text: string, host: string): string {
  const context = createContext({
    host,
    isInNet: (ip: string, net: string, mask: string) => {
      if (!/^\d+\.\d+\.\d+\.\d+$/.test(ip)) throw new Error(`${ip} would be looked up`);
      const bits = mask
        .split('.')
        .reduce((sum, byte) => sum + Number(byte).toString(2).replaceAll('0', '').length, 0);
      return inPrefix(ip, { address: net, length: bits });
    },
    dnsDomainIs: (given: string, domain: string) => given.endsWith(domain),
    isPlainHostName: (given: string) => !given.includes('.'),
  });
  return new Script(`${text}\nFindProxyForURL("http://" + host + "/", host);`).runInContext(
    context,
  ) as string;
}

function ways(rules: readonly ProxyRule[], ...hosts: string[]): string[] {
  const text = new PacFile(() => ({ rules })).textFor('127.0.0.1:13128');
  return hosts.map((host) => (run(text, host) === 'DIRECT' ? 'direct' : run(text, host)));
}

const PROXY = 'PROXY 127.0.0.1:13128';

describe('the PAC file', () => {
  it('sends what is near past the proxy, and everything else to it', () => {
    expect(
      ways(
        [],
        'printer',
        'localhost',
        'a.localhost',
        '127.1.2.3',
        '[::1]',
        '::1',
        'example.org',
        '10.0.0.1',
        '[2001:db8::1]',
      ),
    ).toEqual(['direct', 'direct', 'direct', 'direct', 'direct', 'direct', PROXY, PROXY, PROXY]);
  });

  it('knows direct rules, in order', () => {
    const rules: ProxyRule[] = [
      { to: to([name('secret.example.org')]), way: refuse },
      {
        to: to([name('example.org', true), name('example.org')], [{ address: '10.0.0.0', length: 8 }]),
        way: direct,
      },
    ];
    expect(
      ways(
        rules,
        'secret.example.org',
        'SECRET.example.org.',
        'www.example.org',
        'example.org',
        'badexample.org',
        '10.1.2.3',
        '11.1.2.3',
      ),
    ).toEqual([PROXY, PROXY, 'direct', 'direct', PROXY, 'direct', PROXY]);
  });

  it('does not say direct where a rule before it might count', () => {
    const near = to([name('a.example')], [{ address: '10.0.0.0', length: 8 }]);
    expect(
      ways(
        [
          { to: near, ports: [{ first: 25, last: 25 }], way: refuse },
          { to: near, way: direct },
        ],
        'a.example',
        '10.0.0.1',
      ),
    ).toEqual([PROXY, PROXY]);
    expect(ways([{ to: near, users: ['ann'], way: direct }], 'a.example')).toEqual([PROXY]);
    expect(ways([{ way: refuse }, { to: near, way: direct }], 'a.example')).toEqual([PROXY]);
    // A name may lead into a refused prefix.
    const refused = { to: to([], [{ address: '192.168.0.0', length: 16 }]), way: refuse };
    expect(ways([refused, { to: near, way: direct }], 'a.example', '10.0.0.1')).toEqual([PROXY, 'direct']);
  });

  it('is bounded', () => {
    const rules = Array.from({ length: 10_000 }, (_, i) => ({
      to: to([name(`h${i}.example`)]),
      way: direct,
    }));
    expect(ways(rules, 'h1.example', 'h9999.example')).toEqual(['direct', PROXY]);
    expect(new PacFile(() => ({ rules })).textFor('x').length).toBeLessThan(200_000);
  });
});

describe('a request for it', () => {
  const pac = new PacFile(() => ({ rules: [] }));
  const ask = (url: string, host: string, method = 'GET') => pac.answerTo({ method, url, headers: { host } });

  it.each([
    ['127.0.0.1:13128', '127.0.0.1:13128'],
    ['192.168.1.2', '192.168.1.2:80'],
    ['[::1]:13128', '[::1]:13128'],
    ['localhost:8080', 'localhost:8080'],
  ])('at %s names the proxy so', (host, proxy) => {
    const answer = ask('/proxy.pac?x=1', host);
    expect(answer).toMatchObject({
      status: 200,
      fields: { 'Content-Type': 'application/x-ns-proxy-autoconfig' },
    });
    expect(answer?.text).toContain(`"PROXY ${proxy}"`);
  });

  it.each([
    'evil.example',
    'evil.example:13128',
    '',
    '127.0.0.1.evil.example',
    'a"b',
    '[::1',
    'localhost.evil.example',
  ])('at %j is not answered', (host) => {
    const answer = ask('/proxy.pac', host);
    expect(answer?.status).toBe(421);
    expect(answer?.text).not.toContain('PROXY');
  });

  it('is not every request', () => {
    expect(ask('/', '127.0.0.1')).toBeUndefined();
    expect(ask('/proxy.pac/', '127.0.0.1')).toBeUndefined();
    expect(ask('http://127.0.0.1/proxy.pac', '127.0.0.1')).toBeUndefined();
    expect(ask('/proxy.pac', '127.0.0.1', 'POST')).toBeUndefined();
  });
});
