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
import { WakeFd } from './epoll.ts';

/** What the worker gets as `workerData`; `wakeFd` goes to its EpollLoop. */
export interface EpollWorkerData<Options> {
  readonly wakeFd: number;
  readonly options: Options;
}

/** Finds dist/workers/NAME.js from wherever this module runs: the source tree, the library or a bundle. */
function workerUrl(name: string): URL {
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
  readonly #wakeFd = new WakeFd();
  readonly #ended: Promise<void>;
  /** Terminated first, then woken: a thread that woke earlier would find nothing and wait for ever again. */
  readonly #onExit = () => {
    void this.#worker.terminate();
    this.#wakeFd.wake();
  };

  /**
   * @param name the program in src/LAYER/NAME-worker.ts
   * @param onMessage called on the main thread for each message of the worker
   * @param onFailure called when the worker's program throws; the worker has ended then
   */
  constructor(
    name: string,
    options: Options,
    onMessage: (message: FromWorker) => void,
    onFailure: (error: Error) => void,
  ) {
    const workerData: EpollWorkerData<Options> = { wakeFd: this.#wakeFd.fd, options };
    this.#worker = new Worker(workerUrl(name), { workerData });
    this.#worker.on('message', onMessage);
    this.#worker.on('error', onFailure);
    process.on('exit', this.#onExit);
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        process.off('exit', this.#onExit);
        this.#wakeFd.close();
        resolve();
      });
    });
  }

  post(message: ToWorker, transfer: readonly TransferListItem[] = []): void {
    this.#worker.postMessage(message, transfer);
    this.#wakeFd.wake();
  }

  /** Lets the process end although the worker runs. */
  unref(): void {
    this.#worker.unref();
  }

  /** Ends the thread and resolves when it has ended. Descriptors that its program owned are its program's matter. */
  async stop(): Promise<void> {
    const terminated = this.#worker.terminate();
    this.#wakeFd.wake();
    await terminated;
    await this.#ended;
  }
}
