/**
 * Starts the lab's web server in a node: the listening sockets are opened there, MPTCP where the kernel has it,
 * and handed to a worker thread of their own, so that sending does not share a loop with what is measured.
 */
import { createHash } from 'node:crypto';
import { AF_INET6 } from '../base/ip.ts';
import {
  bindSocket,
  closeFd,
  EpollWorker,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  listenOn,
  IPPROTO_TCP,
  setIntOption,
  setSocketOption,
  SO_REUSEADDR,
  SOL_SOCKET,
} from '../native/index.ts';
import { openStreamSocket } from '../mptcp/index.ts';
import { BLOCK_BYTES, ContentSource } from './content.ts';
import type { LabNode } from './node.ts';
import type { WebWorkerOptions } from './web-worker.ts';

const BACKLOG = 1024;
const TCP_CONGESTION = 13;
/** What most servers use, whatever this host has chosen for itself: results of two machines can be compared. */
const CONGESTION_CONTROL = 'cubic';

/** Connections inherit it from the listener. A kernel without it keeps its own choice. */
function trySetCongestionControl(fd: number): void {
  try {
    setSocketOption(fd, IPPROTO_TCP, TCP_CONGESTION, new TextEncoder().encode(CONGESTION_CONTROL));
  } catch {
    // Not built into this kernel, or not allowed here.
  }
}

export class WebServer {
  readonly protocol: 'mptcp' | 'tcp';
  readonly #worker: EpollWorker<WebWorkerOptions, never, never>;

  /** Listens on all addresses of the node, IPv4 and IPv6. Throws SystemError when the port is taken. */
  constructor(node: LabNode, port = 80) {
    const socket = node.inside(() => openStreamSocket(AF_INET6));
    this.protocol = socket.protocol;
    try {
      setIntOption(socket.fd, SOL_SOCKET, SO_REUSEADDR, 1);
      setIntOption(socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      trySetCongestionControl(socket.fd);
      bindSocket(socket.fd, { address: '::', port });
      // Clients may connect before the worker accepts: the kernel keeps them.
      listenOn(socket.fd, BACKLOG);
      this.#worker = new EpollWorker(
        'web',
        { fds: [socket.fd] },
        () => {},
        (error) => {
          process.emitWarning(`the lab's web server ended: ${error.message}`);
        },
      );
    } catch (error) {
      closeFd(socket.fd);
      throw error;
    }
    this.#worker.unref();
  }

  /** Ends the thread; its descriptors close with its loop. */
  close(): Promise<void> {
    return this.#worker.stop();
  }
}

/** SHA-256 in hex of what `/bytes/N?seed=S` sends. */
export function contentSha256(totalBytes: number, seed = 0): string {
  const source = new ContentSource(totalBytes, seed);
  const hash = createHash('sha256');
  const piece = new Uint8Array(new ArrayBuffer(16 * BLOCK_BYTES));
  for (let bytes = source.next(piece); bytes.length > 0; bytes = source.next(piece)) hash.update(bytes);
  return hash.digest('hex');
}
