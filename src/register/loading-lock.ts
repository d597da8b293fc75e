/**
 * Keeps a thread of the program from being terminated while it loads the native library. The library's initialisation
 * can then neither finish nor throw, and aborts the whole process (seen: "FATAL ERROR … napi_throw"). One lock for all
 * threads of the process: threads that load hold it together, whoever terminates one waits for them.
 *
 * Not covered: a thread that dies because the thread that started it is terminated.
 */

const LOADING = 0;
const HELD = 1;
/** BOUNDED: loading takes a few milliseconds. */
const LONGEST_LOADING_MS = 2000;

export class LoadingLock {
  /** To be handed to the other threads. */
  readonly memory: SharedArrayBuffer;
  readonly #state: Int32Array;

  constructor(memory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#state = new Int32Array(memory);
  }

  /** Runs `work` at a time when nobody terminates a thread. */
  load(work: () => void): void {
    const state = this.#state;
    for (;;) {
      Atomics.add(state, LOADING, 1);
      const held = Atomics.load(state, HELD);
      if (held === 0) break;
      this.#endLoading();
      // A thread that is being terminated does not come back from here.
      Atomics.wait(state, HELD, held);
    }
    try {
      work();
    } finally {
      this.#endLoading();
    }
  }

  #endLoading(): void {
    Atomics.sub(this.#state, LOADING, 1);
    Atomics.notify(this.#state, LOADING);
  }

  /** Resolves to what `work` gives, which runs at a time when no thread loads. */
  whileNoneLoads<Result>(work: () => Result): Result {
    this.hold();
    try {
      return work();
    } finally {
      Atomics.sub(this.#state, HELD, 1);
      Atomics.notify(this.#state, HELD);
    }
  }

  /** From its return on nothing is loaded any more; for the end of the process. */
  hold(): void {
    const state = this.#state;
    const latest = Date.now() + LONGEST_LOADING_MS;
    Atomics.add(state, HELD, 1);
    for (;;) {
      const loading = Atomics.load(state, LOADING);
      const left = latest - Date.now();
      if (loading === 0 || left <= 0) return;
      Atomics.wait(state, LOADING, loading, left);
    }
  }
}
