/**
 * Listens where several paths share one address and port. Their sockets are connected, each to its peer, so what comes
 * from anywhere else would reach none of them: a peer that has moved, or that a NAT has given another port. One more
 * socket, not connected, gets that; a keepalive with extension is given to the path that it is for. Everything else is
 * dropped: nothing else could be authentic.
 *
 * Invariant: costs strangers can cause are bounded, by a budget of datagrams a second.
 */
import type { Logger } from '../../base/index.ts';
import {
  EPOLLIN,
  libc,
  monotonicMs,
  monotonicUs,
  parseSockaddr,
  reactor,
  SOCKADDR_STORAGE_BYTES,
  type Watch,
} from '../../native/index.ts';
import { markedVersion } from '../peer/mark.ts';
import { parseExtension } from '../peer/peer-extension.ts';
import type { KeepaliveFacts } from '../peer/types.ts';
import type { PathLink } from './path-link.ts';
import { PathSocket, type PathSocketOptions } from './path-socket.ts';
import { mappedAddress } from './surroundings.ts';

/** Room for a keepalive with extension; probes of sizes beyond it come from known places only. */
const DATAGRAM_BYTES_MAX = 2048;
/** BOUNDED: datagrams read in one period, of all that come. */
const BUDGET = 64;
const PERIOD_MS = 100;
/** A path that was heard so lately is not the one that has moved. */
const SILENT_MS = 1000;

interface Listener {
  readonly socket: PathSocket;
  watch: Watch | undefined;
  left: number;
  timer: NodeJS.Timeout | undefined;
}

export interface StraySocketsOptions {
  readonly links: readonly PathLink[];
  readonly logger: Logger;
  /** Whether the connection has a secret: nothing could be learned otherwise. */
  readonly learns: boolean;
  readonly onKeepalive: (
    link: PathLink,
    facts: Omit<KeepaliveFacts, 'receivedPackets' | 'receivedBytes'>,
  ) => void;
}

const keyOf = ({ ipVersion, localAddress, port }: PathSocketOptions) =>
  `${ipVersion} ${localAddress} ${port}`;

export class StraySockets {
  readonly #options: StraySocketsOptions;
  /** By address and port. BOUNDED by the paths. */
  readonly #listeners = new Map<string, Listener>();
  readonly #datagram = new Uint8Array(DATAGRAM_BYTES_MAX);
  readonly #sender = new Uint8Array(SOCKADDR_STORAGE_BYTES);
  readonly #senderLength = new Uint8Array(4);

  constructor(options: StraySocketsOptions) {
    this.#options = options;
  }

  /** Listens where paths share a socket's address now, and nowhere else. @param shared what those were opened with */
  follow(shared: readonly PathSocketOptions[]): void {
    if (!this.#options.learns) return;
    const wanted = new Map(shared.map((options) => [keyOf(options), options]));
    for (const [key, listener] of this.#listeners) {
      if (wanted.has(key)) continue;
      this.#listeners.delete(key);
      this.#end(listener);
    }
    for (const [key, { ipVersion, localAddress, port }] of wanted) {
      if (this.#listeners.has(key)) continue;
      try {
        const socket = PathSocket.open(
          { ipVersion, localAddress, port, isSharing: true },
          this.#options.logger,
        );
        const listener: Listener = { socket, watch: undefined, left: BUDGET, timer: undefined };
        listener.watch = reactor.watch(socket.fd, EPOLLIN, () => this.#runReads(listener));
        this.#listeners.set(key, listener);
      } catch (error) {
        // Paths work without it; peers that move are not found.
        this.#options.logger.debug({ error: String(error) }, 'no socket for peers that move');
      }
    }
  }

  close(): void {
    for (const listener of this.#listeners.values()) this.#end(listener);
    this.#listeners.clear();
  }

  #end(listener: Listener): void {
    clearTimeout(listener.timer);
    listener.watch?.close();
    listener.watch = undefined;
    listener.socket.close();
  }

  #runReads(listener: Listener): void {
    const length = new DataView(this.#senderLength.buffer);
    while (listener.left > 0 && listener.watch !== undefined) {
      length.setUint32(0, this.#sender.length, true);
      const { fd } = listener.socket;
      const bytes = libc.recvfrom(
        fd,
        this.#datagram,
        this.#datagram.length,
        0,
        this.#sender,
        this.#senderLength,
      );
      // Nothing more, or an error that ICMP brought.
      if (bytes < 0) break;
      listener.left--;
      this.#give(this.#datagram.slice(0, bytes), this.#sender.subarray(0, length.getUint32(0, true)));
    }
    if (listener.timer !== undefined || listener.watch === undefined) return;
    if (listener.left === 0) listener.watch.setEvents(0);
    listener.timer = setTimeout(() => {
      listener.timer = undefined;
      const wasEmpty = listener.left === 0;
      listener.left = BUDGET;
      if (wasEmpty) listener.watch?.setEvents(EPOLLIN);
    }, PERIOD_MS);
    listener.timer.unref();
  }

  #give(datagram: Uint8Array, sockaddr: Uint8Array): void {
    const from = parseSockaddr(sockaddr);
    if (from === undefined) return;
    const extension = parseExtension(datagram);
    const link =
      typeof extension === 'string'
        ? this.#linkOfMarked(datagram, from.address)
        : this.#linkOf(extension.receiverSession, from.address);
    if (link === undefined) return;
    this.#options.onKeepalive(link, {
      datagram,
      fromAddress: mappedAddress(from.address),
      fromPort: from.port,
      isFromPeer: from.address === link.remoteAddress,
      arrivedUs: monotonicUs(),
    });
  }

  /** A Weft that knows nobody yet, behind a NAT that gave it another port. */
  #linkOfMarked(datagram: Uint8Array, address: string): PathLink | undefined {
    if (markedVersion(datagram) === 0) return undefined;
    const there = this.#options.links.filter((link) => link.remoteAddress === address);
    return there.length === 1 ? there[0] : undefined;
  }

  /** By our session that it is for; else by the address alone; else the one path that nothing is heard of. */
  #linkOf(session: number, address: string): PathLink | undefined {
    const { links } = this.#options;
    const known = links.find((link) => link.sessionNumber === session);
    if (known !== undefined) return known;
    const there = links.filter((link) => link.remoteAddress === address);
    if (there.length > 0) return there.length === 1 ? there[0] : undefined;
    const sinceMs = monotonicMs() - SILENT_MS;
    const silent = links.filter((link) => link.heardMs < sinceMs);
    return silent.length === 1 ? silent[0] : undefined;
  }
}
