/**
 * How `weft up` ends: signals, a wish that came over the control socket, errors that nobody foresaw; and an end in
 * time.
 *
 *   SIGTERM, SIGINT   end in order; a second one ends at once, and then the next start cleans up
 *   SIGHUP            reads the rules again; ends in order when it came because the terminal is gone
 */
import { isatty } from 'node:tty';
import type { Logger } from '../base/index.ts';
import { releaseGoneTerminals } from '../native/index.ts';
import { stopInTime } from './service-life.ts';

export type EndReason =
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'asked' }
  | { readonly err: unknown; readonly kind: 'error' };

/** How long an orderly end may take before the process ends without it. */
const STOP_DEADLINE_MS = 5000;
/** A virtual machine is told to end first, and waited for. */
const APPLIANCE_STOP_DEADLINE_MS = 15_000;

const STDERR = 2;

export class UpLife {
  readonly #logger: Logger;
  readonly #onTerminal = isatty(STDERR);
  #isEnding = false;
  #wasTold = false;
  #resolve: (reason: EndReason) => void = () => {};
  /** Resolves with the reason to end. */
  readonly ended = new Promise<EndReason>((resolve) => {
    this.#resolve = resolve;
  });

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param reload what SIGHUP does; absent: it ends the program */
  handleSignals(reload?: () => void): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.#handleSignal(signal));
    process.on('exit', releaseGoneTerminals);
    process.on('SIGHUP', () => {
      // A terminal that was closed hangs up too, and whoever used it wants nothing to go on.
      if (reload === undefined || (this.#onTerminal && !isatty(STDERR))) this.#handleSignal('SIGHUP');
      else if (!this.#isEnding) reload();
    });
    process.on('uncaughtException', (err) => {
      this.#logger.error({ err }, 'Weft has met an error that it did not foresee, and stops');
      this.#end({ kind: 'error', err });
    });
  }

  #handleSignal(signal: string): void {
    // The first one during an end that was asked for in another way says the same again.
    if (this.#wasTold) {
      this.#logger.warn({}, `second ${signal}: ending at once; the next "weft up" removes what is left`);
      process.exit(1);
    }
    this.#wasTold = true;
    if (!this.#isEnding) this.#end({ kind: 'signal', signal });
  }

  /** Somebody asked for the end in another way. */
  handleStopRequest(): void {
    if (!this.#isEnding) this.#end({ kind: 'asked' });
  }

  #end(reason: EndReason): void {
    this.#isEnding = true;
    this.#resolve(reason);
  }

  /** Stops in bounded time. `false`: not everything could be stopped. */
  stopInTime(stop: () => Promise<void>, withAppliance: boolean): Promise<boolean> {
    const deadlineMs = withAppliance ? APPLIANCE_STOP_DEADLINE_MS : STOP_DEADLINE_MS;
    return stopInTime(stop, this.#logger, { deadlineMs, leftFor: 'the next "weft up" removes what is left' });
  }
}
