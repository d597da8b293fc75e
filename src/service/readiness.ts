/**
 * What a Weft in the background tells the command that started it, and that command alone: that it is ready, or why
 * it cannot start. Node's own channel between parent and child carries it; it ends with the first of the two.
 */
import { errorText, WeftError } from '../base/index.ts';

/** Names the log file, and says that the program is to run in the background. */
export const BACKGROUND_LOG = 'WEFT_BACKGROUND_LOG';

export type ReadinessMessage =
  { readonly kind: 'ready' } | { readonly kind: 'failed'; readonly text: string; readonly code: string };

/** Pure. */
export function isReadinessMessage(value: unknown): value is ReadinessMessage {
  if (typeof value !== 'object' || value === null) return false;
  const { code, kind, text } = value as Record<string, unknown>;
  return kind === 'ready' || (kind === 'failed' && typeof text === 'string' && typeof code === 'string');
}

export class Readiness {
  readonly logFile: string;

  private constructor(logFile: string) {
    this.logFile = logFile;
  }

  /** `undefined`: this program runs in the foreground. Programs that it starts do not inherit the answer. */
  static take(): Readiness | undefined {
    const logFile = process.env[BACKGROUND_LOG];
    delete process.env[BACKGROUND_LOG];
    return logFile === undefined || logFile === '' ? undefined : new Readiness(logFile);
  }

  ready(): void {
    // A folder that is gone, or a file system that cannot be unmounted, is no business of one in the background. Names
    // of files in the command line have been read before.
    process.chdir('/');
    void this.#tell({ kind: 'ready' });
  }

  /** @param text for the user, in place of the error's own */
  async failed(error: unknown, text = errorText(error)): Promise<void> {
    const code = error instanceof WeftError ? error.code : 'START';
    await this.#tell({ kind: 'failed', text, code });
  }

  /** Resolves when it has left, or when nobody listens any more. */
  #tell(message: ReadinessMessage): Promise<void> {
    return new Promise((resolve) => {
      if (process.send === undefined || !process.connected) {
        resolve();
        return;
      }
      process.send(message, undefined, undefined, () => {
        if (process.connected) process.disconnect();
        resolve();
      });
    });
  }
}
