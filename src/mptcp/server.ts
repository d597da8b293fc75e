/**
 * Listeners that take MPTCP connections, and TCP ones as well: a client without MPTCP is simply served over TCP.
 * `createServer` gives a net.Server; `listenMultipath` makes any other server of Node (http, https, tls) listen
 * the same way.
 *
 * Invariant: the listening descriptor belongs to the server from the moment `listenMultipath` has returned, and
 * server.close() closes it; before that, a failure closes it here.
 *
 * Not for cluster workers, to which `listen({ fd })` means a descriptor of their primary.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP, Server, type ServerOpts, type Socket } from 'node:net';
import { WeftError } from '../base/errors.ts';
import { familyOf, isIpv6 } from '../base/ip.ts';
import {
  bindSocket,
  closeFd,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  listenOn,
  setIntOption,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOL_SOCKET,
  SystemError,
} from '../native/index.ts';
import { socketAddress } from './connect.ts';
import { openStreamSocket, type StreamSocket } from './open-socket.ts';

/** As Node's own servers; the kernel's net.core.somaxconn is the upper limit. */
const DEFAULT_BACKLOG = 511;

export interface ListenOptions {
  /** Name or address to listen on. Default: every address, IPv6 and IPv4, or only IPv4 where there is no IPv6. */
  readonly host?: string;
  /** 0, the default, lets the kernel choose; server.address() tells. */
  readonly port?: number;
  /** How many connections may wait for accept. Default 511. */
  readonly backlog?: number;
  /** An IPv6 listener takes no IPv4 connections. */
  readonly ipv6Only?: boolean;
  /** Several listeners share the port and the kernel spreads connections over them (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** `false` makes a plain TCP listener. Default `true`. */
  readonly multipath?: boolean;
}

/** What a listener takes. */
export interface ListenerDescription {
  readonly protocol: 'mptcp' | 'tcp';
  /** Why it takes only TCP although MPTCP was asked for. */
  readonly fallbackReason?: string;
}

function openListener(address: string, options: ListenOptions): StreamSocket {
  const { port = 0, backlog = DEFAULT_BACKLOG, ipv6Only = false, reusePort = false, multipath } = options;
  const local = socketAddress(address, port);
  const socket = openStreamSocket(familyOf(local.address), multipath);
  const { fd } = socket;
  try {
    setIntOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reusePort) setIntOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (isIpv6(local.address)) {
      setIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6Only ? 1 : 0);
    }
    bindSocket(fd, local);
    listenOn(fd, backlog);
    return socket;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Every address of the host; IPv4 ones where IPv6 is switched off. */
function openListenerOnAny(options: ListenOptions): StreamSocket {
  try {
    return openListener('::', options);
  } catch (error) {
    const noIpv6 =
      error instanceof SystemError && (error.errno === EAFNOSUPPORT || error.errno === EADDRNOTAVAIL);
    if (!noIpv6 || options.ipv6Only === true) throw error;
    return openListener('0.0.0.0', options);
  }
}

async function openListenerFor(options: ListenOptions): Promise<StreamSocket> {
  const { host } = options;
  if (host === undefined || host === '') return openListenerOnAny(options);
  if (isIP(host) !== 0) return openListener(host, options);
  const { address } = await lookup(host).catch((cause: NodeJS.ErrnoException) => {
    throw new WeftError(`look up "${host}": ${cause.message}`, { code: cause.code ?? 'ENOTFOUND', cause });
  });
  return openListener(address, options);
}

/**
 * Makes a server of Node listen for MPTCP connections; resolves when it listens. The server may be a net, tls,
 * http or https one that does not listen yet.
 *
 * Rejects with SystemError (EADDRINUSE, EADDRNOTAVAIL, EACCES …) or WeftError (BAD_ADDRESS, BAD_PORT, ENOTFOUND).
 */
export async function listenMultipath(
  server: Server,
  options: ListenOptions = {},
): Promise<ListenerDescription> {
  const { fd, protocol, fallbackReason } = await openListenerFor(options);
  try {
    // Throws before it takes the descriptor when the server listens already; it closes it after.
    server.listen({ fd }, options.backlog ?? DEFAULT_BACKLOG);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  await once(server, 'listening');
  return fallbackReason === undefined ? { protocol } : { protocol, fallbackReason };
}

/** A net.Server that knows what it takes. What one accepted socket speaks is told by `describeSocket(socket)`. */
export class MptcpServer extends Server {
  #multipath: ListenerDescription = { protocol: 'tcp' };

  get multipath(): ListenerDescription {
    return this.#multipath;
  }

  /** Begins to listen; see listenMultipath. */
  async listenMultipath(options: ListenOptions = {}): Promise<ListenerDescription> {
    this.#multipath = await listenMultipath(this, options);
    return this.#multipath;
  }
}

/**
 * A server that listens already, MPTCP where the kernel has it: `server.multipath` says so, and why if not.
 * Fails as listenMultipath does.
 */
export async function createServer(
  options: ListenOptions & ServerOpts,
  onConnection: (socket: Socket) => void,
): Promise<MptcpServer> {
  const server = new MptcpServer(options, onConnection);
  await server.listenMultipath(options);
  return server;
}
