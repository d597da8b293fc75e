/**
 * File descriptors on the main thread: one epoll descriptor for any number of them, waited for by one thread of
 * libuv's pool, callbacks on the main thread (docs/architecture.md, decision 2). Level-triggered: a callback
 * reads until EAGAIN or is called again.
 *
 * Invariants: a wait is pending exactly while something is watched, so an idle reactor lets the process end;
 * `process.exit` waits for threads blocked in a system call, so the exit hook wakes the wait.
 */
import { EpollLoop, WAKE_KEY } from './epoll.ts';
import { libc } from './libc.ts';

/** Called with the EPOLL* bits that are set. */
export type ReadyCallback = (events: number) => void;

/** One watched descriptor. `close` ends the watching; the descriptor stays its owner's to close, afterwards. */
export interface Watch {
  setEvents(events: number): void;
  close(): void;
}

class Reactor {
  #loop: EpollLoop | undefined;
  #waiting = false;
  #nextKey = 0;
  /** UNBOUNDED: one entry for each descriptor that is watched, which the process's own limit bounds. */
  readonly #callbacks = new Map<number, ReadyCallback>();

  #open(): EpollLoop {
    if (this.#loop === undefined) {
      const loop = new EpollLoop();
      this.#loop = loop;
      process.on('exit', () => loop.wakeFd.wake());
    }
    return this.#loop;
  }

  watch(fd: number, events: number, callback: ReadyCallback): Watch {
    const loop = this.#open();
    // Keys are never those of a living watch, so an event of a closed one cannot reach its successor.
    do this.#nextKey = (this.#nextKey + 1) % WAKE_KEY;
    while (this.#callbacks.has(this.#nextKey));
    const key = this.#nextKey;
    loop.add(fd, events, key);
    this.#callbacks.set(key, callback);
    this.#wait(loop);
    return {
      setEvents: (wanted) => {
        if (this.#callbacks.has(key)) loop.modify(fd, wanted, key);
      },
      close: () => {
        if (!this.#callbacks.delete(key)) return;
        loop.remove(fd);
        if (this.#callbacks.size === 0) loop.wakeFd.wake();
      },
    };
  }

  #wait(loop: EpollLoop): void {
    if (this.#waiting || this.#callbacks.size === 0) return;
    this.#waiting = true;
    libc.epoll_wait.async(loop.fd, loop.buffer, loop.capacity, -1, (error, count) => {
      this.#waiting = false;
      // A count below zero is EINTR: wait again.
      if (error === null && count > 0) this.#dispatch(loop, count);
      this.#wait(loop);
    });
  }

  #dispatch(loop: EpollLoop, count: number): void {
    for (let i = 0; i < count; i++) {
      const key = loop.keyAt(i);
      if (key === WAKE_KEY) {
        loop.wakeFd.clear();
        continue;
      }
      try {
        this.#callbacks.get(key)?.(loop.eventsAt(i));
      } catch (thrown) {
        // One owner's failure must not cost the others their events; it surfaces as an uncaught exception.
        queueMicrotask(() => {
          throw thrown;
        });
      }
    }
  }
}

/** The one reactor of this thread. */
export const reactor = new Reactor();
