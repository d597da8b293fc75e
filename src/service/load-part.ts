/**
 * Loads a part of the program that is not needed at its start. It may be gone by then: somebody has installed another
 * version while this one runs, and names of files have changed.
 */
import { errorCode, WeftError } from '../base/index.ts';

/** As `import` and `require` say it. */
const GONE: ReadonlySet<string> = new Set(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND', 'ENOENT']);

/** @throws WeftError `REPLACED` when the part is gone; else what loading it throws */
export async function loadPart<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!GONE.has(errorCode(error))) throw error;
    throw new WeftError('a part of this program is gone: another version was installed while it runs', {
      code: 'REPLACED',
      hint: 'start it anew',
      cause: error,
    });
  }
}
