/**
 * The record of what the appliance has on this host (appliance/host/journal.ts) in its file in the runtime folder, and
 * the lock that makes this process its only writer.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  EMPTY_APPLIANCE_RECORD,
  parseApplianceRecord,
  type ApplianceJournal,
  type ApplianceRecord,
} from '../../appliance/index.ts';
import { WeftError, type Logger } from '../../base/index.ts';
import { FileLock } from '../../native/index.ts';
import { takeLock } from '../abandoned.ts';
import { namespaceIdentity } from '../namespace-identity.ts';
import { RecordFile } from '../record-file.ts';

export class ApplianceJournalFile implements ApplianceJournal {
  readonly #file: RecordFile;
  readonly #lock: FileLock;

  private constructor(file: RecordFile, lock: FileLock) {
    this.#file = file;
    this.#lock = lock;
  }

  /**
   * @param folder only its owner may enter it; made when it is not there
   * @param netns file of the network namespace; default is this thread's own
   * @throws WeftError ALREADY_RUNNING when another process has an appliance in this network namespace
   */
  static open(folder: string, logger: Logger, netns?: string): ApplianceJournalFile {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const namespace = namespaceIdentity(netns);
    const base = join(folder, `appliance-${namespace.inode}`);
    const lock = takeLock(`${base}.lock`);
    if (lock === undefined) {
      const holder = FileLock.holderOf(`${base}.lock`);
      const who = holder === undefined ? 'another process' : `process ${holder}`;
      throw new WeftError(`the appliance of this network namespace is run by ${who} already`, {
        code: 'ALREADY_RUNNING',
        hint: '"weft status" shows it, "weft down" stops it',
      });
    }
    return new ApplianceJournalFile(new RecordFile(`${base}.json`, 'an appliance', namespace, logger), lock);
  }

  load(): ApplianceRecord {
    const content = this.#file.load();
    if (content === undefined) return EMPTY_APPLIANCE_RECORD;
    const record = parseApplianceRecord(content);
    if (record === undefined) this.#file.reject();
    return record ?? EMPTY_APPLIANCE_RECORD;
  }

  save(record: ApplianceRecord): void {
    const isEmpty = record.machines.length === 0 && record.settings.length === 0 && !record.firewall;
    if (isEmpty) this.#file.remove();
    else this.#file.save(record);
  }

  /** Lets another process be the writer. The record stays if something is still owned. */
  close(): void {
    this.#lock.release();
  }
}
