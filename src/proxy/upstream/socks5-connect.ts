/**
 * Asks a SOCKS5 proxy for a tunnel (pure): RFC 1928, with a user by RFC 1929. Names are resolved by the proxy.
 *
 *   to    05 n methods      · 01 len user len password (RFC 1929) · 05 01 00 type address port
 *   from  05 method         · 01 status                           · 05 reply 00 type address port
 */
import { parseIp } from '../../base/index.ts';
import type { Negotiation, NegotiationFailure, NegotiationStep } from './negotiation.ts';
import type { UpstreamTarget } from './types.ts';

const VERSION = 5;
const NO_USER = 0;
const BY_PASSWORD = 2;
const CMD_CONNECT = 1;
const ATYP_IPV4 = 1;
const ATYP_NAME = 3;
const ATYP_IPV6 = 4;

const REPLIES: Readonly<Record<number, NegotiationFailure>> = {
  1: { failure: 'target', text: 'answered "general failure" (1)' },
  2: { failure: 'refused', text: 'answered "not allowed by ruleset" (2)', status: 403 },
  3: { failure: 'target', text: 'answered "network unreachable" (3)' },
  4: { failure: 'target', text: 'answered "host unreachable" (4)' },
  5: { failure: 'target', text: 'answered "connection refused" (5)' },
  6: { failure: 'target', text: 'answered "TTL expired" (6)', status: 504 },
  7: { failure: 'refused', text: 'answered "command not supported" (7)' },
  8: { failure: 'refused', text: 'answered "address type not supported" (8)' },
};

const broken = (text: string): NegotiationStep => ({ failed: { failure: 'broken', text } });

function counted(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function addressOf({ host, port }: UpstreamTarget): Buffer {
  const address = parseIp(host);
  const named =
    address === undefined
      ? Buffer.concat([Buffer.of(ATYP_NAME), counted(Buffer.from(host, 'latin1'))])
      : Buffer.concat([Buffer.of(address.length === 4 ? ATYP_IPV4 : ATYP_IPV6), address]);
  return Buffer.concat([named, Buffer.of(port >> 8, port & 0xff)]);
}

export class Socks5Negotiation implements Negotiation {
  readonly first: Uint8Array;
  readonly #target: UpstreamTarget;
  readonly #user: string | undefined;
  readonly #password: string;
  #state: 'method' | 'password' | 'reply' = 'method';
  /** BOUNDED: 262 bytes is the longest message, and what one read adds. */
  #seen: Buffer = Buffer.alloc(0);

  /** @param target its name is at most 253 characters */
  constructor(target: UpstreamTarget, user?: string, password = '') {
    this.#target = target;
    this.#user = user;
    this.#password = password;
    this.first =
      user === undefined ? Buffer.of(VERSION, 1, NO_USER) : Buffer.of(VERSION, 2, NO_USER, BY_PASSWORD);
  }

  handleBytes(bytes: Uint8Array): NegotiationStep {
    this.#seen = Buffer.concat([this.#seen, bytes]);
    const seen = this.#seen;
    if (this.#state === 'reply') return this.#handleReply(seen);
    const version = this.#state === 'method' ? VERSION : 1;
    if (seen.length > 0 && seen[0] !== version) return broken('did not answer as a SOCKS5 proxy does');
    if (seen.length < 2) return {};
    // A proxy does not speak before it is asked.
    if (seen.length > 2) return broken('sent more than it was asked for');
    this.#seen = Buffer.alloc(0);
    return this.#state === 'method' ? this.#handleMethod(seen[1]!) : this.#handlePassword(seen[1]!);
  }

  #handleMethod(method: number): NegotiationStep {
    if (method === NO_USER) return this.#ask();
    if (method !== BY_PASSWORD || this.#user === undefined) {
      const text = this.#user === undefined ? 'wants a user and a password' : 'has no way to take our user';
      return { failed: { failure: 'handshake', text } };
    }
    this.#state = 'password';
    const [user, password] = [Buffer.from(this.#user), Buffer.from(this.#password)];
    return { send: Buffer.concat([Buffer.of(1), counted(user), counted(password)]) };
  }

  #handlePassword(status: number): NegotiationStep {
    if (status === 0) return this.#ask();
    return { failed: { failure: 'handshake', text: 'does not take our user and password' } };
  }

  #ask(): NegotiationStep {
    this.#state = 'reply';
    return { send: Buffer.concat([Buffer.of(VERSION, CMD_CONNECT, 0), addressOf(this.#target)]) };
  }

  #handleReply(seen: Buffer): NegotiationStep {
    if (seen.length > 0 && seen[0] !== VERSION) return broken('did not answer as a SOCKS5 proxy does');
    if (seen.length < 2) return {};
    const reply = seen[1]!;
    if (reply !== 0) {
      return { failed: REPLIES[reply] ?? { failure: 'target', text: `answered with code ${reply}` } };
    }
    if (seen.length < 5) return {};
    const addressBytes = { [ATYP_IPV4]: 4, [ATYP_NAME]: 1 + seen[4]!, [ATYP_IPV6]: 16 }[seen[3]!];
    if (addressBytes === undefined) return broken('answered with an address of no known kind');
    const length = 4 + addressBytes + 2;
    return seen.length < length ? {} : { ahead: seen.subarray(length) };
  }
}
