/**
 * Datagrams of the far end: a stream of capsules on one side, a UDP socket on the other that is connected to the one
 * destination, so that the kernel drops what others send (RFC 9298).
 *
 * Invariant: nothing waits here; what the stream has no room for is dropped and counted, as a router does.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import type { Duplex } from 'node:stream';
import { isIpv6 } from '../../base/index.ts';
import { CapsuleReader, emitDatagramCapsule, LONGEST_PAYLOAD } from '../upstream/capsule.ts';

/** BOUNDED: what a stream that is not read holds. */
const MAX_QUEUED_BYTES = 1024 * 1024;

export interface FarFlowCounts {
  up: number;
  down: number;
  dropped: number;
}

export interface FarFlowOptions {
  readonly stream: Duplex;
  /** What came with the request. */
  readonly head: Buffer;
  readonly address: string;
  readonly port: number;
  readonly idleTimeoutMs: number;
  readonly counts: FarFlowCounts;
  /** Called once. */
  readonly onClosed: () => void;
}

/** A UDP socket connected to the destination. Rejects with the errors of connect(2). */
export function connectUdp(address: string, port: number): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIpv6(address) ? 'udp6' : 'udp4' });
    const fail = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', fail);
    socket.connect(port, address, () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

/** Carries datagrams until the stream or the time limit ends it. Takes both over. */
export function carryFlow(socket: UdpSocket, options: FarFlowOptions): void {
  const { stream, head, idleTimeoutMs, counts, onClosed } = options;
  const reader = new CapsuleReader();
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    socket.close();
    stream.destroy();
    onClosed();
  };
  const timer = setTimeout(end, idleTimeoutMs);
  timer.unref();
  const handleBytes = (chunk: Uint8Array) => {
    for (const payload of reader.handleBytes(chunk)) {
      timer.refresh();
      counts.up++;
      // Node copies nothing and sends at once where it can.
      socket.send(payload, (error) => {
        if (error !== null) counts.dropped++;
      });
    }
  };
  socket.on('message', (bytes) => {
    if (ended) return;
    timer.refresh();
    if (bytes.length > LONGEST_PAYLOAD || stream.writableLength + bytes.length > MAX_QUEUED_BYTES) {
      counts.dropped++;
      return;
    }
    counts.down++;
    stream.write(emitDatagramCapsule(bytes));
  });
  // "Port unreachable" concerns one datagram; the next may find somebody.
  socket.on('error', () => counts.dropped++);
  stream.on('data', handleBytes).once('end', end).once('close', end).once('error', end);
  if (head.length > 0) handleBytes(head);
  stream.resume();
}
