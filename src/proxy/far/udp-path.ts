/**
 * The request target of datagrams (pure): `/.well-known/masque/udp/HOST/PORT/` with HOST percent-encoded, an IPv6
 * address's colons too (RFC 9298 section 3).
 */
import { parseAuthority, type Authority, type Malformed } from '../http/target.ts';

const PATH = /^\/\.well-known\/masque\/udp\/([^/?#]{1,1024})\/(\d{1,5})\/?$/;

export function parseUdpPath(path: string): Authority | Malformed {
  const match = PATH.exec(path);
  const wrong = { reason: 'expected /.well-known/masque/udp/HOST/PORT/' };
  if (match === null) return wrong;
  let host: string;
  try {
    host = decodeURIComponent(match[1]!);
  } catch {
    return wrong;
  }
  return parseAuthority(`${host.includes(':') ? `[${host}]` : host}:${match[2]}`);
}
