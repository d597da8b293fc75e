/**
 * What the proxy's kernel tests share: a started proxy, origins, raw exchanges, and the counting of what is open.
 * All of it on loopback of the namespace that the tests run in.
 */
import { readdirSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { silentLogger } from '../src/base/index.ts';
import {
  listenOn,
  openSocket,
  bindSocket,
  IPPROTO_MPTCP,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from '../src/native/index.ts';
import { ProxyServer, type ProxyLimits, type ProxyOptions } from '../src/proxy/index.ts';

/** Things to end after a test, last first. */
const cleanups: (() => Promise<unknown> | void)[] = [];

export function onCleanup(cleanup: () => Promise<unknown> | void): void {
  cleanups.push(cleanup);
}

export async function cleanUp(): Promise<void> {
  while (cleanups.length > 0) await cleanups.pop()!();
}

export interface StartedProxy {
  readonly server: ProxyServer;
  readonly port: number;
}

/** A proxy on a free port of 127.0.0.1, stopped after the test. */
export async function startProxy(
  limits: Partial<ProxyLimits> = {},
  options: Partial<ProxyOptions> = {},
): Promise<StartedProxy> {
  const server = new ProxyServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    logger: silentLogger,
    limits,
    ...options,
  });
  await server.start();
  onCleanup(() => server.stop());
  return { server, port: server.addresses[0]!.port };
}

function closeServer(server: Server, sockets: Set<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function track(server: Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  onCleanup(() => closeServer(server, sockets));
  return sockets;
}

function listening(server: Server | HttpServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** A TCP server; `handle` gets each connection. Half-open connections stay open. */
export function startTcpServer(handle: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, handle);
  track(server);
  return listening(server);
}

/** One that sends back what it gets. */
export const startEcho = (): Promise<number> => startTcpServer((socket) => void socket.pipe(socket));

/** @param destination `host:port`, or a port of loopback */
export function connectRequest(destination: string | number): string {
  const authority = typeof destination === 'string' ? destination : `127.0.0.1:${destination}`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

/** The same as `startTcpServer`, and it speaks MPTCP. */
export function startMptcpServer(handle: (socket: Socket) => void): Promise<number> {
  const fd = openSocket(2, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP);
  bindSocket(fd, { address: '127.0.0.1', port: 0 });
  listenOn(fd, 1024);
  const server = createServer({ allowHalfOpen: true }, handle);
  track(server);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => resolve((server.address() as AddressInfo).port));
  });
}

export function startHttpServer(handle: RequestListener): Promise<number> {
  const server = createHttpServer(handle);
  track(server);
  return listening(server);
}

/** A connection to a port of this host that reports no error by itself. */
export function connectTo(port: number, host = '127.0.0.1'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
    onCleanup(() => void socket.destroy());
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/** Everything until the other end closes, as latin1. */
export function readAll(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const finish = () => resolve(Buffer.concat(chunks).toString('latin1'));
    socket.once('end', finish);
    socket.once('close', finish);
  });
}

/** Reads until what came so far satisfies `enough`, and leaves the socket paused. */
export function readUntil(socket: Socket, enough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!enough(text)) return;
      stop();
      socket.pause();
      resolve(text);
    };
    const onEnd = () => {
      stop();
      reject(new Error(`ended after ${JSON.stringify(text)}`));
    };
    const stop = () => {
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
    };
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    socket.resume();
  });
}

/** Sends bytes to a port and gives back everything that comes until the other end closes. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const socket = await connectTo(port);
  const answer = readAll(socket);
  socket.write(bytes, 'latin1');
  const text = await answer;
  socket.destroy();
  return text;
}

/** A tunnel through the proxy, past the proxy's 200. */
export async function openTunnel(proxyPort: number, targetPort: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = await connectTo(proxyPort);
  socket.write(`CONNECT ${host}:${targetPort} HTTP/1.1\r\nHost: ${host}:${targetPort}\r\n\r\n`);
  // One byte at a time, so that nothing after the answer is taken.
  const head = await new Promise<string>((resolve, reject) => {
    let text = '';
    const onReadable = () => {
      for (
        let byte = socket.read(1) as Buffer | null;
        byte !== null;
        byte = socket.read(1) as Buffer | null
      ) {
        text += byte.toString('latin1');
        if (text.endsWith('\r\n\r\n')) {
          socket.off('readable', onReadable);
          socket.off('end', onEnd);
          resolve(text);
          return;
        }
      }
    };
    const onEnd = () => reject(new Error(`no tunnel: ${JSON.stringify(text)}`));
    socket.on('readable', onReadable);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
  });
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(head);
  return socket;
}

/** Resolves when `condition` holds; checked at every turn of the event loop, and given up after `timeoutMs`. */
export async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface Open {
  readonly fds: number;
  readonly threads: number;
}

/** What this process has open. */
export function whatIsOpen(): Open {
  return { fds: readdirSync('/proc/self/fd').length, threads: readdirSync('/proc/self/task').length };
}
