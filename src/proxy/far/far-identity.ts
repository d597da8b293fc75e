/**
 * Who a connection to the far end is from. Three ways to prove it, of which the far end's settings allow some:
 *
 *   token, no certificate    the token made the TLS keys (TLS 1.3 PSK): nobody else completes a handshake
 *   certificate, client CA   the client's certificate
 *   certificate, token       `Proxy-Authorization: Bearer TOKEN`, or `Basic` with it as the password, inside TLS
 *
 * Invariant: keys from tokens and certificates are never offered on one listener: a client could name a token's
 * identity, which is no secret, and then complete the handshake by other means.
 */
import { createHash } from 'node:crypto';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { CERTIFICATE_TLS, TOKEN_TLS } from '../upstream/tls-settings.ts';
import { deriveTokenKey } from '../upstream/token.ts';
import type { FarAccess } from './far-options.ts';

/** Who a connection is from. */
export interface Proved {
  /** Of the token or certificate; for logs and limits. */
  readonly name: string;
  /** Digest of the token; absent for certificates. */
  readonly token?: string;
}

interface KnownKey {
  readonly proved: Proved;
  readonly key: Buffer;
}

const digestOf = (token: string) => createHash('sha256').update(token).digest('hex');

export class FarIdentity {
  /** BOUNDED: the tokens of the file. */
  readonly #keys = new Map<string, KnownKey>();
  /** By digest, so that looking one up takes no time that depends on how much of a guess was right. */
  readonly #tokens = new Map<string, Proved>();
  readonly #access: FarAccess;
  readonly #claimed: WeakMap<TLSSocket, Proved>;

  /** @param claimed what connections under way have said; kept from one generation of settings to the next */
  constructor(access: FarAccess, claimed: WeakMap<TLSSocket, Proved> = new WeakMap()) {
    this.#access = access;
    this.#claimed = claimed;
    for (const { name, token } of access.tokens) {
      const { identity, key } = deriveTokenKey(token);
      const proved = { name, token: digestOf(token) };
      this.#keys.set(identity, { proved, key });
      this.#tokens.set(proved.token, proved);
    }
  }

  next(access: FarAccess): FarIdentity {
    return new FarIdentity(access, this.#claimed);
  }

  get isByKey(): boolean {
    return this.#access.certificate === undefined;
  }

  /** Whether what was proved once still counts. */
  stillCounts({ token }: Proved): boolean {
    return token === undefined ? this.#access.certificate?.clientCa !== undefined : this.#tokens.has(token);
  }

  keyFor(socket: TLSSocket, identity: string): Buffer | null {
    const known = this.#keys.get(identity);
    if (known === undefined) return null;
    this.#claimed.set(socket, known.proved);
    return known.key;
  }

  tlsOptions(): TlsOptions {
    const { certificate } = this.#access;
    if (certificate === undefined) return { ...TOKEN_TLS };
    const { cert, key, clientCa } = certificate;
    return {
      ...CERTIFICATE_TLS,
      cert,
      key,
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true }),
      // Those without one may have a token; where there is none, the handshake is the place to tell them.
      rejectUnauthorized: clientCa !== undefined && this.#tokens.size === 0,
    };
  }

  /** Who it is as far as the handshake tells; `undefined`: it has to say more, or goes. */
  ofHandshake(socket: TLSSocket): Proved | undefined {
    if (this.isByKey) {
      const claimed = socket.isSessionReused() ? this.#claimed.get(socket) : undefined;
      // The token may have been taken back while the handshake went on.
      return claimed !== undefined && this.stillCounts(claimed) ? claimed : undefined;
    }
    if (this.#access.certificate?.clientCa === undefined || !socket.authorized) return undefined;
    const { subject } = socket.getPeerCertificate();
    const name = (subject as { CN?: string | readonly string[] } | undefined)?.CN;
    return { name: `certificate ${typeof name === 'string' ? name : 'without a name'}` };
  }

  /** Who it is by what its request says. */
  ofRequest(proxyAuthorization: string | undefined): Proved | undefined {
    if (this.isByKey || proxyAuthorization === undefined) return undefined;
    const [scheme = '', value = ''] = proxyAuthorization.trim().split(/\s+/);
    if (scheme.toLowerCase() === 'bearer') return this.#tokens.get(digestOf(value));
    if (scheme.toLowerCase() !== 'basic') return undefined;
    const decoded = Buffer.from(value, 'base64').toString('utf8');
    return this.#tokens.get(digestOf(decoded.slice(decoded.indexOf(':') + 1)));
  }
}
