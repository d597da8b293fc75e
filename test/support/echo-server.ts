/** A server in a node of a lab that sends back what it gets, with MPTCP or without. Runs in the test's own process. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { AF_INET } from '../../src/base/index.ts';
import type { LabNode } from '../../src/lab/index.ts';
import { openStreamSocket } from '../../src/mptcp/index.ts';
import { bindSocket, listenOn, setIntOption, SO_REUSEADDR, SOL_SOCKET } from '../../src/native/index.ts';

const BACKLOG = 16;

export interface EchoOptions {
  readonly port: number;
  /** Default `true`. */
  readonly multipath?: boolean;
}

/** Listens on all IPv4 addresses of the node. @returns ends it, with its connections */
export function echoServer(node: LabNode, { port, multipath = true }: EchoOptions): () => Promise<void> {
  const fd = node.inside(() => {
    const socket = openStreamSocket(AF_INET, multipath);
    setIntOption(socket.fd, SOL_SOCKET, SO_REUSEADDR, 1);
    bindSocket(socket.fd, { address: '0.0.0.0', port });
    listenOn(socket.fd, BACKLOG);
    return socket.fd;
  });
  const accepted = new Set<Socket>();
  const server = createServer((socket) => {
    accepted.add(socket.on('error', () => {}));
    socket.pipe(socket);
  }).listen({ fd });
  return async () => {
    for (const socket of accepted) socket.destroy();
    await once(server.close(), 'close');
  };
}
