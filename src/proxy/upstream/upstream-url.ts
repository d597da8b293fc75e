/**
 * URLs of upstream proxies (pure): `weft://vps.example.org:13443`, `http://user:password@proxy:3128`,
 * `https://proxy.example.org`, `socks5://[2001:db8::1]:1080`.
 *
 * Invariant: a problem's text never holds what stands before the `@`.
 */
import { canonicalIp, printable } from '../../base/index.ts';
import { UPSTREAM_KINDS, type UpstreamKind, type UpstreamProxy } from './types.ts';

/** Where `weft serve` listens unless told otherwise; not a port that a firewall lets through by accident. */
export const WEFT_SERVE_PORT = 13_443;

const DEFAULT_PORTS: Readonly<Record<UpstreamKind, number>> = {
  weft: WEFT_SERVE_PORT,
  http: 3128,
  https: 443,
  socks5: 1080,
};

const LONGEST_URL = 2048;
/** RFC 1929: one byte counts each of them. */
const LONGEST_CREDENTIAL_BYTES = 255;
/** RFC 1035 names, with the underscore that private networks use. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i;

export type ParsedUpstreamUrl = Pick<UpstreamProxy, 'kind' | 'host' | 'port' | 'user' | 'password'>;

/** The URL without its user and password, for messages. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([a-z0-9+.-]*:\/\/)?.*@/is, '$1');
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function isUsable(credential: string | undefined): credential is string {
  if (credential === undefined) return false;
  return printable(credential) === credential && Buffer.byteLength(credential) <= LONGEST_CREDENTIAL_BYTES;
}

/** Returns what is wrong, as text, when it is none of the forms above. */
export function parseUpstreamUrl(url: string): ParsedUpstreamUrl | string {
  const shown = `"${withoutCredentials(url.slice(0, LONGEST_URL))}"`;
  const match = /^([a-z0-9]+):\/\/(?:(.*)@)?(?:\[([^\]@]*)\]|([^:@/[\]]*))(?::(\d{1,5}))?\/?$/is.exec(url);
  const kinds = UPSTREAM_KINDS.map((kind) => `${kind}://`).join(', ');
  if (url.length > LONGEST_URL || match === null) {
    return `${shown} is not the URL of a proxy: expected one of ${kinds} with host and port`;
  }
  const [, scheme = '', credentials, bracketed, plain = '', portText] = match;
  const kind = UPSTREAM_KINDS.find((known) => known === scheme.toLowerCase());
  if (kind === undefined) return `${shown}: no proxy is spoken to by "${scheme}"; allowed: ${kinds}`;
  const host = bracketed === undefined ? (canonicalIp(plain) ?? plain) : canonicalIp(bracketed);
  const isHost = bracketed === undefined ? HOST_NAME.test(plain) : host?.includes(':') === true;
  // A name of digits and dots only would be an address to some programs and a name to others.
  if (host === undefined || !isHost || (/^[\d.]+$/.test(host) && canonicalIp(host) === undefined)) {
    return `${shown} has no proper host`;
  }
  const port = portText === undefined ? DEFAULT_PORTS[kind] : Number(portText);
  if (port < 1 || port > 65_535) return `${shown}: "${portText}" is not a port (1 to 65535)`;
  if (credentials === undefined) return { kind, host, port };
  if (kind === 'weft') return `${shown}: the far end knows no users; its token stands in a file (token_file)`;
  const colon = credentials.indexOf(':');
  const user = decoded(colon < 0 ? credentials : credentials.slice(0, colon));
  const password = colon < 0 ? '' : decoded(credentials.slice(colon + 1));
  if (!isUsable(user) || user === '' || !isUsable(password) || (kind !== 'socks5' && user.includes(':'))) {
    return `${shown}: user and password must be URL-encoded text of at most ${LONGEST_CREDENTIAL_BYTES} bytes each`;
  }
  return { kind, host, port, user, password };
}
