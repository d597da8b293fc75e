/**
 * How TLS is spoken between a Weft and its far end, both sides (pure data).
 *
 * By token: TLS 1.3 with an external PSK and (EC)DHE. Node hands the key over by OpenSSL's callbacks of TLS 1.2, which
 * OpenSSL uses for TLS 1.3 with SHA-256 cipher suites only; so exactly those are offered. psk_ke, without (EC)DHE, is
 * never chosen (OpenSSL needs SSL_OP_ALLOW_NO_DHE_KEX for it), and no early data exists that could be replayed.
 *
 * Invariant: a connection by token never falls back to certificates. The client trusts no authority and takes no
 * certificate; the server has none.
 *
 * References: RFC 8446 section 4.2.9; SSL_CTX_set_psk_client_callback(3ssl).
 */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

/** What a protocol handler may take: the relay's idea of "much at once", for streams. */
export const TLS_HIGH_WATER_BYTES = 256 * 1024;

export const TOKEN_TLS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
  // A session is resumed by nobody: that would outlive a token that was taken back.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const satisfies SecureContextOptions;

export const CERTIFICATE_TLS = { minVersion: 'TLSv1.3' } as const satisfies SecureContextOptions;
