/**
 * One UDP ASSOCIATE (RFC 1928 sections 4 and 7): a socket towards the client, and the paths that its datagrams take.
 *
 *   client ── header and payload ── this socket ── policy ──┬── direct-path.ts
 *                                                           └── a far end (proxy/upstream)
 *
 * Invariant: only datagrams from the client's address and port count; what comes back counts only from where a
 * datagram went to. Nothing is kept longer than the association.
 */
import type { RemoteInfo, Socket as DatagramSocket } from 'node:dgram';
import { canonicalIp, unmapV4 } from '../../base/index.ts';
import type { ClientIdentity } from '../policy/types.ts';
import { emitDatagram, parseDatagram } from '../socks/datagram.ts';
import type { Socks5Destination } from '../socks/socks5.ts';
import type { UdpPath } from '../upstream/types.ts';
import type { DatagramTallies } from './datagram-tallies.ts';
import type { Destinations, UdpRoute } from './destinations.ts';
import { closeQuietly } from './direct-path.ts';

export interface AssociationOptions {
  readonly client: ClientIdentity;
  /** Where the client said that its datagrams will come from; zeros: it does not know. */
  readonly announced: Socks5Destination;
  /** Bound. */
  readonly socket: DatagramSocket;
  readonly destinations: Destinations;
  /** `undefined`: straight from this host. Throws when that upstream carries no datagrams. */
  readonly openPath: (upstream: string | undefined) => UdpPath;
  /** Counts policies: upstream proxies may have changed with it. */
  readonly generation: () => number;
  readonly tallies: DatagramTallies;
  /** A datagram went through, either way. */
  readonly onActivity: () => void;
}

/** BOUNDED: what the kernel does not take at once; more is dropped. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** BOUNDED: datagrams of one client that wait for names. */
const MAX_WAITING = 128;
/** BOUNDED: addresses that may answer. */
const MAX_ASKED = 1024;

export class Association {
  readonly #options: AssociationOptions;
  /** BOUNDED by the policy's upstream proxies, and one. */
  readonly #paths = new Map<string | undefined, UdpPath>();
  /** BOUNDED by MAX_ASKED: the oldest goes first. */
  readonly #asked = new Set<string>();
  #clientPort: number | undefined;
  #generation: number;
  #waiting = 0;
  #closed = false;

  constructor(options: AssociationOptions) {
    this.#options = options;
    const { socket, announced, client, generation } = options;
    this.#generation = generation();
    const announcedAny = announced.host === '0.0.0.0' || announced.host === '::';
    // Behind address translation the client knows neither; then its first datagram says.
    if (announced.port !== 0 && (announcedAny || announced.host === client.address)) {
      this.#clientPort = announced.port;
    }
    socket.on('message', (bytes, from) => this.#handleFromClient(bytes, from));
    socket.on('error', () => this.#options.tallies.drop('socket-failed'));
  }

  close(): void {
    this.#closed = true;
    this.#options.destinations.close();
    closeQuietly(this.#options.socket);
    for (const path of this.#paths.values()) this.#closePath(path);
    this.#paths.clear();
  }

  #closePath(path: UdpPath): void {
    path.close();
    this.#options.tallies.drop('path', path.dropped);
  }

  #handleFromClient(bytes: Buffer, from: RemoteInfo): void {
    if (this.#closed) return;
    const { client, tallies, destinations } = this.#options;
    if (addressOf(from) !== client.address || (this.#clientPort ?? from.port) !== from.port) {
      tallies.drop('not-the-client');
      return;
    }
    const parsed = parseDatagram(bytes);
    if ('problem' in parsed) {
      tallies.drop(parsed.problem);
      return;
    }
    this.#clientPort = from.port;
    this.#options.onActivity();
    const { host, port } = parsed.destination;
    const route = destinations.routeTo(host, port);
    if (!(route instanceof Promise)) {
      this.#send(route, port, parsed.payload);
      return;
    }
    if (this.#waiting >= MAX_WAITING) {
      tallies.drop('queue-full');
      return;
    }
    this.#waiting++;
    void route.then((found) => {
      this.#waiting--;
      if (!this.#closed) this.#send(found, port, parsed.payload);
    });
  }

  #send(route: UdpRoute, port: number, payload: Uint8Array): void {
    const { tallies } = this.#options;
    if (route.kind === 'drop') {
      tallies.drop(route.reason);
      return;
    }
    let path: UdpPath;
    try {
      path = this.#pathThrough(route.upstream);
    } catch {
      tallies.drop('no-path');
      return;
    }
    this.#noteAsked(route.host);
    tallies.up++;
    tallies.bytesUp += payload.length;
    path.send(route.host, port, payload);
  }

  #noteAsked(host: string): void {
    if (this.#asked.has(host)) return;
    this.#asked.add(host);
    if (this.#asked.size <= MAX_ASKED) return;
    const [oldest] = this.#asked;
    if (oldest !== undefined) this.#asked.delete(oldest);
  }

  #pathThrough(upstream: string | undefined): UdpPath {
    const generation = this.#options.generation();
    if (generation !== this.#generation) {
      this.#generation = generation;
      for (const [name, path] of this.#paths) {
        if (name === undefined) continue;
        this.#closePath(path);
        this.#paths.delete(name);
      }
    }
    const known = this.#paths.get(upstream);
    if (known !== undefined) return known;
    const path = this.#options.openPath(upstream);
    path.onMessage = (host, port, bytes) => this.#handleAnswer(host, port, bytes);
    this.#paths.set(upstream, path);
    return path;
  }

  #handleAnswer(host: string, port: number, bytes: Uint8Array): void {
    const { socket, client, tallies } = this.#options;
    if (this.#closed) return;
    if (!this.#asked.has(canonicalIp(host) ?? host)) {
      tallies.drop('not-asked');
      return;
    }
    if (this.#clientPort === undefined) return;
    const answer = emitDatagram(host, port, bytes);
    if (socket.getSendQueueSize() + answer.length > MAX_QUEUED_BYTES) {
      tallies.drop('queue-full');
      return;
    }
    tallies.down++;
    tallies.bytesDown += bytes.length;
    this.#options.onActivity();
    socket.send(answer, this.#clientPort, client.address, (error) => {
      if (error !== null) tallies.drop('not-sent');
    });
  }
}

function addressOf({ address }: RemoteInfo): string {
  const plain = unmapV4(address);
  return canonicalIp(plain) ?? plain;
}
