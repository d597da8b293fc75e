/** `--listen`: an address and a port as people write them (pure). */
import { canonicalIp, inPrefix, type Prefix } from '../base/index.ts';

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

const DEFAULT_PORT = 13128;

/** Who listens, for what is said of mistakes. */
export interface Listener {
  readonly what: string;
  /** Its usual port. */
  readonly port: number;
}

const PROXY: Listener = { what: 'proxy', port: DEFAULT_PORT };

const LOOPBACK = ['127.0.0.1', '::1'] as const;

/** Where the proxy listens unless told otherwise: the loopback addresses only. */
export const DEFAULT_LISTEN: readonly ListenAddress[] = LOOPBACK.map((address) => ({
  address,
  port: DEFAULT_PORT,
}));

function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  return port >= 0 && port <= 65_535 ? port : undefined;
}

/** Addresses that the kernel may take, and at which no connection arrives. */
const NOT_OF_A_HOST: readonly Prefix[] = [
  { address: '224.0.0.0', length: 4 },
  { address: '255.255.255.255', length: 32 },
  { address: 'ff00::', length: 8 },
];
const MAPPED: Prefix = { address: '::ffff:0.0.0.0', length: 96 };

/**
 * `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or just `8080` (the latter two are both loopback addresses). Port 0
 * lets the kernel choose. Returns what is wrong, as text, when it is none of these.
 */
export function parseListen(text: string, listener = PROXY): readonly ListenAddress[] | string {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]*)):)?(\d+)$/.exec(text);
  if (match === null) {
    return text.split(':').length > 2 && !text.startsWith('[')
      ? `an IPv6 address goes into brackets: [::1]:${listener.port}`
      : `expected ADDRESS:PORT, such as 127.0.0.1:${listener.port}`;
  }
  const port = parsePort(match[3] ?? '');
  if (port === undefined) return `"${match[3]}" is not a port (0 to 65535)`;
  const host = match[1] ?? match[2];
  if (host === undefined || host === 'localhost') return LOOPBACK.map((address) => ({ address, port }));
  const address = canonicalIp(host);
  const bracketed = match[1] !== undefined;
  if (address === undefined || address.includes(':') !== bracketed) {
    const zone = host.includes('%')
      ? 'addresses with a zone are not supported'
      : 'names are not looked up here';
    return `"${host}" is not an IP address; ${zone}`;
  }
  if (NOT_OF_A_HOST.some((prefix) => inPrefix(address, prefix))) {
    return `"${host}" is for groups of hosts, and the ${listener.what} needs an address of this one`;
  }
  if (inPrefix(address, MAPPED)) return `write "${host}" as an IPv4 address`;
  return [{ address, port }];
}

/** Adds addresses to those given before; naming one twice is no mistake, but port 0 is another port each time. */
export function addListen(
  previous: readonly ListenAddress[],
  more: readonly ListenAddress[],
): readonly ListenAddress[] {
  const isNew = ({ address, port }: ListenAddress) =>
    port === 0 || !previous.some((known) => known.address === address && known.port === port);
  return [...previous, ...more.filter(isNew)];
}
