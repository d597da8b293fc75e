/**
 * What makes a process the only one that serves a tunnel: a lock on the configuration folder, because two would write
 * the same files, and a lock on the tunnel's name in this network namespace, because two would make the same link.
 * Both stand in the runtime folder and end with the process.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../../base/index.ts';
import { FileLock } from '../../native/index.ts';
import { takeLock } from '../abandoned.ts';
import { networkNamespaceInode } from '../runtime-folder.ts';
import { tunnelFileName } from './control-api.ts';

function takeOrRefuse(path: string, what: string, hint: string): FileLock {
  const lock = takeLock(path);
  if (lock !== undefined) return lock;
  const holder = FileLock.holderOf(path);
  const who = holder === undefined ? 'another process' : `process ${holder}`;
  throw new WeftError(`${what} by ${who} already`, { code: 'ALREADY_RUNNING', hint });
}

export class RuntimeClaim {
  readonly #locks: readonly FileLock[];
  /**
   * The record's file. It goes with the folder, not with the tunnel's name: who finds what a killed process left may
   * have renamed the tunnel meanwhile.
   */
  readonly recordPath: string;

  private constructor(recordPath: string, locks: readonly FileLock[]) {
    this.recordPath = recordPath;
    this.#locks = locks;
  }

  /**
   * @param runtimeFolder from `prepareRuntimeFolder`
   * @param configuration the folder `conf`
   * @throws WeftError `ALREADY_RUNNING`
   */
  static take(runtimeFolder: string, configuration: string, interfaceName: string): RuntimeClaim {
    const { dev, ino } = statSync(configuration);
    const folder = takeOrRefuse(
      join(runtimeFolder, `folder.${dev}-${ino}.lock`),
      `the configuration "${configuration}" is served`,
      'two would write the same files: stop that one, or give each its own folder',
    );
    try {
      const netns = networkNamespaceInode();
      const tunnel = takeOrRefuse(
        join(runtimeFolder, `${tunnelFileName(interfaceName)}-${netns}.lock`),
        `the tunnel ${interfaceName} is served`,
        '"weft tunnel status" shows it; stop that one, or give this tunnel another name in interface.conf',
      );
      const record = join(runtimeFolder, `${tunnelFileName(`${dev}.${ino}`)}-${netns}.json`);
      return new RuntimeClaim(record, [tunnel, folder]);
    } catch (error) {
      folder.release();
      throw error;
    }
  }

  release(): void {
    for (const lock of this.#locks) lock.release();
  }
}
