/**
 * Reaches a host and port: name → addresses → the first that connects (RFC 8305), MPTCP where it can be had. The
 * order of attempts is happy-eyeballs.ts's; this is its driver.
 *
 * Invariant: a dial ends with one connected descriptor, which is then the caller's, or with a DialError; every
 * other attempt is aborted and its descriptor closed, whichever of success, failure, timeout and abort is first.
 */
import { networkInterfaces } from 'node:os';
import { canonicalIp, isLinkLocal, isLoopback, unmapV4 } from '../../base/index.ts';
import { connectFd, type ConnectedSocket } from '../../mptcp/index.ts';
import { closeFd } from '../../native/index.ts';
import {
  connectFailed,
  dialAborted,
  dialForbidden,
  dialLoop,
  dialTimedOut,
  resolveFailed,
} from './dial-error.ts';
import { HappyEyeballs, interleaveFamilies } from './happy-eyeballs.ts';
import { Resolver } from './resolve.ts';

export interface DialRequest {
  readonly host: string;
  readonly port: number;
  /** The client is not of this host: it may not reach what only this host can. */
  readonly forRemoteClient: boolean;
}

/** A dial under way. */
export interface Dialing {
  /** Rejects with DialError, and with nothing else. */
  readonly result: Promise<Upstream>;
  /** Gives it up, when it has not ended yet. */
  readonly abort: () => void;
}

/** A connected socket and where it leads to. */
export interface Upstream extends ConnectedSocket {
  readonly address: string;
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

/** An address of this host, as a connection to it would find. */
function isOfThisHost(address: string): boolean {
  const plain = unmapV4(address);
  if (isLoopback(plain) || plain === '::' || plain === '0.0.0.0') return true;
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((own) => canonicalIp(own.address) === plain),
  );
}

export class Dialer {
  readonly #options: DialerOptions;
  readonly #resolver = new Resolver();

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
      return await this.#race(host, port, interleaveFamilies(addresses), stop);
    } catch (error) {
      if (timedOut) throw dialTimedOut(host, port, timeoutMs, resolving);
      if (stop.signal.aborted) throw dialAborted(host, port);
      throw error;
    } finally {
      clearTimeout(timer);
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
    const { host, port, forRemoteClient } = request;
    if (forRemoteClient && addresses.some((address) => isPrivateToHost(address))) {
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

  /** The driver of HappyEyeballs. Rejects with the failures of all addresses, or soon after `stop` aborts. */
  #race(host: string, port: number, addresses: readonly string[], stop: AbortController): Promise<Upstream> {
    const { multipath, attemptDelayMs } = this.#options;
    const { signal } = stop;
    return new Promise((resolve, reject) => {
      const race = new HappyEyeballs(addresses.length, attemptDelayMs);
      const failures: unknown[] = [];
      let timer: NodeJS.Timeout | undefined;

      const run = (): void => {
        clearTimeout(timer);
        const nowMs = performance.now();
        for (let index = race.poll(nowMs); index !== undefined; index = race.poll(nowMs)) start(index);
        const deadlineMs = race.pollDeadlineMs();
        if (race.exhausted) reject(connectFailed(host, port, failures));
        else if (deadlineMs !== undefined) timer = setTimeout(run, Math.max(0, deadlineMs - nowMs));
      };
      const start = (index: number): void => {
        const address = addresses[index]!;
        connectFd({ address, port, multipath, signal }).then(
          (socket) => {
            clearTimeout(timer);
            if (signal.aborted || race.handleConnected(index) === undefined) {
              closeFd(socket.fd);
              reject(dialAborted(host, port));
              return;
            }
            stop.abort();
            resolve({ ...socket, address });
          },
          (error: unknown) => {
            failures.push(error);
            race.handleFailed(index);
            if (signal.aborted) {
              clearTimeout(timer);
              reject(dialAborted(host, port));
            } else run();
          },
        );
      };
      run();
    });
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
