/**
 * Reaches a host and port from this host: name → addresses → the first that connects (RFC 8305), MPTCP where it can
 * be had. Knows no policy; who asks has decided.
 *
 * Invariant: it ends with one connected descriptor, which is then the caller's, or with an error; every other attempt
 * is aborted and its descriptor closed. It never connects to the proxy itself.
 */
import { canonicalIp, familyOf, isLoopback, unmapV4 } from '../../base/index.ts';
import { connectFd, interleaveFamilies, RaceLost, raceStaggered, readTcpInfo } from '../../mptcp/index.ts';
import { closeFd, localAddressOf, openSocket, SOCK_DGRAM, startConnect } from '../../native/index.ts';
import { connectFailed, dialLoop, resolveFailed } from './dial-error.ts';
import { PlainServers } from './plain-servers.ts';
import { Resolver } from './resolve.ts';
import type { SocketUpstream } from './upstream.ts';

export interface ReacherOptions {
  readonly attemptDelayMs: number;
  /** Where the proxy itself listens; what would lead there is refused. */
  readonly isOwnPort: (port: number) => readonly string[];
  /** SO_MARK of every connection made; absent: none. */
  readonly mark?: number;
}

/** Where a connection to that address would come from. A datagram socket sends nothing when it connects. */
function sourceTowards(address: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSocket(familyOf(address), SOCK_DGRAM, 0);
    startConnect(fd, { address, port: 9 });
    return localAddressOf(fd)?.address;
  } catch {
    // No route, or no descriptor left: the dial itself will tell.
    return undefined;
  } finally {
    if (fd !== undefined) closeFd(fd);
  }
}

/**
 * An address of this host, as a connection to it would find. The kernel is asked, because a list of interfaces lacks
 * those without carrier and whole prefixes that are local: what goes to such an address also comes from it.
 */
export function isOfThisHost(address: string): boolean {
  return isLoopback(address) || sourceTowards(address) === address;
}

const REMEMBERED_FALLBACK =
  'the other end, or something on the path to it, did not speak MPTCP in the last minutes, and is asked again later';

export class Reacher {
  readonly #options: ReacherOptions;
  readonly #resolver = new Resolver();
  readonly #plainServers = new PlainServers();

  constructor(options: ReacherOptions) {
    this.#options = options;
  }

  /** Canonical addresses, best first. Rejects with DialError, or any error once the signal has aborted. */
  async resolve(host: string, port: number, signal: AbortSignal): Promise<readonly string[]> {
    const literal = canonicalIp(host);
    if (literal !== undefined) return [literal];
    try {
      return await orAborted(this.#resolver.resolve(host), signal);
    } catch (error) {
      throw resolveFailed(host, port, error);
    }
  }

  /**
   * Connects to the first of the addresses that answers.
   * @param host for messages
   * Rejects with DialError, or any error once the signal has aborted.
   */
  async connect(
    host: string,
    port: number,
    addresses: readonly string[],
    multipath: boolean,
    signal: AbortSignal,
  ): Promise<SocketUpstream> {
    this.#checkNotOwn(host, port, addresses);
    try {
      return await raceStaggered({
        candidates: interleaveFamilies(addresses),
        delayMs: this.#options.attemptDelayMs,
        start: (address) => this.#connect(address, port, multipath, signal),
        discard: ({ fd }) => closeFd(fd),
        signal,
      });
    } catch (error) {
      throw error instanceof RaceLost ? connectFailed(host, port, error.errors) : error;
    }
  }

  #checkNotOwn(host: string, port: number, addresses: readonly string[]): void {
    const own = this.#options.isOwnPort(port);
    if (own.length === 0) return;
    const everywhere = own.some((address) => address === '0.0.0.0' || address === '::');
    for (const address of addresses) {
      // A connection to 0.0.0.0 or :: reaches the loopback address.
      const plain = unmapV4(address);
      const target = plain === '0.0.0.0' ? '127.0.0.1' : plain === '::' ? '::1' : plain;
      if (own.includes(target) || (everywhere && isOfThisHost(target))) throw dialLoop(host, port);
    }
  }

  async #connect(
    address: string,
    port: number,
    multipath: boolean,
    signal: AbortSignal,
  ): Promise<SocketUpstream> {
    const { mark } = this.#options;
    const plain = multipath && this.#isPlain(address, port);
    const socket = await connectFd({
      address,
      port,
      multipath: multipath && !plain,
      signal,
      ...(mark === undefined ? {} : { mark }),
    });
    const led = { kind: 'socket', ...socket, address, port } as const;
    if (plain) return { ...led, fallbackReason: REMEMBERED_FALLBACK };
    if (socket.protocol !== socket.descriptorProtocol) this.#notePlain(socket.fd, address, port);
    return led;
  }

  #isPlain(address: string, port: number): boolean {
    if (this.#plainServers.size === 0) return false;
    const localAddress = sourceTowards(address);
    if (localAddress === undefined) return false;
    return this.#plainServers.has({ localAddress, address, port }, performance.now());
  }

  #notePlain(fd: number, address: string, port: number): void {
    // After lost packets the kernel asks again without MPTCP (net.mptcp.syn_retrans_before_tcp_fallback).
    if (readTcpInfo(fd).totalRetransSegments !== 0) return;
    const localAddress = localAddressOf(fd)?.address;
    if (localAddress !== undefined) {
      this.#plainServers.add({ localAddress, address, port }, performance.now());
    }
  }
}

/** Rejects as soon as the signal aborts, for work that cannot be stopped itself. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new Error('aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
