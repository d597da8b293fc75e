/**
 * A worker thread whose loop blocks in epoll_wait. The main side posts messages and wakes it through an eventfd;
 * the worker side reads them with `receiveMessageOnPort`. The exit hook wakes it too, because a thread blocked in
 * a system call would keep `process.exit` waiting for ever.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker, type TransferListItem } from 'node:worker_threads';
import { WeftError } from '../base/errors.ts';
import { EpollLoop, WakeFd } from './epoll.ts';
import { bindAll } from './libc.ts';

/** What the worker gets as `workerData`; `wakeFd` goes to its EpollLoop. */
export interface EpollWorkerData<Options> {
  readonly wakeFd: number;
  readonly options: Options;
  /** One of `Loading`, for `startWorkerLoop`. */
  readonly loading: SharedArrayBuffer;
  /** Of `WakeFd`. */
  readonly isWakePending: SharedArrayBuffer;
}

/**
 * Where a thread is in loading koffi and binding its functions. A thread must not be terminated while it does: the
 * native module finds that it can neither finish nor throw, and aborts the process (seen: "FATAL ERROR …
 * napi_throw"). So whoever comes first has its way: a stop that comes before the loading forbids it, a later one waits
 * for its end; and all functions are bound at once, not each at its first use. Calling them is safe.
 */
const Loading = { before: 0, now: 1, done: 2, forbidden: 3 } as const;
/** BOUNDED: loading takes a few milliseconds. */
const LONGEST_LOADING_MS = 2000;

/** In a worker, as its first native call: the loop that wakes when the main side posts. */
export function startWorkerLoop(data: EpollWorkerData<unknown>): EpollLoop {
  const state = new Int32Array(data.loading);
  if (Atomics.compareExchange(state, 0, Loading.before, Loading.now) === Loading.forbidden) {
    // Being terminated ends this wait.
    Atomics.wait(state, 0, Loading.forbidden);
  }
  try {
    bindAll();
    return new EpollLoop({ wakeFd: data.wakeFd, isWakePending: new Int32Array(data.isWakePending) });
  } finally {
    Atomics.store(state, 0, Loading.done);
    Atomics.notify(state, 0);
  }
}

/**
 * Heap of such a thread: its data lies outside of it, and what a turn throws away is little. With V8's own measure the
 * young generation alone would grow to 48 MiB, though 3 MiB are swept in well below a millisecond.
 */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 128 } as const;

/**
 * Finds dist/workers/NAME.js from wherever this module runs: the source tree, the library or a bundle.
 * @throws WeftError NO_WORKER when it was not built
 */
export function workerUrl(name: string): URL {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    for (const candidate of [
      join(folder, 'workers', `${name}.js`),
      join(folder, 'dist', 'workers', `${name}.js`),
    ]) {
      if (existsSync(candidate)) return pathToFileURL(candidate);
    }
  }
  throw new WeftError(`worker program "${name}" is missing`, {
    code: 'NO_WORKER',
    hint: 'run "npm run build"',
  });
}

export class EpollWorker<Options, ToWorker, FromWorker> {
  readonly #worker: Worker;
  readonly #wakeFd: WakeFd;
  readonly #loading = new Int32Array(new SharedArrayBuffer(4));
  #running = true;
  /** Resolves when the thread has ended, by itself or stopped. */
  readonly ended: Promise<void>;
  /** Terminated first, then woken: a thread that woke earlier would find nothing and wait for ever again. */
  readonly #onExit = () => {
    void this.#terminate();
  };

  /**
   * @param name the program in src/LAYER/NAME-worker.ts
   * @param onMessage called on the main thread for each message of the worker
   * @param onFailure called when the worker's program throws; the worker has ended then
   * @throws WeftError NO_WORKER when the program is not built; DataCloneError for options that cannot be copied
   */
  constructor(
    name: string,
    options: Options,
    onMessage: (message: FromWorker) => void,
    onFailure: (error: Error) => void,
  ) {
    const url = workerUrl(name);
    const isWakePending = new SharedArrayBuffer(4);
    this.#wakeFd = new WakeFd(undefined, new Int32Array(isWakePending));
    const workerData: EpollWorkerData<Options> = {
      wakeFd: this.#wakeFd.fd,
      options,
      loading: this.#loading.buffer,
      isWakePending,
    };
    try {
      // Not this process's own flags: --input-type, for one, is refused for a program in a file.
      this.#worker = new Worker(url, { workerData, execArgv: [], resourceLimits: HEAP_LIMITS });
    } catch (error) {
      this.#wakeFd.close();
      throw error;
    }
    this.#worker.on('message', onMessage);
    this.#worker.on('error', onFailure);
    process.on('exit', this.#onExit);
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        process.off('exit', this.#onExit);
        this.#running = false;
        this.#wakeFd.close();
        resolve();
      });
    });
  }

  /** Nothing happens when the thread has ended. */
  post(message: ToWorker, transfer: readonly TransferListItem[] = []): void {
    if (!this.#running) return;
    this.#worker.postMessage(message, transfer);
    this.#wakeFd.wake();
  }

  /** Lets the process end although the worker runs. */
  unref(): void {
    this.#worker.unref();
  }

  #terminate(): Promise<number> {
    const state = Atomics.compareExchange(this.#loading, 0, Loading.before, Loading.forbidden);
    if (state === Loading.now) Atomics.wait(this.#loading, 0, Loading.now, LONGEST_LOADING_MS);
    const terminated = this.#worker.terminate();
    // The number of a closed descriptor may be another one's by now.
    if (this.#running) this.#wakeFd.wake();
    return terminated;
  }

  /**
   * Ends the thread wherever it is and resolves when it has ended; may be called again. Descriptors that its program owned are its
   * program's matter; one that has some is told to end by a message instead, and `ended` is awaited.
   */
  async stop(): Promise<void> {
    await this.#terminate();
    await this.ended;
  }
}
