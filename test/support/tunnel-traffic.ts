/**
 * Traffic between nodes of a lab: a TCP stream whose content is checked, and numbered UDP datagrams that tell what was
 * lost, doubled and out of order.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import type { LabNode } from '../../src/lab/index.ts';
import { connectFd, openStreamSocket } from '../../src/mptcp/index.ts';
import { bindSocket, listenOn, setIntOption, SO_REUSEADDR, SOL_SOCKET } from '../../src/native/index.ts';

const CHUNK_BYTES = 64 * 1024;
const AF = { 4: 2, 6: 10 } as const;

/** Binding resolves the name first; done within the call, the socket is made in the node's namespace. */
const atOnce = (
  hostname: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
) => callback(null, hostname, hostname.includes(':') ? 6 : 4);

/** A UDP socket of a node. */
export function bindUdp(node: LabNode, address: string, port: number): UdpSocket {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket({ type, lookup: atOnce });
  node.inside(() => socket.bind(port, address));
  return socket;
}

export interface TcpOptions {
  readonly from: LabNode;
  readonly to: LabNode;
  /** Of `to`. */
  readonly address: string;
  readonly port?: number;
  readonly bytes: number;
  /** Called with what has arrived so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** Carries random bytes from node to node over one TCP connection. @returns milliseconds; throws if they differ */
export async function transferTcp({
  from,
  to,
  address,
  port = 5001,
  bytes,
  onProgress,
}: TcpOptions): Promise<number> {
  const family = address.includes(':') ? 6 : 4;
  const listenFd = to.inside(() => {
    const { fd } = openStreamSocket(AF[family], false);
    setIntOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    bindSocket(fd, { address, port });
    listenOn(fd, 8);
    return fd;
  });
  const server = createServer();
  const received = createHash('sha256');
  let count = 0;
  const done = new Promise<string>((resolve, reject) => {
    server.on('connection', (socket) => {
      socket.on('data', (chunk) => {
        received.update(chunk);
        count += chunk.length;
        onProgress?.(count);
      });
      socket.on('end', () => {
        socket.end();
        resolve(received.digest('hex'));
      });
      socket.on('error', reject);
    });
  });
  server.listen({ fd: listenFd });
  const connecting = from.inside(() => connectFd({ address, port, multipath: false, timeoutMs: 10_000 }));
  const { fd } = await connecting;
  const beganMs = performance.now();
  const socket = new Socket({ fd });
  const chunk = randomBytes(CHUNK_BYTES);
  const sent = createHash('sha256');
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const part = left < CHUNK_BYTES ? chunk.subarray(0, left) : chunk;
    // Each piece differs, so that one in the wrong place shows.
    chunk.writeUInt32BE(left >>> 0, 0);
    const copy = Buffer.from(part);
    sent.update(copy);
    // oxlint-disable-next-line no-await-in-loop -- as fast as the stream takes it
    if (!socket.write(copy)) await once(socket, 'drain');
  }
  socket.end();
  const digest = await done;
  const tookMs = performance.now() - beganMs;
  socket.destroy();
  server.close();
  if (digest !== sent.digest('hex'))
    throw new Error(`what arrived over TCP is not what was sent (${count} bytes)`);
  return tookMs;
}

/** Numbered datagrams from one node to another, and what became of them. */
export class UdpFlow {
  readonly #sender: UdpSocket;
  readonly #receiver: UdpSocket;
  readonly #address: string;
  readonly #port: number;
  readonly #bytes: number;
  /** Numbers in the order of their arrival. UNBOUNDED: tests send some thousands. */
  readonly arrived: number[] = [];
  /** performance.now() of each arrival. UNBOUNDED: as above. */
  readonly arrivedMs: number[] = [];
  sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly from: LabNode;
    readonly fromAddress: string;
    readonly to: LabNode;
    readonly address: string;
    readonly port?: number;
    readonly bytes?: number;
  }) {
    this.#port = options.port ?? 5002;
    this.#bytes = options.bytes ?? 200;
    this.#address = options.address;
    this.#receiver = bindUdp(options.to, options.address, this.#port);
    this.#receiver.on('message', (datagram) => {
      this.arrived.push(datagram.readUInt32BE(0));
      this.arrivedMs.push(performance.now());
    });
    this.#sender = bindUdp(options.from, options.fromAddress, 0);
    this.#sender.on('error', () => {});
  }

  sendOne(): void {
    const datagram = Buffer.alloc(this.#bytes);
    datagram.writeUInt32BE(this.sent++, 0);
    this.#sender.send(datagram, this.#port, this.#address, () => {});
  }

  /** @param perTick datagrams every `everyMs` */
  start(perTick = 1, everyMs = 2): void {
    this.#timer = setInterval(() => {
      for (let i = 0; i < perTick; i++) this.sendOne();
    }, everyMs);
  }

  pause(): void {
    clearInterval(this.#timer);
  }

  get distinct(): number {
    return new Set(this.arrived).size;
  }

  get doubled(): number {
    return this.arrived.length - this.distinct;
  }

  /** Datagrams that came after one with a higher number. */
  get disordered(): number {
    let highest = -1;
    let count = 0;
    for (const number of this.arrived) {
      if (number < highest) count++;
      else highest = number;
    }
    return count;
  }

  /** The longest time without an arrival, in milliseconds, from the arrival number `from` on. */
  longestGapMs(from = 0): number {
    let longest = 0;
    for (let i = Math.max(1, from); i < this.arrivedMs.length; i++) {
      longest = Math.max(longest, this.arrivedMs[i]! - this.arrivedMs[i - 1]!);
    }
    return longest;
  }

  close(): void {
    this.pause();
    this.#sender.close();
    this.#receiver.close();
  }
}
