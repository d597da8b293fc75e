/**
 * Request targets (pure): the authority form of CONNECT and the absolute form of everything else (RFC 9112
 * section 3.2). The path and query are passed on as they came, byte for byte; only what decides where to connect
 * is interpreted. Malformed targets are returned as a reason.
 */
import { canonicalIp, isIpv6 } from '../../base/index.ts';

export interface Authority {
  /** A name in lower case, or an address in canonical text without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface AbsoluteTarget extends Authority {
  /** The Host field for upstream: the authority as it came, without an empty or default port's loss. */
  readonly hostField: string;
  /** Path and query; `*` for OPTIONS of a whole server. */
  readonly path: string;
}

export interface Malformed {
  readonly reason: string;
}

export function isMalformed(parsed: object): parsed is Malformed {
  return 'reason' in parsed;
}

const MAX_HOST_LENGTH = 253;
/** Letters, digits, hyphen, dot, and the underscore that real names have. */
const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.-])?$/;

/** `undefined` for an empty text; NaN for one that is no port. */
function parsePort(text: string): number | undefined {
  if (text === '') return undefined;
  if (!/^\d{1,5}$/.test(text)) return Number.NaN;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : Number.NaN;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/**
 * @param text `host:port`, IPv6 addresses in brackets
 * @param defaultPort for a missing port; without it a missing port is malformed
 */
export function parseAuthority(text: string, defaultPort?: number): Authority | Malformed {
  if (text.includes('@')) return { reason: `${quoted(text)} names a user; that has no place here` };
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*|[^:]*))?$/.exec(text);
  const hostText = match?.[1];
  if (hostText === undefined)
    return { reason: `${quoted(text)} is not HOST:PORT (IPv6 addresses go in brackets)` };
  const port = parsePort(match?.[2] ?? '') ?? defaultPort;
  if (port === undefined) return { reason: `${quoted(text)} has no port` };
  if (Number.isNaN(port)) return { reason: `${quoted(text)} has no port between 1 and 65535` };
  if (hostText.startsWith('[')) {
    const address = canonicalIp(hostText.slice(1, -1));
    if (address === undefined || !isIpv6(address))
      return { reason: `${quoted(hostText)} is not an IPv6 address` };
    return { host: address, port };
  }
  if (hostText === '') return { reason: `${quoted(text)} has no host` };
  if (hostText.length > MAX_HOST_LENGTH || !NAME.test(hostText)) {
    return { reason: `${quoted(hostText)} is not a host name` };
  }
  return { host: canonicalIp(hostText) ?? hostText.toLowerCase(), port };
}

/** Reads `http://host[:port][/path][?query]`. */
export function parseAbsoluteTarget(method: string, text: string): AbsoluteTarget | Malformed {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^#]*)(#.*)?$/.exec(text);
  if (match === null) {
    return {
      reason: text.startsWith('/')
        ? `${quoted(text)} is a path: this is a proxy, and wants the whole address (http://host/path)`
        : `${quoted(text)} is not an address such as http://host/path`,
    };
  }
  const [, scheme = '', authority = '', rest = '', fragment] = match;
  if (scheme.toLowerCase() === 'https') {
    return { reason: 'https goes through CONNECT, not through a plain request' };
  }
  if (scheme.toLowerCase() !== 'http') return { reason: `scheme ${quoted(scheme)} is not http` };
  if (fragment !== undefined) return { reason: 'a request target has no fragment ("#…")' };
  const parsed = parseAuthority(authority, 80);
  if (isMalformed(parsed)) return parsed;
  const bracketed = isIpv6(parsed.host) ? `[${parsed.host}]` : parsed.host;
  const hostField = parsed.port === 80 ? bracketed : `${bracketed}:${parsed.port}`;
  // RFC 9112 section 3.2.4: OPTIONS without path and query asks about the server as a whole.
  const path = rest === '' && method === 'OPTIONS' ? '*' : rest.startsWith('/') ? rest : `/${rest}`;
  return { ...parsed, hostField, path };
}
