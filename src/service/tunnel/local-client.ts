/**
 * One command of the `mpt` client to the server on this host and its answer: the socket around the pure LocalCall.
 *
 * The socket is connected, so that only the server's datagrams come in, and that a port where nobody listens is told
 * at once (ICMP port unreachable) instead of after cmd_timeout.
 */
import { createSocket } from 'node:dgram';
import { monotonicMs } from '../../native/index.ts';
import { LocalCall, type LocalOutcome } from '../../tunnel/index.ts';

export interface LocalQuestion {
  readonly command: string;
  readonly port: number;
  readonly isIpv6: boolean;
  /** How long to wait for the reply, and for its end again. */
  readonly timeoutMs: number;
}

/** Resolves with what came of it; a server that is not there is an outcome too. */
export function askTunnelServer(question: LocalQuestion): Promise<LocalOutcome> {
  const { command, isIpv6, port, timeoutMs } = question;
  return new Promise((resolve) => {
    const socket = createSocket(isIpv6 ? 'udp6' : 'udp4');
    const call = new LocalCall(command, timeoutMs, monotonicMs());
    let timer: NodeJS.Timeout | undefined;
    const finish = (outcome: LocalOutcome) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      resolve(outcome);
    };
    const wait = () => {
      clearTimeout(timer);
      const deadlineMs = call.pollDeadline();
      if (call.outcome !== undefined || deadlineMs === undefined) {
        finish(call.outcome ?? { kind: 'no-answer' });
        return;
      }
      const waitMs = Math.max(0, Math.ceil(deadlineMs - monotonicMs()));
      timer = setTimeout(() => {
        call.handleTimeout(monotonicMs());
        wait();
      }, waitMs);
    };
    socket.on('message', (datagram) => {
      call.handleDatagram(datagram, monotonicMs());
      wait();
    });
    // Nobody listens (ECONNREFUSED), or this host has no such loopback address.
    socket.on('error', () => finish(call.outcome ?? { kind: 'no-answer' }));
    socket.connect(port, isIpv6 ? '::1' : '127.0.0.1', () => {
      socket.send(call.request);
      wait();
    });
  });
}
