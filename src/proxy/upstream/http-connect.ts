/**
 * Asks an HTTP proxy for a tunnel, or a far end for datagrams, and reads the answer's head (pure).
 *
 *   CONNECT host:port HTTP/1.1        RFC 9110 section 9.3.6; any 2xx makes the connection a tunnel
 *     Weft-Tunnel: frames             asked of a far end, which answers the same: frames follow (frames.ts)
 *   GET /.well-known/masque/udp/…     RFC 9298 section 3.2; 101 makes it one of capsules (RFC 9297)
 *
 * Invariant: not one byte behind the head of the final answer is taken; interim answers (1xx but 101) are skipped.
 */
import { isIpv6, printable } from '../../base/index.ts';
import { FRAMES_FIELD, FRAMES_LINE, FRAMES_VALUE } from './frames.ts';
import type { Negotiation, NegotiationFailure, NegotiationStep } from './negotiation.ts';
import { parseProxyStatusDetails } from './proxy-status.ts';
import type { UpstreamTarget } from './types.ts';

/** BOUNDED: interim answers included. */
const LONGEST_HEAD_BYTES = 16 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');

export interface HttpCredentials {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
}

function authorization({ user, password, token }: HttpCredentials): string {
  if (token !== undefined) return `Proxy-Authorization: Bearer ${token}\r\n`;
  if (user === undefined) return '';
  const basic = Buffer.from(`${user}:${password ?? ''}`).toString('base64');
  return `Proxy-Authorization: Basic ${basic}\r\n`;
}

export function formatAuthority({ host, port }: UpstreamTarget): string {
  return isIpv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

export function connectRequest(
  target: UpstreamTarget,
  credentials: HttpCredentials,
  isFramed = false,
): Buffer {
  const authority = formatAuthority(target);
  return Buffer.from(
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${isFramed ? FRAMES_LINE : ''}` +
      `${authorization(credentials)}\r\n`,
    'latin1',
  );
}

export function connectUdpRequest(
  proxy: UpstreamTarget,
  target: UpstreamTarget,
  credentials: HttpCredentials,
): Buffer {
  // RFC 9298 section 3: colons of IPv6 addresses are percent-encoded.
  const path = `/.well-known/masque/udp/${encodeURIComponent(target.host)}/${target.port}/`;
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: ${formatAuthority(proxy)}\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n` +
      `Capsule-Protocol: ?1\r\n${authorization(credentials)}\r\n`,
    'latin1',
  );
}

interface Head {
  readonly status: number;
  readonly reason: string;
  readonly details: string | undefined;
  readonly isFramed: boolean;
}

const FRAMES_ANSWER = new RegExp(`^${FRAMES_FIELD}:[ \\t]*${FRAMES_VALUE}[ \\t]*$`, 'i');

function parseHead(text: string): Head | undefined {
  const [first = '', ...fields] = text.split('\r\n');
  const match = /^HTTP\/1\.[01] (\d{3})(?: ([^\r\n]*))?$/.exec(first);
  if (match === null) return undefined;
  const field = fields.find((line) => /^proxy-status:/i.test(line));
  return {
    status: Number(match[1]),
    reason: printable(match[2] ?? '').slice(0, 100),
    details: field === undefined ? undefined : parseProxyStatusDetails(field.slice(field.indexOf(':') + 1)),
    isFramed: fields.some((line) => FRAMES_ANSWER.test(line)),
  };
}

function failureOf({ status, reason, details }: Head, hasCredentials: boolean): NegotiationFailure {
  const why = details === undefined ? '' : `: ${details}`;
  const answered = `answered ${status}${reason === '' ? '' : ` (${reason})`}${why}`;
  if (status === 407 || status === 401) {
    const what = hasCredentials ? 'does not take our user, password or token' : 'wants a user and a password';
    return { failure: 'handshake', text: `${what} (${status})`, status: 502 };
  }
  if (status === 403) return { failure: 'refused', text: answered, status: 403 };
  if (status === 504) return { failure: 'target', text: answered, status: 504 };
  if (status === 503 || status === 429) return { failure: 'refused', text: answered, status: 503 };
  return { failure: status >= 500 ? 'target' : 'refused', text: answered };
}

export class HttpNegotiation implements Negotiation {
  readonly first: Uint8Array;
  readonly #isUpgrade: boolean;
  readonly #hasCredentials: boolean;
  readonly #isFramed: boolean;
  #seen: Buffer = Buffer.alloc(0);
  #skipped = 0;

  /** @param first of connectRequest or connectUdpRequest */
  constructor(first: Uint8Array, { isUpgrade = false, hasCredentials = false, isFramed = false } = {}) {
    this.first = first;
    this.#isUpgrade = isUpgrade;
    this.#hasCredentials = hasCredentials;
    this.#isFramed = isFramed;
  }

  handleBytes(bytes: Uint8Array): NegotiationStep {
    // BOUNDED by LONGEST_HEAD_BYTES, and what one read adds.
    this.#seen = Buffer.concat([this.#seen, bytes]);
    for (;;) {
      const end = this.#seen.indexOf(HEAD_END);
      const length = end < 0 ? this.#seen.length : end + HEAD_END.length;
      if (this.#skipped + length > LONGEST_HEAD_BYTES) {
        return {
          failed: {
            failure: 'broken',
            text: `answered with more than ${LONGEST_HEAD_BYTES} bytes of header`,
          },
        };
      }
      if (end < 0) return this.#isNotHttp() ? NOT_HTTP : {};
      const head = parseHead(this.#seen.toString('latin1', 0, end));
      if (head === undefined) return NOT_HTTP;
      this.#seen = this.#seen.subarray(length);
      this.#skipped += length;
      const { status } = head;
      if (this.#isUpgrade ? status === 101 : status >= 200 && status < 300) {
        return this.#isFramed && !head.isFramed ? NOT_FRAMED : { ahead: this.#seen };
      }
      if (status === 101 || status >= 200 || status < 100)
        return { failed: failureOf(head, this.#hasCredentials) };
    }
  }

  /** Told as soon as it can be, so that nobody waits for the head of an answer that is none. */
  #isNotHttp(): boolean {
    const begin = 'HTTP/1.';
    return !begin.startsWith(this.#seen.toString('latin1', 0, Math.min(begin.length, this.#seen.length)));
  }
}

/** Without frames, what was cut off would pass for the whole. */
const NOT_FRAMED: NegotiationStep = {
  failed: { failure: 'broken', text: 'is not a far end of this version: install the same Weft at both ends' },
};

const NOT_HTTP: NegotiationStep = {
  failed: { failure: 'broken', text: 'did not answer as an HTTP proxy does' },
};
