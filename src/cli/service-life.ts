/**
 * How a program that serves until a signal lives and ends: signals, errors that nobody foresaw, and an end in time.
 *
 *   SIGTERM, SIGINT   end in order, exit code 0; a second one ends at once
 *   SIGHUP            reads the configuration again
 */
import type { Logger } from '../base/index.ts';

export const FAILURE = 1;
/** How long an orderly end may take before the process ends without it. */
const STOP_DEADLINE_MS = 10_000;
const LEFT_FOR_NEXT = 'the next start takes back what is left';

/** Resolves with the exit code, when the program is to end. */
export class Ending {
  #resolve: (code: number) => void = () => {};
  readonly code = new Promise<number>((resolve) => {
    this.#resolve = resolve;
  });

  end(code: number): void {
    this.#resolve(code);
  }

  /** @param reload what SIGHUP does */
  handleSignals(logger: Logger, reload: () => void): void {
    let isEnding = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (isEnding) {
          logger.warn({}, `second ${signal}: ending at once; the next start takes back what is left`);
          process.exit(FAILURE);
        }
        isEnding = true;
        logger.debug({}, `${signal}: stopping`);
        this.end(0);
      });
    }
    process.on('SIGHUP', reload);
    process.on('uncaughtException', (err) => {
      logger.error({ err }, 'an error that was not foreseen: stopping');
      this.end(FAILURE);
    });
  }
}

export interface StopTerms {
  readonly deadlineMs?: number;
  /** What becomes of what could not be stopped, as a sentence ends. */
  readonly leftFor?: string;
}

/** @returns whether everything could be stopped in time */
export async function stopInTime(
  stop: () => Promise<void>,
  logger: Logger,
  { deadlineMs = STOP_DEADLINE_MS, leftFor = LEFT_FOR_NEXT }: StopTerms = {},
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), deadlineMs);
  });
  try {
    const outcome = await Promise.race([stop(), late]);
    if (outcome !== 'late') return true;
    logger.error({}, `stopping took longer than ${deadlineMs / 1000} s; ${leftFor}`);
  } catch (err) {
    logger.error({ err }, `not everything could be stopped; ${leftFor}`);
  } finally {
    clearTimeout(timer);
  }
  return false;
}
