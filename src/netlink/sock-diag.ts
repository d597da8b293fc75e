/**
 * Socket diagnostics: every MPTCP connection and every TCP socket that is a subflow of one, of one network
 * namespace. Reading needs no privilege. The codec is sock-diag-codec.ts.
 *
 * References: sock_diag(7).
 */
import { AF_INET, AF_INET6 } from '../base/ip.ts';
import { ENOENT, IPPROTO_MPTCP, IPPROTO_TCP } from '../native/index.ts';
import { NETLINK_SOCK_DIAG, NetlinkConnection, type NetlinkSocketOptions } from './connection.ts';
import { align4 } from './attributes.ts';
import { DiagView } from './diag-view.ts';
import { NetlinkError } from './errors.ts';
import { HEADER_BYTES } from './message.ts';
import {
  emitDiagDump,
  emitDiagOfPair,
  emitDiagOfToken,
  parseDiagSocket,
  parseDiagSubflow,
  SOCK_DIAG_BY_FAMILY,
  STATES_CONNECTED,
  STATES_LIVE,
  type DiagSocket,
  type DiagSubflow,
  type SocketPair,
} from './sock-diag-codec.ts';

export class SocketDiag {
  readonly #connection: NetlinkConnection;
  readonly #seen = new DiagView();

  private constructor(connection: NetlinkConnection) {
    this.#connection = connection;
  }

  static open(options: NetlinkSocketOptions = {}): SocketDiag {
    return new SocketDiag(new NetlinkConnection(NETLINK_SOCK_DIAG, options));
  }

  close(): void {
    this.#connection.close();
  }

  #dump<T>(protocol: number, states: number, parse: (payload: Uint8Array) => T | undefined): T[] {
    const found: T[] = [];
    const operation = `list ${protocol === IPPROTO_MPTCP ? 'MPTCP' : 'TCP'} sockets`;
    for (const family of [AF_INET, AF_INET6] as const) {
      let messages;
      try {
        messages = this.#connection.dump(
          SOCK_DIAG_BY_FAMILY,
          emitDiagDump(family, protocol, states),
          operation,
        );
      } catch (error) {
        // No such sockets can exist where the kernel has no module to list them with.
        if (error instanceof NetlinkError && error.errno === ENOENT) continue;
        throw error;
      }
      for (const { payload } of messages) {
        const item = parse(payload);
        if (item !== undefined) found.push(item);
      }
    }
    return found;
  }

  /** MPTCP connections in these states (STATES_CONNECTED or STATES_ALL); `info` is their mptcp_info. */
  mptcpSockets(states = STATES_CONNECTED): DiagSocket[] {
    return this.#dump(IPPROTO_MPTCP, states, parseDiagSocket);
  }

  /** The MPTCP connection with this local token, without reading all of them; `undefined` when there is none. */
  mptcpSocket(token: number): DiagSocket | undefined {
    return this.#get(emitDiagOfToken(token), `show MPTCP connection ${token}`);
  }

  /** The TCP socket of this host with exactly these ends, when a process holds it. */
  tcpSocket(pair: SocketPair): DiagSocket | undefined {
    const found = this.#get(emitDiagOfPair(pair), 'show a TCP socket');
    // One that no process holds any more has no inode, and the kernel says that it is root's.
    const isOpen = found?.remotePort === pair.remotePort && found.inode !== 0;
    return isOpen ? found : undefined;
  }

  #get(request: Uint8Array, operation: string): DiagSocket | undefined {
    try {
      return parseDiagSocket(this.#connection.get(SOCK_DIAG_BY_FAMILY, 0, request, operation).payload);
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  /** TCP sockets that are subflows of MPTCP connections; `info` is their tcp_info. */
  tcpSubflows(): DiagSubflow[] {
    return this.#dump(IPPROTO_TCP, STATES_CONNECTED, parseDiagSubflow);
  }

  /**
   * Shows each MPTCP connection that is not a listener, or each TCP socket, to `visit`, for who looks again and again:
   * nothing is kept, and there is a step between one datagram of the kernel's and the next, so that the reader may do
   * something else meanwhile (but nothing with this object; who gives up closes it). Sockets that come or go meanwhile
   * may be missing.
   * @param visit must keep neither the view nor what it leads to
   */
  *scanSockets(kind: 'mptcp' | 'tcp', visit: (socket: DiagView) => void): Generator<void, void> {
    const protocol = kind === 'mptcp' ? IPPROTO_MPTCP : IPPROTO_TCP;
    const operation = `look at ${kind === 'mptcp' ? 'MPTCP' : 'TCP'} sockets`;
    const seen = this.#seen;
    for (const family of [AF_INET, AF_INET6] as const) {
      const request = emitDiagDump(family, protocol, STATES_LIVE);
      try {
        for (const { bytes, to } of this.#connection.dumpPieces(SOCK_DIAG_BY_FAMILY, request, operation)) {
          const view = new DataView(bytes.buffer, bytes.byteOffset, to);
          for (let at = 0; at + HEADER_BYTES <= to;) {
            const end = at + view.getUint32(at, true);
            if (seen.look(view, at + HEADER_BYTES, end)) visit(seen);
            at = align4(end);
          }
          yield;
        }
      } catch (error) {
        // No such sockets can exist where the kernel has no module to list them with.
        if (!(error instanceof NetlinkError && error.errno === ENOENT)) throw error;
      }
    }
  }
}
