/**
 * Connects to a host by name or address and gives a Node socket, MPTCP where it can be had. Everything that works
 * with a net.Socket (http, tls, streams) works with it unchanged. The lower face, for those who want a bare
 * descriptor, is connect.ts.
 *
 * Invariant: when `connect` has rejected, nothing of it is left: no descriptor, no timer, no attempt under way.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, Socket, type LookupFunction } from 'node:net';
import { WeftError } from '../base/errors.ts';
import { isIpv6 } from '../base/ip.ts';
import { closeFd, ETIMEDOUT, SystemError } from '../native/index.ts';
import { RaceLost, raceStaggered } from './connect-race.ts';
import { abortError, connectFd, type ConnectedSocket } from './connect.ts';
import { DEFAULT_ATTEMPT_DELAY_MS, interleaveFamilies } from './happy-eyeballs.ts';
import type { SocketDescription } from './socket-info-describe.ts';

export interface ConnectOptions {
  /** Name or address. Default `localhost`. */
  readonly host?: string;
  readonly port: number;
  /** 4 or 6 to use only addresses of that family. Default: that of `localAddress`, or any. */
  readonly family?: number;
  /** Address of this host to connect from. */
  readonly localAddress?: string;
  readonly localPort?: number;
  /** Name of the link that the connection's first subflow is bound to. */
  readonly localLink?: string;
  /** SO_MARK; see ConnectFdOptions. */
  readonly mark?: number;
  /** `false` asks for plain TCP. Default `true`. */
  readonly multipath?: boolean;
  /** For the whole of it, name resolution and every address. Rejects with ETIMEDOUT. */
  readonly timeoutMs?: number;
  /** Rejects with ABORT_ERR when it aborts before the connection is there. */
  readonly signal?: AbortSignal;
  /** How long an address is tried before the next one is tried too. Default 250 ms. */
  readonly attemptDelayMs?: number;
  /** Resolves names; default dns.lookup. Called with `all: true`. */
  readonly lookup?: LookupFunction;
  readonly allowHalfOpen?: boolean;
}

/** A net.Socket that is connected already (no `connect` event comes) and knows what it speaks. */
export class MptcpSocket extends Socket {
  /** What was spoken when the connection was made. `describeSocket(socket)` tells what is spoken now. */
  readonly multipath: SocketDescription;

  /** Takes the descriptor over: closing the socket closes it. When this throws, it is still the caller's. */
  constructor(connected: ConnectedSocket, options: { readonly allowHalfOpen?: boolean } = {}) {
    super({
      fd: connected.fd,
      readable: true,
      writable: true,
      allowHalfOpen: options.allowHalfOpen ?? false,
    });
    const { protocol, descriptorProtocol, fallbackReason } = connected;
    this.multipath = {
      protocol,
      descriptorProtocol,
      ...(fallbackReason === undefined ? {} : { fallbackReason }),
    };
  }
}

/** Every address of a host failed. `code` is that of the first failure; `errors` has them all. */
export class ConnectError extends WeftError {
  readonly errors: readonly Error[];

  constructor(operation: string, errors: readonly Error[]) {
    const reasons = errors.map((error) => error.message).join('; ');
    const code = (errors[0] as { code?: string } | undefined)?.code ?? 'CONNECT';
    super(`${operation}: no address answered: ${reasons}`, { code, cause: errors[0] });
    this.errors = errors;
  }
}

function lookupError(host: string, cause: NodeJS.ErrnoException): WeftError {
  const code = cause.code ?? 'ENOTFOUND';
  return new WeftError(`look up "${host}": ${code === 'ENOTFOUND' ? 'not found' : cause.message} (${code})`, {
    code,
    cause,
  });
}

function resolveHost(host: string, options: ConnectOptions): Promise<string[]> {
  if (isIP(host) !== 0) return Promise.resolve([host]);
  const { localAddress, lookup = dnsLookup } = options;
  const family = options.family ?? (localAddress === undefined ? 0 : isIpv6(localAddress) ? 6 : 4);
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, family }, (error, found: string | LookupAddress[]) => {
      if (error !== null) reject(lookupError(host, error));
      // A lookup function of the old form answers with one address although it was asked for all.
      else resolve(typeof found === 'string' ? [found] : found.map(({ address }) => address));
    });
  });
}

/** Rejects as soon as the signal aborts, for work that cannot be stopped itself. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

async function connectAny(options: ConnectOptions, stop: AbortSignal): Promise<ConnectedSocket> {
  const { host = 'localhost', port, localAddress, localPort, localLink, mark, multipath } = options;
  const addresses = await orAborted(resolveHost(host, options), stop);
  try {
    return await raceStaggered({
      candidates: interleaveFamilies(addresses),
      delayMs: options.attemptDelayMs ?? DEFAULT_ATTEMPT_DELAY_MS,
      start: (address) =>
        connectFd({
          address,
          port,
          signal: stop,
          ...(localAddress === undefined ? {} : { localAddress }),
          ...(localPort === undefined ? {} : { localPort }),
          ...(localLink === undefined ? {} : { localLink }),
          ...(mark === undefined ? {} : { mark }),
          ...(multipath === undefined ? {} : { multipath }),
        }),
      discard: (loser) => closeFd(loser.fd),
      signal: stop,
    });
  } catch (error) {
    if (!(error instanceof RaceLost)) throw error;
    const errors = error.errors as readonly Error[];
    throw errors.length === 1 ? errors[0]! : new ConnectError(`connect to ${host} port ${port}`, errors);
  }
}

/**
 * Connects and resolves with a connected net.Socket, which is then the caller's to end.
 *
 * Rejects as connectFd does, with ConnectError when a name has several addresses and none answers, and with the
 * resolver's code (ENOTFOUND …) when the name does not resolve.
 */
export async function connect(options: ConnectOptions): Promise<MptcpSocket> {
  const { host = 'localhost', port, signal, timeoutMs } = options;
  const operation = `connect to ${host} port ${port}`;
  if (signal?.aborted === true) throw abortError(operation, signal);
  // One signal for everything under way: the caller's abort, the timeout, and the end itself, which stops losers.
  const stop = new AbortController();
  const onAbort = () => stop.abort(abortError(operation, signal!));
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => stop.abort(new SystemError(operation, ETIMEDOUT)), timeoutMs);
  try {
    const connected = await connectAny(options, stop.signal);
    try {
      return new MptcpSocket(connected, options);
    } catch (error) {
      closeFd(connected.fd);
      throw error;
    }
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}
