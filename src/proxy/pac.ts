/**
 * The PAC file: what a browser that is told `http://127.0.0.1:13128/proxy.pac` learns. It names this proxy by the
 * address that the browser used, and lets go past it what the policy would reach directly anyway, as far as that can
 * be said without asking name servers. Pure.
 *
 * Invariants: what a rule might refuse or send elsewhere goes to the proxy, never DIRECT. The file is given only to who
 * asks by address (or as localhost): a web page whose name was pointed at this host learns nothing of the rules.
 *
 * References: "Navigator Proxy Auto-Config File Format" (Netscape, 1996) as MDN keeps it.
 */
import type { IncomingMessage } from 'node:http';
import { canonicalIp, isIpv6, parseIp, formatIp, formatSocketAddress, type Prefix } from '../base/index.ts';
import { answerFields, answerText } from './http/answer.ts';
import { isMalformed, parseAuthority } from './http/target.ts';
import type { NamePattern, ProxyPolicy, ProxyRule } from './policy/types.ts';

export interface PacAnswer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly text: string;
}

const PATHS: ReadonlySet<string> = new Set(['/proxy.pac', '/wpad.dat']);
const HTTP_PORT = 80;
/** BOUNDED: tests in the file; what does not fit goes to the proxy. */
const MAX_TESTS = 2000;

export class PacFile {
  readonly #policy: () => Pick<ProxyPolicy, 'rules'>;
  #rules: readonly ProxyRule[] | undefined;
  #tests: readonly string[] = [];

  /** @param policy the one in force now */
  constructor(policy: () => Pick<ProxyPolicy, 'rules'>) {
    this.#policy = policy;
  }

  /** The answer to a request for the file, or `undefined` for any other request. */
  answerTo({
    method,
    url = '',
    headers,
  }: Pick<IncomingMessage, 'method' | 'url' | 'headers'>): PacAnswer | undefined {
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    if (!PATHS.has(url.split('?', 1)[0]!)) return undefined;
    const asked = parseAuthority(headers.host ?? '', HTTP_PORT);
    if (isMalformed(asked) || !(asked.host === 'localhost' || canonicalIp(asked.host) !== undefined)) {
      const text = answerText(
        'this file is given to who asks by address, as http://127.0.0.1:13128/proxy.pac',
      );
      return { status: 421, fields: answerFields(text), text };
    }
    const text = this.textFor(formatSocketAddress(asked.host, asked.port));
    return {
      status: 200,
      fields: {
        ...answerFields(text),
        'Content-Type': 'application/x-ns-proxy-autoconfig',
        // With nosniff, which keeps it from being run as a script: no page of another origin reads it.
        'Cross-Origin-Resource-Policy': 'same-origin',
      },
      text,
    };
  }

  /** @param proxy `address:port` */
  textFor(proxy: string): string {
    const { rules } = this.#policy();
    if (rules !== this.#rules) {
      this.#tests = testsOf(rules);
      this.#rules = rules;
    }
    return [
      'function FindProxyForURL(url, host) {',
      '  host = host.toLowerCase().replace(/^\\[|\\]$/g, "").replace(/\\.$/, "");',
      '  var v4 = /^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(host), v6 = host.indexOf(":") >= 0, name = !v4 && !v6;',
      `  var proxy = ${JSON.stringify(`PROXY ${proxy}`)};`,
      '  if (name && (host.indexOf(".") < 0 || dnsDomainIs(host, ".localhost"))) return "DIRECT";',
      '  if (v4 && isInNet(host, "127.0.0.0", "255.0.0.0")) return "DIRECT";',
      '  if (host === "::1") return "DIRECT";',
      ...this.#tests,
      '  return proxy;',
      '}',
      '',
    ].join('\n');
  }
}

/**
 * The rules as tests, in their order. A rule that has more conditions than its destinations may or may not count: one
 * that would send directly is left out, any other is taken to count.
 */
function testsOf(rules: readonly ProxyRule[]): string[] {
  const tests: string[] = [];
  let namesMayGo = true;
  for (const { to, ports, from, users, way } of rules) {
    const direct = way.kind === 'direct';
    const conditional = ports !== undefined || from !== undefined || users !== undefined;
    if (direct && conditional) continue;
    // For every destination: nothing behind it can count.
    if (to === undefined) break;
    const tested = [
      ...(direct && !namesMayGo ? [] : to.names.map(nameTest)),
      ...to.prefixes.map(prefixTest).filter((test) => test !== undefined),
    ];
    if (tests.length + tested.length > MAX_TESTS) break;
    for (const test of tested) tests.push(`  if (${test}) return ${direct ? '"DIRECT"' : 'proxy'};`);
    // A name may lead into these, which is not known here; an IPv6 address cannot be tested.
    if (!direct && to.prefixes.length > 0) namesMayGo = false;
  }
  return tests;
}

function nameTest({ name, subdomains }: NamePattern): string {
  return subdomains
    ? `name && dnsDomainIs(host, ${JSON.stringify(`.${name}`)})`
    : `host === ${JSON.stringify(name)}`;
}

/** `undefined` for what PAC has no words for: IPv6 prefixes. Those of single addresses have. */
function prefixTest({ address, length }: Prefix): string | undefined {
  if (!isIpv6(address)) return `v4 && isInNet(host, "${address}", "${maskOf(length)}")`;
  return length === 128 && parseIp(address) !== undefined ? `host === ${JSON.stringify(address)}` : undefined;
}

function maskOf(length: number): string {
  const bytes = [0, 1, 2, 3].map((i) => (0xff << (8 - Math.max(0, Math.min(8, length - i * 8)))) & 0xff);
  return formatIp(Uint8Array.from(bytes));
}
