/**
 * Reaches a host and port: name → addresses → the first that connects (RFC 8305), MPTCP where it can be had.
 *
 * Invariant: a dial ends with one connected descriptor, which is then the caller's, or with a DialError; every
 * other attempt is aborted and its descriptor closed, whichever of success, failure, timeout and abort is first.
 */
import { canonicalIp, familyOf, isLinkLocal, isLoopback, unmapV4 } from '../../base/index.ts';
import { connectFd, interleaveFamilies, RaceLost, raceStaggered, readTcpInfo } from '../../mptcp/index.ts';
import { closeFd, localAddressOf, openSocket, SOCK_DGRAM, startConnect } from '../../native/index.ts';
import {
  connectFailed,
  dialAborted,
  dialForbidden,
  dialLoop,
  dialTimedOut,
  resolveFailed,
} from './dial-error.ts';
import { PlainServers } from './plain-servers.ts';
import type { ClientIdentity, Destination } from '../policy/types.ts';
import { Resolver } from './resolve.ts';
import { closeUpstream, type SocketUpstream, type Upstream } from './upstream.ts';

export interface DialRequest extends Destination {
  readonly client: ClientIdentity;
}

/** A dial under way. */
export interface Dialing {
  /** Rejects with DialError, and with nothing else. */
  readonly result: Promise<Upstream>;
  /** Gives it up, when it has not ended yet. */
  readonly abort: () => void;
}

export interface DialerOptions {
  readonly multipath: boolean;
  /** For the whole of it, name resolution included. */
  readonly timeoutMs: number;
  readonly attemptDelayMs: number;
  /** Where the proxy itself listens; a dial that leads there is refused. */
  readonly isOwnPort: (port: number) => readonly string[];
}

/** Addresses that nobody but this host itself should reach through it. */
function isPrivateToHost(address: string): boolean {
  const plain = unmapV4(address);
  return isLoopback(plain) || isLinkLocal(plain) || plain === '::' || plain.startsWith('0.');
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
function isOfThisHost(address: string): boolean {
  return isLoopback(address) || sourceTowards(address) === address;
}

const REMEMBERED_FALLBACK =
  'the other end, or something on the path to it, did not speak MPTCP in the last minutes, and is asked again later';

export class Dialer {
  readonly #options: DialerOptions;
  readonly #resolver = new Resolver();
  readonly #plainServers = new PlainServers();

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  dial(request: DialRequest): Dialing {
    // One signal for everything under way: the caller's abort, the timeout, and success, which stops the others.
    const stop = new AbortController();
    return { result: this.#run(request, stop), abort: () => stop.abort() };
  }

  async #run(request: DialRequest, stop: AbortController): Promise<Upstream> {
    const { host, port } = request;
    const { timeoutMs } = this.#options;
    let resolving = true;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      stop.abort();
    }, timeoutMs);
    try {
      const addresses = await this.#resolve(host, port, stop.signal);
      resolving = false;
      this.#checkAllowed(request, addresses);
      const upstream = await this.#race(host, port, addresses, stop.signal);
      if (!stop.signal.aborted) return upstream;
      closeUpstream(upstream);
      throw dialAborted(host, port);
    } catch (error) {
      if (timedOut) throw dialTimedOut(host, port, timeoutMs, resolving);
      if (stop.signal.aborted) throw dialAborted(host, port);
      throw error;
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  async #resolve(host: string, port: number, signal: AbortSignal): Promise<readonly string[]> {
    const literal = canonicalIp(host);
    if (literal !== undefined) return [literal];
    try {
      return await orAborted(this.#resolver.resolve(host), signal);
    } catch (error) {
      throw resolveFailed(host, port, error);
    }
  }

  #checkAllowed(request: DialRequest, addresses: readonly string[]): void {
    const { host, port, client } = request;
    if (client.remote && addresses.some((address) => isPrivateToHost(address))) {
      throw dialForbidden(host, port, 'clients of other hosts may not reach addresses private to this one');
    }
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

  async #race(
    host: string,
    port: number,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<SocketUpstream> {
    try {
      return await raceStaggered({
        candidates: interleaveFamilies(addresses),
        delayMs: this.#options.attemptDelayMs,
        start: (address) => this.#connect(address, port, signal),
        discard: ({ fd }) => closeFd(fd),
        signal,
      });
    } catch (error) {
      throw error instanceof RaceLost ? connectFailed(host, port, error.errors) : error;
    }
  }

  async #connect(address: string, port: number, signal: AbortSignal): Promise<SocketUpstream> {
    const { multipath } = this.#options;
    const plain = multipath && this.#isPlain(address, port);
    const socket = await connectFd({ address, port, multipath: multipath && !plain, signal });
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
