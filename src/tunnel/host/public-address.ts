/**
 * Asks the network which public address a path has: a DNS question for a name whose answer is the asker's address, sent
 * from the path's own address through the path's own interface. Only where the configuration says 0.0.0.0 and the peer
 * does not tell what it sees (a Weft peer does).
 *
 * The answer is plain DNS and can be forged by whoever stands on the way; it only becomes the name under which the peer
 * knows the path, as in MPT.
 */
import { randomInt } from 'node:crypto';
import { AF_INET } from '../../base/index.ts';
import {
  bindSocket,
  closeFd,
  EPOLLIN,
  inNamespace,
  IPPROTO_IP,
  IP_UNICAST_IF,
  libc,
  openSocket,
  reactor,
  setSocketOption,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  startConnect,
  type SocketAddress,
} from '../../native/index.ts';
import { emitAddressQuestion, parseAddressAnswer } from './dns-message.ts';

/** OpenDNS, as MPT asks it. */
export const RESOLVER: SocketAddress = { address: '208.67.222.222', port: 53 };
const NAME = 'myip.opendns.com';
const TRIES = 3;
const TRY_MS = 5000;
const ANSWER_BYTES_MAX = 1500;
/** BOUNDED: datagrams looked at in one turn. */
const READS_PER_TURN = 16;

export interface PublicAddressQuestion {
  /** What the path's socket is bound to; IPv4. */
  readonly localAddress: string;
  readonly linkIndex: number;
  readonly signal?: AbortSignal;
  /** File of the network namespace; default is this thread's own. */
  readonly netns?: string;
  /** Default `RESOLVER`. */
  readonly server?: SocketAddress;
  /** Milliseconds that each of three tries waits. Default 5000. */
  readonly tryMs?: number;
}

function openAsker({ linkIndex, localAddress, server = RESOLVER }: PublicAddressQuestion): number {
  const fd = openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  try {
    const index = new Uint8Array(4);
    new DataView(index.buffer).setUint32(0, linkIndex, false);
    setSocketOption(fd, IPPROTO_IP, IP_UNICAST_IF, index);
    bindSocket(fd, { address: localAddress, port: 0 });
    // Answers of others do not come in then.
    startConnect(fd, server);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/**
 * Three tries of five seconds.
 * @returns `undefined` when nobody answered, the question could not be sent, or `signal` was given
 */
export function askPublicAddress(question: PublicAddressQuestion): Promise<string | undefined> {
  const { netns, signal, tryMs = TRY_MS } = question;
  if (signal?.aborted === true) return Promise.resolve(undefined);
  let fd: number;
  try {
    const open = () => openAsker(question);
    fd = netns === undefined ? open() : inNamespace(netns, open);
  } catch {
    // No such address, no way there: as if nobody had answered.
    return Promise.resolve(undefined);
  }
  return new Promise((resolve) => {
    const packet = emitAddressQuestion(randomInt(65_536), NAME);
    const answer = new Uint8Array(ANSWER_BYTES_MAX);
    let timer: NodeJS.Timeout | undefined;
    let tries = 0;
    const finish = (address?: string) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      watch.close();
      closeFd(fd);
      resolve(address);
    };
    const onAbort = () => finish();
    const tryOnce = () => {
      if (tries++ === TRIES) {
        finish();
        return;
      }
      // What cannot be sent now may be a moment later.
      libc.send(fd, packet, packet.length, 0);
      timer = setTimeout(tryOnce, tryMs);
    };
    const watch = reactor.watch(fd, EPOLLIN, () => {
      for (let i = 0; i < READS_PER_TURN; i++) {
        const length = libc.recv(fd, answer, answer.length, 0);
        // Nothing more, or an error that ICMP brought: the next try comes by itself.
        if (length < 0) return;
        const address = parseAddressAnswer(answer.subarray(0, length), packet);
        if (address !== undefined) {
          finish(address);
          return;
        }
      }
    });
    signal?.addEventListener('abort', onAbort);
    tryOnce();
  });
}
