/** The record of a tunnel's routes and kernel settings (tunnel/host) in its file. */
import type { Logger } from '../../base/index.ts';
import {
  EMPTY_RECORD,
  MemoryJournal,
  parseHostRecord,
  type HostJournal,
  type HostRecord,
} from '../../tunnel/index.ts';
import { namespaceIdentity } from '../namespace-identity.ts';
import { RecordFile } from '../record-file.ts';

class TunnelJournal implements HostJournal {
  readonly #file: RecordFile;

  constructor(file: RecordFile) {
    this.#file = file;
  }

  load(): HostRecord {
    const content = this.#file.load();
    if (content === undefined) return EMPTY_RECORD;
    const record = parseHostRecord(content);
    if (record !== undefined) return record;
    this.#file.reject();
    return EMPTY_RECORD;
  }

  save(record: HostRecord): void {
    if (record.routes.length === 0 && record.settings.length === 0) this.#file.remove();
    else this.#file.save(record);
  }
}

/**
 * @param path of a record that the caller has claimed; absent: nothing is remembered
 */
export function openTunnelJournal(path: string | undefined, logger: Logger): HostJournal {
  if (path === undefined) return new MemoryJournal();
  return new TunnelJournal(new RecordFile(path, 'a tunnel', namespaceIdentity(), logger));
}
