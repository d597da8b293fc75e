/**
 * Datagrams straight from this host: one socket for each address family, made at the first datagram that needs it.
 * Datagrams take the host's ordinary route; MPTCP has no datagrams.
 *
 * Invariant: nothing here throws or waits: what cannot be sent now is dropped and counted.
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIpv6, unmapV4 } from '../../base/index.ts';
import type { UdpPath } from '../upstream/types.ts';

/** BOUNDED: what the kernel does not take at once; more is dropped. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** BOUNDED: datagrams that wait for a new socket. */
const MAX_WAITING = 64;

interface Family {
  readonly socket: Socket;
  /** `undefined`: it can be sent from. */
  waiting: (() => void)[] | undefined;
}

export class DirectUdpPath implements UdpPath {
  onMessage: (address: string, port: number, bytes: Uint8Array) => void = () => {};
  dropped = 0;
  readonly #families = new Map<'udp4' | 'udp6', Family>();
  #closed = false;

  /** @param host an address */
  send(host: string, port: number, bytes: Uint8Array): void {
    if (this.#closed) return;
    const family = this.#family(isIpv6(host) ? 'udp6' : 'udp4');
    if (family.waiting === undefined) {
      this.#sendNow(family.socket, host, port, bytes);
    } else if (family.waiting.length < MAX_WAITING) {
      const copy = Uint8Array.from(bytes);
      family.waiting.push(() => this.#sendNow(family.socket, host, port, copy));
    } else {
      this.dropped++;
    }
  }

  #sendNow(socket: Socket, host: string, port: number, bytes: Uint8Array): void {
    if (socket.getSendQueueSize() + bytes.length > MAX_QUEUED_BYTES) {
      this.dropped++;
      return;
    }
    socket.send(bytes, port, host, (error) => {
      // No route, too large, a firewall: as lost on the way.
      if (error !== null) this.dropped++;
    });
  }

  #family(type: 'udp4' | 'udp6'): Family {
    const known = this.#families.get(type);
    if (known !== undefined) return known;
    const socket = openDatagramSocket(type);
    const family: Family = { socket, waiting: [] };
    this.#families.set(type, family);
    socket.on('message', (bytes, { address, port }) => {
      if (!this.#closed) this.onMessage(unmapV4(address), port, bytes);
    });
    socket.on('error', () => {
      this.#families.delete(type);
      this.dropped += family.waiting?.length ?? 0;
      family.waiting = [];
      closeQuietly(socket);
    });
    socket.bind({ port: 0, exclusive: true }, () => {
      const { waiting = [] } = family;
      family.waiting = undefined;
      for (const send of waiting) send();
    });
    return family;
  }

  close(): void {
    this.#closed = true;
    for (const { socket } of this.#families.values()) closeQuietly(socket);
    this.#families.clear();
  }
}

/** A socket that takes addresses as they are, with nothing looked up. */
export function openDatagramSocket(type: 'udp4' | 'udp6'): Socket {
  return createSocket({
    type,
    // IPv4 has a socket of its own; on that the kernel refuses the option.
    ...(type === 'udp6' ? { ipv6Only: true } : {}),
    lookup: (host, _options, found) => found(null, host, type === 'udp4' ? 4 : 6),
  });
}

export function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
