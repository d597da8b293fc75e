/**
 * epoll as an object: the descriptor, its events buffer and a wake-up eventfd. Used blocking in workers
 * (EpollLoop.wait) and by the main thread's reactor through koffi's asynchronous call.
 *
 * struct epoll_event: u32 events, u64 data; packed (12 bytes) on x86 only, else data at 8 (16 bytes).
 * The data word carries a 32-bit key of the caller; by habit the file descriptor or a slot number.
 */
import { EPOLLIN, O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { check, EINTR, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const PACKED = process.arch === 'x64';
export const EVENT_BYTES = PACKED ? 12 : 16;
const DATA_AT = PACKED ? 4 : 8;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

/** The key that the wake-up descriptor has in every loop; callers use other keys. */
export const WAKE_KEY = 0xffffffff;

/** A counter that any thread adds to and a loop waits on (eventfd(2)). */
export class WakeFd {
  readonly fd: number;
  readonly #one = new Uint8Array(new BigUint64Array([1n]).buffer);
  readonly #value = new Uint8Array(8);
  readonly #isPending: Int32Array | undefined;

  /**
   * Makes a new one, or adopts the descriptor that another thread made (it stays the other thread's to close).
   * @param isPending shared by both threads, 0 at first: 1 from a `wake` to the `clear` that follows, so that waking a
   * thread that is awake costs no system call. Who waits looks for what there is to do after `clear`, not before.
   */
  constructor(fd?: number, isPending?: Int32Array) {
    this.fd = fd ?? check(libc.eventfd(0, O_NONBLOCK | O_CLOEXEC), 'eventfd');
    this.#isPending = isPending;
  }

  wake(): void {
    if (this.#isPending !== undefined && Atomics.exchange(this.#isPending, 0, 1) === 1) return;
    libc.write(this.fd, this.#one, 8);
  }

  clear(): void {
    libc.read(this.fd, this.#value, 8);
    if (this.#isPending !== undefined) Atomics.store(this.#isPending, 0, 0);
  }

  close(): void {
    libc.close(this.fd);
  }
}

export interface EpollLoopOptions {
  readonly capacity?: number;
  /** Another thread's, and what goes with it (`WakeFd`). */
  readonly wakeFd?: number;
  readonly isWakePending?: Int32Array;
}

export class EpollLoop {
  readonly fd: number;
  readonly wakeFd: WakeFd;
  readonly #ownsWakeFd: boolean;
  readonly #capacity: number;
  /** What the kernel fills; valid until the next wait. */
  readonly buffer: Uint8Array;
  readonly #view: DataView;
  readonly #event = new Uint8Array(EVENT_BYTES);
  readonly #eventView = new DataView(this.#event.buffer);

  /** BOUNDED: one wait returns at most `capacity` events; the rest come with the next. */
  constructor(options: EpollLoopOptions = {}) {
    this.#capacity = options.capacity ?? 256;
    this.buffer = new Uint8Array(new ArrayBuffer(this.#capacity * EVENT_BYTES));
    this.#view = new DataView(this.buffer.buffer);
    this.fd = check(libc.epoll_create1(O_CLOEXEC), 'epoll_create1');
    this.#ownsWakeFd = options.wakeFd === undefined;
    this.wakeFd = new WakeFd(options.wakeFd, options.isWakePending);
    this.add(this.wakeFd.fd, EPOLLIN, WAKE_KEY);
  }

  get capacity(): number {
    return this.#capacity;
  }

  #control(operation: number, fd: number, events: number, key: number): number {
    this.#eventView.setUint32(0, events >>> 0, true);
    this.#eventView.setUint32(DATA_AT, key >>> 0, true);
    this.#eventView.setUint32(DATA_AT + 4, 0, true);
    return libc.epoll_ctl(this.fd, operation, fd, this.#event);
  }

  /** Adds a descriptor with a 32-bit key that `keyAt` gives back. */
  add(fd: number, events: number, key: number): void {
    check(this.#control(EPOLL_CTL_ADD, fd, events, key), `epoll add of descriptor ${fd}`);
  }

  modify(fd: number, events: number, key: number): void {
    check(this.#control(EPOLL_CTL_MOD, fd, events, key), `epoll change of descriptor ${fd}`);
  }

  /** Closing the last descriptor of an open file does this too. Harmless when it is gone already. */
  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** Blocks this thread until something is ready; -1 ms waits for ever. Returns how many events there are. */
  wait(timeoutMs: number): number {
    const count = libc.epoll_wait(this.fd, this.buffer, this.#capacity, timeoutMs);
    if (count >= 0) return count;
    const errno = lastErrno();
    if (errno === EINTR) return 0;
    throw new SystemError('epoll_wait', errno);
  }

  keyAt(index: number): number {
    return this.#view.getUint32(index * EVENT_BYTES + DATA_AT, true);
  }

  eventsAt(index: number): number {
    return this.#view.getUint32(index * EVENT_BYTES, true);
  }

  close(): void {
    libc.close(this.fd);
    if (this.#ownsWakeFd) this.wakeFd.close();
  }
}
