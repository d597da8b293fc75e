/**
 * TCP keepalive, the same on both sides of the proxy. Accepted sockets have it from their listener (tcp(7)).
 */
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  trySetIntOption,
} from '../native/index.ts';

/** A dead peer is noticed after about 2 minutes, also when nobody sends. */
const IDLE_S = 60;
const INTERVAL_S = 15;
const COUNT = 4;

/** Best effort: a socket that refuses one works without it. */
export function setKeepalive(fd: number): void {
  trySetIntOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  trySetIntOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S);
  trySetIntOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S);
  trySetIntOption(fd, IPPROTO_TCP, TCP_KEEPCNT, COUNT);
}
