/**
 * `mptcpctl monitor`: follows this host's links beside a running Weft. After each burst of the kernel's messages it has
 * that one look once more, and prints what has become different, until Ctrl-C or until the Weft ends.
 */
import { errorText, WeftError } from '../../base/index.ts';
import {
  ControlClient,
  hasCrashed,
  isProcessOf,
  watchHostChanges,
  type StatusReport,
} from '../../service/index.ts';
import { describeChanges, globally } from './mptcpctl-messages.ts';
import type { Speaker } from './mptcpctl-speaker.ts';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** How often it is seen to that the Weft still runs. */
const ALIVE_PERIOD_MS = 500;

class Monitor {
  readonly #speaker: Speaker;
  readonly #client = new ControlClient();
  #known: StatusReport;
  #busy = false;
  #again = false;
  #resolve: (ok: boolean) => void = () => {};
  readonly #ended = new Promise<boolean>((resolve) => {
    this.#resolve = resolve;
  });

  constructor(speaker: Speaker, known: StatusReport) {
    this.#speaker = speaker;
    this.#known = known;
  }

  async run(): Promise<boolean> {
    const watch = watchHostChanges(() => void this.#look());
    const isRunning = isProcessOf(this.#known);
    const alive = setInterval(() => {
      if (!isRunning()) this.#handleGone();
    }, ALIVE_PERIOD_MS);
    const stop = () => this.#resolve(true);
    for (const signal of STOP_SIGNALS) process.on(signal, stop);
    this.#tell([globally('monitoring the links of this machine, until Ctrl-C')]);
    // What happened between the report and the watch.
    void this.#look();
    try {
      return await this.#ended;
    } finally {
      clearInterval(alive);
      watch.close();
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
    }
  }

  #tell(messages: Parameters<Speaker['sayNow']>[0]): void {
    if (!this.#speaker.sayNow(messages)) this.#resolve(true);
  }

  async #look(): Promise<void> {
    this.#again = true;
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#again) {
        this.#again = false;
        // oxlint-disable-next-line no-await-in-loop -- one look after the other
        await this.#lookOnce();
      }
    } finally {
      this.#busy = false;
    }
  }

  async #lookOnce(): Promise<void> {
    try {
      const after = await this.#client.reconcile();
      const changes = describeChanges(this.#known, after);
      this.#known = after;
      if (changes.length > 0) {
        this.#tell([globally('route changes might have occurred -> check'), ...changes]);
      }
    } catch (error) {
      // It ends, which is seen by its process.
      if (error instanceof WeftError && error.code === 'NOT_RUNNING') return;
      this.#tell([globally(errorText(error))]);
    }
  }

  #handleGone(): void {
    const crashed = hasCrashed(this.#known.pid);
    const text = crashed
      ? 'the proxy has crashed -> "mptcpctl start" starts it again'
      : 'the proxy was stopped -> nothing to monitor any more';
    this.#tell([globally(text)]);
    this.#resolve(!crashed);
  }
}

/** @returns whether it ended as it should: by the user's wish, or with a Weft that was stopped */
export function runMonitor(speaker: Speaker, report: StatusReport): Promise<boolean> {
  return new Monitor(speaker, report).run();
}
