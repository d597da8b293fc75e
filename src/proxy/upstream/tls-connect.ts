/**
 * TLS over a connected descriptor, as a client: by token to a far end, by certificates to everything else.
 *
 * Invariant: a stream that is given out has been authenticated by what was asked for, and has an error listener, so
 * that a connection that breaks while nobody holds it harms nobody. The descriptor is this function's from the call on.
 */
import { isIP, Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { errorText } from '../../base/index.ts';
import { closeFd, IPPROTO_TCP, TCP_NODELAY, trySetIntOption } from '../../native/index.ts';
import { NegotiationError } from './negotiate-fd.ts';
import { resetOnDestroy } from './reset-on-destroy.ts';
import { CERTIFICATE_TLS, TLS_HIGH_WATER_BYTES, TOKEN_TLS } from './tls-settings.ts';
import { deriveTokenKey } from './token.ts';
import type { UpstreamProxy } from './types.ts';

function byToken(token: string): ConnectionOptions {
  const { identity, key } = deriveTokenKey(token);
  return {
    ...TOKEN_TLS,
    ca: [],
    pskCallback: () => ({ psk: key, identity }),
    // Only asked when the other side showed a certificate in place of the token's proof.
    checkServerIdentity: () => new Error('it has shown a certificate and not that it knows the token'),
  };
}

function byCertificates({ certificates, host }: UpstreamProxy): ConnectionOptions {
  return {
    ...CERTIFICATE_TLS,
    ...(certificates?.ca === undefined ? {} : { ca: certificates.ca }),
    ...(certificates?.cert === undefined ? {} : { cert: certificates.cert }),
    ...(certificates?.key === undefined ? {} : { key: certificates.key }),
    // Names the certificate; addresses have no place in the SNI field (RFC 6066 section 3).
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** Whether the token alone makes the connection, without certificates. */
export function isByToken({ kind, token, certificates }: UpstreamProxy): boolean {
  return kind === 'weft' && token !== undefined && certificates === undefined;
}

/** Why the handshake failed, for people who have two ends to look at. */
function handshakeText(error: NodeJS.ErrnoException, isToken: boolean): string {
  const { code = '' } = error;
  const isAlert = code.startsWith('ERR_SSL_') || code === 'EPROTO';
  if (isToken && (isAlert || code === 'ECONNRESET')) return `does not take our token (${code})`;
  return `no TLS connection: ${errorText(error)}${code === '' ? '' : ` (${code})`}`;
}

/**
 * Rejects with NegotiationError or the signal's reason. Nothing stays open then.
 */
export function connectTls(fd: number, proxy: UpstreamProxy, signal: AbortSignal): Promise<TLSSocket> {
  const isToken = isByToken(proxy);
  let socket: Socket;
  try {
    trySetIntOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  } catch (error) {
    closeFd(fd);
    return Promise.reject(error);
  }
  return new Promise((resolve, reject) => {
    const fail = (text: string) => {
      reject(new NegotiationError({ failure: 'handshake', text }, false));
    };
    let stream: TLSSocket;
    try {
      // Known to Node, not to its types.
      const options: ConnectionOptions & { readonly highWaterMark: number } = {
        socket,
        highWaterMark: TLS_HIGH_WATER_BYTES,
        ...(isToken ? byToken(proxy.token!) : byCertificates(proxy)),
      };
      stream = tlsConnect(options);
    } catch (error) {
      // A certificate or key that is none.
      socket.destroy();
      fail(`no TLS connection: ${errorText(error)}`);
      return;
    }
    const onAbort = () => {
      stream.destroy();
      reject(signal.reason as Error);
    };
    const finish = () => {
      signal.removeEventListener('abort', onAbort);
      stream.off('close', onClose);
    };
    const onClose = () => {
      finish();
      fail(isToken ? 'closed the connection; perhaps it does not take our token' : 'closed the connection');
    };
    stream.on('error', (error: NodeJS.ErrnoException) => {
      finish();
      fail(handshakeText(error, isToken));
    });
    stream.once('close', onClose);
    stream.once('secureConnect', () => {
      finish();
      // For TLS 1.3, keys from a PSK are a "resumed session" to OpenSSL; anything else has proved nothing.
      if (isToken && !stream.isSessionReused()) {
        stream.destroy();
        fail('has not shown that it knows the token');
        return;
      }
      resetOnDestroy(stream);
      resolve(stream);
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
