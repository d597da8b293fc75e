/** The receiving end of a unix datagram socket, which Node does not have: a /dev/log, a journal, a service manager. */
import { rmSync } from 'node:fs';
import {
  AF_UNIX,
  check,
  closeFd,
  emitSockaddrUnix,
  EPOLLIN,
  libc,
  MSG_DONTWAIT,
  openSocket,
  reactor,
  SOCK_DGRAM,
  type Watch,
} from '../../src/native/index.ts';

const DATAGRAM_MAX_BYTES = 1 << 18;

export class DatagramReceiver {
  /** UNBOUNDED: what came, in its order, because the test decides how much that is. */
  readonly datagrams: Buffer[] = [];
  readonly #name: string;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(DATAGRAM_MAX_BYTES);
  #watch: Watch | undefined;
  #waiting: (() => void)[] = [];

  /** @param name a path, or `@NAME` */
  constructor(name: string) {
    this.#name = name;
    this.#fd = openSocket(AF_UNIX, SOCK_DGRAM, 0);
    const sockaddr = emitSockaddrUnix(name);
    check(libc.bind(this.#fd, sockaddr, sockaddr.length), `bind to "${name}"`);
    this.resume();
  }

  #read(): void {
    for (;;) {
      const length = libc.recv(this.#fd, this.#buffer, DATAGRAM_MAX_BYTES, MSG_DONTWAIT);
      if (length < 0) break;
      this.datagrams.push(Buffer.from(this.#buffer.subarray(0, length)));
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Stops reading, as a receiver that is too slow does. */
  pause(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  resume(): void {
    this.#watch ??= reactor.watch(this.#fd, EPOLLIN, () => this.#read());
  }

  get texts(): readonly string[] {
    return this.datagrams.map((datagram) => datagram.toString());
  }

  /** Resolves with the first datagram, from number `from` on, that matches. */
  async seen(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.texts.slice(from).find((text) => pattern.test(text));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    this.pause();
    closeFd(this.#fd);
    if (!this.#name.startsWith('@')) rmSync(this.#name, { force: true });
  }
}
