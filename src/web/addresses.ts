/**
 * Where the page is: addresses it listens on and names that a browser may call it by (pure). A name is believed only
 * when it is known here, because a name of somebody else's that leads to this address is how web sites reach what
 * listens on loopback (DNS rebinding); an address in figures cannot be bent.
 *
 * References: RFC 9110 section 7.2 (Host), RFC 6454 (origins).
 */
import { canonicalIp, formatSocketAddress, isLoopback, unmapV4, WeftError } from '../base/index.ts';

export interface WebAddress {
  /** Canonical IP address. */
  readonly address: string;
  readonly port: number;
}

/** Where the page is unless told otherwise. */
export const DEFAULT_WEB_ADDRESS: WebAddress = { address: '127.0.0.1', port: 13_180 };

const HTTP_PORT = 80;

export const isBeyondLoopback = (addresses: readonly WebAddress[]): boolean =>
  addresses.some(({ address }) => !isLoopback(address));

/** The address that a connection came to, and so what browsers may call it. */
export interface LocalEnd {
  readonly address: string;
  readonly port: number;
}

/** The values of `Host` by which a connection to this end is meant for it, in lower case. */
export function hostNamesOf({ address, port }: LocalEnd): readonly string[] {
  const plain = canonicalIp(unmapV4(address)) ?? address;
  const hosts = isLoopback(plain)
    ? ['127.0.0.1', 'localhost', '[::1]', formatSocketAddress(plain, 0).slice(0, -2)]
    : [formatSocketAddress(plain, 0).slice(0, -2)];
  const names = hosts.map((host) => `${host}:${port}`);
  // Browsers leave out the usual port.
  return port === HTTP_PORT ? [...names, ...hosts] : names;
}

/** An origin by which a reverse proxy or a forwarded port is reached. */
export interface WebOrigin {
  /** As browsers write it: `https://weft.example`, `http://localhost:8080`. */
  readonly origin: string;
  /** As `Host` has it. */
  readonly host: string;
  readonly secure: boolean;
}

/** @returns what is wrong, as text, when it is no origin */
export function parseWebOrigin(text: string): WebOrigin | string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return `"${text}" is no origin, such as https://weft.example`;
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return `"${text}" is neither https:// nor http://`;
  if (url.hostname.includes('*')) return `"${text}" is a pattern, and each origin is named by itself`;
  if (url.username !== '' || url.password !== '') return 'an origin has no user and no password';
  if (
    url.host === '' ||
    url.pathname !== '/' ||
    url.search !== '' ||
    url.hash !== '' ||
    text.includes('?') ||
    text.includes('#')
  ) {
    return `"${text}" has more than an origin: ${url.origin} is one`;
  }
  return { origin: url.origin, host: url.host, secure: url.protocol === 'https:' };
}

/** As a person opens it. All addresses of the host are one of them, loopback. */
export function addressUrl({ address, port }: WebAddress): string {
  const reachable = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  const host = formatSocketAddress(reachable, port);
  return `http://${port === HTTP_PORT ? host.slice(0, -':80'.length) : host}/`;
}

/** What can be reached from elsewhere needs a token that stays. @throws WeftError `NO_TOKEN_FILE` */
export function checkReach({
  addresses,
  tokenFile,
}: {
  readonly addresses: readonly WebAddress[];
  readonly tokenFile?: string;
}): void {
  if (tokenFile !== undefined || !isBeyondLoopback(addresses)) return;
  const names = addresses.map(({ address, port }) => formatSocketAddress(address, port)).join(', ');
  throw new WeftError(`the page is to listen on ${names}, beyond this machine, without a token file`, {
    code: 'NO_TOKEN_FILE',
    hint: 'add --web-token-file FILE; it is made when it is not there',
  });
}
