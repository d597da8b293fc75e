/**
 * The page beside a program that runs: begun when the program is ready, ended before it. What serves the page is loaded
 * only then (web-run.ts). Until it is known where the page is, who asks on the control socket ("weft web") waits.
 */
import type { RequestListener } from 'node:http';
import { errorText, type Logger } from '../base/index.ts';
import type { WebReport } from '../service/index.ts';
import type { WebWish } from './web-options.ts';
import type { RunningWeb } from './web-run.ts';

/** What of a service the page needs: its Observation. */
export interface WebSource {
  /** Calls, live stream and metrics. */
  listener(origin: 'page'): Promise<RequestListener>;
  /** Takes what is told on the control socket. */
  tellWeb(report: () => Promise<WebReport>): void;
}

export interface WebLifeOptions {
  /** Absent: no page. */
  readonly wish: WebWish | undefined;
  readonly program: 'up' | 'daemon';
  readonly logger: Logger;
  /** The log's reader is a person before a terminal, so the token may be in it. */
  readonly onTerminal: boolean;
}

export class WebLife {
  readonly #options: WebLifeOptions;
  #tell: (report: WebReport) => void = () => {};
  readonly #report = new Promise<WebReport>((resolve) => {
    this.#tell = resolve;
  });
  #source: WebSource | undefined;
  #starting: Promise<RunningWeb | undefined> = Promise.resolve(undefined);
  #stopped = false;

  constructor(options: WebLifeOptions) {
    this.#options = options;
    if (options.wish === undefined) this.#tell({ served: false, why: 'it was started with --no-web' });
  }

  /** The program is there: from now on who asks waits for the page. @param source `undefined`: it ends already */
  attach(source: WebSource | undefined): void {
    this.#source = source;
    source?.tellWeb(() => this.#report);
  }

  /** Somebody named the address, so that a failure is one of the program. */
  get isExplicit(): boolean {
    return this.#options.wish?.explicit === true;
  }

  /** @throws Error when somebody named the addresses and it cannot be served there */
  async start(): Promise<void> {
    this.#starting = this.#start();
    await this.#starting;
  }

  async #start(): Promise<RunningWeb | undefined> {
    const { wish, ...others } = this.#options;
    const source = this.#source;
    if (wish === undefined || source === undefined || this.#stopped) return undefined;
    try {
      const { runWeb } = await import('./web-run.ts');
      const calls = await source.listener('page');
      return await runWeb({ ...others, wish, calls, tell: this.#tell });
    } catch (error) {
      this.#tell({ served: false, why: errorText(error) });
      if (wish.explicit) throw error;
      this.#options.logger.warn({ err: error }, `the page is not served: ${errorText(error)}`);
      return undefined;
    }
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const running = await this.#starting.catch(() => {});
    await running?.close();
  }
}
