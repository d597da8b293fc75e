/**
 * Writes the files of a tunnel's two ends. Nothing that is there is ever overwritten, and what was read back with an
 * error is not kept: both ends are written, or none.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { randomInt } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { errorText, WeftError } from '../../base/index.ts';
import { CONFIGURATION_FOLDER, formatConfigIssue, KEY_BYTES } from '../../tunnel/index.ts';
import { ConfigurationFolder } from './configuration-folder.ts';
import type { EndFiles } from './pair-plan.ts';

const KEY_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * A key: as many letters and digits as the programs use, 190 bits. MPT takes the characters as they stand, so
 * hexadecimal digits, as its guide has them, would be worth 128.
 */
export function makeTunnelKey(): string {
  return Array.from({ length: KEY_BYTES }, () => KEY_LETTERS[randomInt(KEY_LETTERS.length)]).join('');
}

function writeEnd(folder: string, { files }: EndFiles): void {
  for (const [name, text] of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 });
  }
}

/**
 * @param base folder in which each end gets one of its own
 * @returns the folders `conf` of the ends
 * @throws WeftError `EEXIST` when an end's folder is there; the errors of mkdir(2) and open(2)
 */
export function writePair(base: string, ends: readonly EndFiles[]): readonly string[] {
  const made: string[] = [];
  const folders: string[] = [];
  try {
    for (const end of ends) {
      const home = resolve(base, end.name);
      mkdirSync(resolve(base), { recursive: true });
      // Not recursive: what is there is somebody's.
      mkdirSync(home, { mode: 0o700 });
      made.push(home);
      const folder = join(home, CONFIGURATION_FOLDER);
      writeEnd(folder, end);
      const [error] = new ConfigurationFolder(folder, 'weft').readFolder().errors;
      if (error !== undefined) {
        throw new WeftError(
          `the configuration of ${end.name} would not be read: ${formatConfigIssue(error)}`,
          {
            code: 'BAD_ARGUMENT',
          },
        );
      }
      folders.push(folder);
    }
  } catch (error) {
    for (const home of made) rmSync(home, { recursive: true, force: true });
    if (error instanceof WeftError) throw error;
    const { code, path } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new WeftError(`"${path}" is there already (EEXIST)`, {
        code,
        hint: 'nothing is overwritten: remove it, or name another folder with --out',
        cause: error,
      });
    }
    throw new WeftError(`the configuration cannot be written: ${errorText(error)}`, {
      code: code ?? 'WRITE',
      cause: error,
    });
  }
  return folders;
}
