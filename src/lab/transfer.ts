/**
 * A download as a program in a node does it: one TCP connection, direct or through a proxy with CONNECT, one GET,
 * the digest of what comes. In this process, so that every piece of data can be timed.
 */
import { createHash } from 'node:crypto';
import { get, request, type IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { WeftError } from '../base/errors.ts';
import { formatSocketAddress } from '../base/ip.ts';
import { connectFd } from '../mptcp/index.ts';
import type { LabNode } from './node.ts';

export interface TransferOptions {
  readonly node: LabNode;
  readonly address: string;
  readonly port?: number;
  /** `/bytes/N?seed=S` */
  readonly path: string;
  /** Which of the node's addresses to use, hence, with its routes, which uplink. */
  readonly localAddress?: string;
  readonly proxy?: { readonly address: string; readonly port: number };
  readonly signal?: AbortSignal;
  /** Called with each piece's length as it comes. */
  readonly onData?: (bytes: number) => void;
}

export interface TransferResult {
  readonly bytes: number;
  readonly sha256: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** The longest silence: longer than any cut of the demo, shorter than a person's patience. */
const SILENCE_TIMEOUT_MS = 60_000;

async function openSocket(options: TransferOptions): Promise<Socket> {
  const { address, port = 80 } = options.proxy ?? options;
  // Plain TCP, as the programs are that Weft serves. The socket is opened within the call, hence in the node.
  const connecting = options.node.inside(() =>
    connectFd({
      address,
      port,
      multipath: false,
      timeoutMs: CONNECT_TIMEOUT_MS,
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }),
  );
  return new Socket({ fd: (await connecting).fd });
}

/** Sends CONNECT and leaves the socket as the tunnel that it has become. */
function openTunnel(socket: Socket, target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ createConnection: () => socket, method: 'CONNECT', path: target });
    asked.once('error', reject);
    asked.once('connect', (response: IncomingMessage, _socket, head: Buffer) => {
      if (response.statusCode === 200 && head.length === 0) resolve();
      else
        reject(
          new WeftError(`the proxy refused the tunnel: ${response.statusCode} ${response.statusMessage}`, {
            code: 'PROXY_REFUSED',
          }),
        );
    });
    asked.end();
  });
}

/** Downloads to the end. Rejects when the connection breaks, falls silent or is aborted. */
export async function transfer(options: TransferOptions): Promise<TransferResult> {
  const target = formatSocketAddress(options.address, options.port ?? 80);
  const socket = await openSocket(options);
  const abort = () => socket.destroy(new WeftError('the transfer was stopped', { code: 'ABORT_ERR' }));
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    socket.setTimeout(SILENCE_TIMEOUT_MS, () => {
      socket.destroy(new WeftError(`no data for ${SILENCE_TIMEOUT_MS / 1000} s`, { code: 'SILENCE' }));
    });
    if (options.proxy !== undefined) await openTunnel(socket, target);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { host: target, connection: 'close' };
      get({ createConnection: () => socket, path: options.path, headers }, resolve).once('error', reject);
    });
    if (response.statusCode !== 200) {
      throw new WeftError(`the server answered ${response.statusCode}`, { code: 'HTTP_STATUS' });
    }
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      options.onData?.(chunk.length);
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    options.signal?.removeEventListener('abort', abort);
    socket.destroy();
  }
}
