/**
 * The guest's end of the virtio-serial port as a stream of bytes: found by its name, read when the kernel says so,
 * written in order. While the host's end is closed the port has hung up; then it is tried again now and then.
 *
 * Invariant: `onOpen` is called whenever the host's end is there anew, before bytes of that conversation, and
 * `onClose` when it has gone; what was not written by then is dropped, because its reader is gone.
 *
 * References: drivers/char/virtio_console.c (poll says HUP while the host is away, and reads return 0).
 */
import { readdirSync, readFileSync } from 'node:fs';
import {
  check,
  closeFd,
  EAGAIN,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  lastErrno,
  libc,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  reactor,
  type Watch,
} from '../../native/index.ts';

const PORTS = '/sys/class/virtio-ports';
const READ_BYTES = 64 * 1024;
/** BOUNDED: what waits for the host to read. A host that is this far behind has stopped reading. */
const WAITING_BYTES_MAX = 8 << 20;
const RETRY_MS = 100;

/** /dev/vport0p1, or `undefined` when there is no port of this name. */
export function findPort(name: string, ports = PORTS): string | undefined {
  let entries: string[];
  try {
    entries = readdirSync(ports);
  } catch {
    return undefined;
  }
  const port = entries.find((entry) => {
    try {
      return readFileSync(`${ports}/${entry}/name`, 'utf8').trim() === name;
    } catch {
      return false;
    }
  });
  return port === undefined ? undefined : `/dev/${port}`;
}

export interface AgentPortHandlers {
  readonly onOpen: () => void;
  readonly onBytes: (bytes: Uint8Array) => void;
  readonly onClose: () => void;
}

export class AgentPort {
  readonly #path: string;
  readonly #handlers: AgentPortHandlers;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #fd = -1;
  #watch: Watch | undefined;
  #retry: NodeJS.Timeout | undefined;
  #open = false;
  /** BOUNDED by WAITING_BYTES_MAX. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  /** @throws SystemError when the port cannot be opened */
  constructor(path: string, handlers: AgentPortHandlers) {
    this.#path = path;
    this.#handlers = handlers;
    this.#fd = check(libc.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0), `open "${path}"`);
    this.#listen();
  }

  get isOpen(): boolean {
    return this.#open;
  }

  #listen(): void {
    this.#watch = reactor.watch(this.#fd, EPOLLIN | EPOLLOUT, (events) => this.#handleEvents(events));
  }

  #handleEvents(events: number): void {
    if ((events & EPOLLHUP) !== 0) {
      this.#handleHangUp();
      return;
    }
    if (!this.#open) {
      this.#open = true;
      this.#handlers.onOpen();
    }
    if ((events & EPOLLIN) !== 0) this.#read();
    if (this.#watch !== undefined) this.#flush();
  }

  /** A port that has hung up is always ready, so it is asked by a timer instead. */
  #handleHangUp(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#open) {
      this.#open = false;
      this.#handlers.onClose();
    }
    if (this.#fd < 0) return;
    this.#retry = setTimeout(() => this.#listen(), RETRY_MS);
  }

  #read(): void {
    const count = libc.read(this.#fd, this.#buffer, this.#buffer.length);
    if (count > 0) this.#handlers.onBytes(this.#buffer.subarray(0, count));
    else if (count === 0) this.#handleHangUp();
    else if (lastErrno() !== EAGAIN) this.#handleHangUp();
  }

  /** Sends, now or when the host reads on. @returns `false`: dropped, because nobody reads */
  write(bytes: Uint8Array): boolean {
    if (!this.#open) return false;
    if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.#handleHangUp();
      return false;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#flush();
    return true;
  }

  #flush(): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined) {
        this.#watch?.setEvents(EPOLLIN);
        return;
      }
      const count = libc.write(this.#fd, first, first.length);
      if (count < 0) {
        if (lastErrno() === EAGAIN) this.#watch?.setEvents(EPOLLIN | EPOLLOUT);
        else this.#handleHangUp();
        return;
      }
      this.#waitingBytes -= count;
      if (count === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(count);
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#watch?.close();
    this.#watch = undefined;
    if (this.#fd >= 0) closeFd(this.#fd);
    this.#fd = -1;
    this.#open = false;
  }

  get path(): string {
    return this.#path;
  }
}
