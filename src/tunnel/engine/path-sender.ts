/**
 * What leaves a path beside data: keepalives, probes and answers, when its state and its session want them. Not here:
 * data (data plane), what is said over the command port (path-teller.ts), when the socket is another one
 * (connection-sockets.ts).
 *
 * Invariant: everything that is sent to the peer beside data is sent here, and only while the socket is open.
 */
import { formatIp, unmapV4 } from '../../base/index.ts';
import { EMSGSIZE, emitSockaddr, monotonicUs } from '../../native/index.ts';
import { unspecified } from '../config/section-reader.ts';
import type { PathState, PathWord } from '../paths/path-state.ts';
import { KEEPALIVE_ROOM_BYTES, type PeerSession } from '../peer/peer-session.ts';
import type { PeerAddress } from '../peer/types.ts';
import type { IpVersion } from '../wire/data-header.ts';
import type { PathSocket } from './path-socket.ts';
import type { PathTraffic } from './path-traffic.ts';

/** Where the peer is. */
export interface PathRemote {
  readonly address: string;
  readonly port: number;
  /** Both, as the kernel takes them. */
  readonly sockaddr: Uint8Array;
}

export const remoteAt = (address: string, port: number): PathRemote => ({
  address,
  port,
  sockaddr: emitSockaddr({ address, port }),
});

export interface PathSenderOptions {
  readonly ipVersion: IpVersion;
  readonly state: PathState;
  readonly session: PeerSession;
  readonly traffic: PathTraffic;
  /** The peer is to be told over the command port, too. */
  readonly onWord: (word: PathWord) => void;
  /** The path takes less than was thought. */
  readonly onShrunk: () => void;
}

/** Shared by all paths: what is sent is written here and sent at once. */
const SCRATCH = new Uint8Array(65_536);
/** BOUNDED: a session that never ends wishing must not stop everything else. */
const WISHES_MAX = 8;

export class PathSender {
  readonly #options: PathSenderOptions;
  /** Set, taken away and closed by others; absent: nothing is sent. */
  socket: PathSocket | undefined;
  remote: PathRemote;
  #keepalivesSent = 0;

  constructor(remote: PathRemote, options: PathSenderOptions) {
    this.remote = remote;
    this.#options = options;
  }

  get keepalivesSent(): number {
    return this.#keepalivesSent;
  }

  /** Sends what is due. Without a socket that waits, and the peer is told nothing either. */
  sendDue(nowMs: number): void {
    if (this.socket === undefined) return;
    const { onShrunk, onWord, session, state, traffic } = this.#options;
    if (state.pollKeepalive(nowMs)) this.#sendKeepalive();
    const word = state.pollWord(nowMs);
    if (word !== undefined) {
      session.say(word);
      onWord(word);
    }
    for (let wishes = 0; wishes < WISHES_MAX; wishes++) {
      const wish = session.poll(nowMs);
      if (wish === undefined) break;
      if (wish === 'keepalive') this.#sendKeepalive();
      else {
        const length = session.emitProbe(SCRATCH, traffic.sent, monotonicUs());
        if (this.#sendBytes(length, this.remote.sockaddr) === EMSGSIZE) {
          if (session.handleTooLong(length, nowMs)) onShrunk();
        }
      }
    }
  }

  /** A keepalive to a place where the peer may be (`PeerNews.answerTo`). */
  answer(to: PeerAddress): void {
    const { ipVersion, session, traffic } = this.#options;
    const sockaddr = emitSockaddr({ address: unmapV4(formatIp(to.address)), port: to.port });
    // A socket is of one family.
    if ((sockaddr.length === 16) !== (ipVersion === 4)) return;
    this.#sendBytes(session.emitKeepalive(SCRATCH, traffic.sent, monotonicUs(), to), sockaddr);
  }

  #sendKeepalive(): void {
    const { ipVersion, session, traffic } = this.#options;
    if (this.remote.address === unspecified(ipVersion)) return;
    const room = SCRATCH.subarray(0, KEEPALIVE_ROOM_BYTES);
    this.#sendBytes(session.emitKeepalive(room, traffic.sent, monotonicUs()), this.remote.sockaddr);
    this.#keepalivesSent++;
  }

  /** @returns errno, 0 when it went out or there is no socket */
  #sendBytes(length: number, to: Uint8Array): number {
    return this.socket?.send(SCRATCH.subarray(0, length), to) ?? 0;
  }
}
