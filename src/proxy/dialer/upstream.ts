/**
 * What a dial ends with: a connection to the destination, or to an upstream proxy that leads there.
 *
 * Invariant: whoever holds an Upstream owns its descriptor or stream, and closes it.
 */
import { fstatSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { readMptcpInfo, type ConnectedSocket } from '../../mptcp/index.ts';
import { closeFd } from '../../native/index.ts';

interface Led {
  /** Address and port of the other end of the connection: those of the upstream proxy when there is one. */
  readonly address: string;
  readonly port: number;
  /** Name of the upstream proxy that it leads through. */
  readonly via?: string;
}

/** A connected descriptor: what the relay thread carries. */
export interface SocketUpstream extends ConnectedSocket, Led {
  readonly kind: 'socket';
  /** What the other end has sent already and was read (after an upstream proxy's answer): goes to the client first. */
  readonly ahead?: Uint8Array;
}

/** A stream whose bytes only Node can make (TLS): carried in the main thread, with back-pressure. */
export interface StreamUpstream extends Led {
  readonly kind: 'stream';
  readonly stream: Duplex;
  /** What the stream's connection is on the wire. */
  readonly protocol: 'mptcp' | 'tcp';
  readonly fallbackReason?: string;
  /** MPTCP's local token, when known. */
  readonly token?: number;
}

export type Upstream = SocketUpstream | StreamUpstream;

/** Ends a connection that nobody wants any more. */
export function closeUpstream(upstream: Upstream): void {
  if (upstream.kind === 'socket') closeFd(upstream.fd);
  else upstream.stream.destroy();
}

/**
 * The inode of a socket that fell back to TCP when it connected: the kernel lists it among MPTCP's, and tells its token
 * to nobody who holds it. `undefined` for all others.
 */
export function fallbackInodeOf(upstream: Upstream): number | undefined {
  if (upstream.kind !== 'socket' || upstream.protocol === upstream.descriptorProtocol) return undefined;
  return fstatSync(upstream.fd).ino;
}

/** MPTCP's local token, as sock_diag and events have it. */
export function tokenOf(upstream: Upstream): number | undefined {
  if (upstream.protocol !== 'mptcp') return undefined;
  return upstream.kind === 'stream' ? upstream.token : readMptcpInfo(upstream.fd)?.token;
}
