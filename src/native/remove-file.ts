/**
 * Removing a file that may be gone already. In place of Node's `rmSync`, whose first call loads its whole way of
 * removing folders: 5 to 12 ms, which a program that has just started does not have.
 */
import { unlinkSync } from 'node:fs';

/** @throws the errors of unlink(2) but ENOENT */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
