/**
 * The record of what this Weft made in the kernel's path manager (pathmanager/ownership.ts), as a small file in the
 * runtime folder: one for each network namespace and kind of program, and gone when nothing is owned.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError, type Logger } from '../base/index.ts';
import { FileLock } from '../native/index.ts';
import { OWNS_NOTHING, type Ownership, type OwnershipJournal } from '../pathmanager/index.ts';
import { takeLock } from './abandoned.ts';
import type { NamespaceIdentity } from './namespace-identity.ts';
import { RecordFile } from './record-file.ts';

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

/** Limits are only ever raised, so what is put back is less than what the kernel has taken already. */
const isLimit = (value: unknown): boolean =>
  value === undefined ||
  (isRecord(value) && isCount(value['former']) && isCount(value['set']) && value['former'] < value['set']);

const isEndpoint = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value['address'] === 'string' &&
  ['id', 'linkIndex', 'flags'].every((name) => isCount(value[name]));

/** Reads what a record holds; `undefined` when it is not such a record. Pure. */
export function parseOwnership(value: unknown): Ownership | undefined {
  if (!isRecord(value)) return undefined;
  const { endpoints, limits } = value;
  const isValid =
    Array.isArray(endpoints) &&
    endpoints.every(isEndpoint) &&
    isRecord(limits) &&
    isLimit(limits['subflows']) &&
    isLimit(limits['addAddrAccepted']);
  return isValid ? (value as unknown as Ownership) : undefined;
}

/** Whose record it is: two kinds of programs may each have one in the same network namespace. */
export interface JournalOwner {
  /** How its files' names begin. */
  readonly file: string;
  /** For the message that another process has it: `WHAT is managed by process 7 already`. */
  readonly what: string;
  /** What the user does then. */
  readonly hint: string;
}

/** `weft up`. */
const PATHS: JournalOwner = {
  file: 'paths',
  what: 'the paths of this network namespace are managed by',
  hint: 'two would undo each other’s work: stop that one first ("weft status" shows it)',
};

/** The record in its file, and the lock that makes this process its only writer. */
export class StateJournal implements OwnershipJournal {
  readonly #file: RecordFile;
  readonly #lock: FileLock;

  private constructor(file: RecordFile, lock: FileLock) {
    this.#file = file;
    this.#lock = lock;
  }

  /**
   * @param folder only its owner may enter it; made when it is not there
   * @throws WeftError ALREADY_RUNNING when another process of this kind has the record of the same namespace
   */
  static open(
    folder: string,
    namespace: NamespaceIdentity,
    logger: Logger,
    owner: JournalOwner = PATHS,
  ): StateJournal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const base = join(folder, `${owner.file}-${namespace.inode}`);
    const lock = takeLock(`${base}.lock`);
    if (lock === undefined) {
      const holder = FileLock.holderOf(`${base}.lock`);
      const who = holder === undefined ? 'another process' : `process ${holder}`;
      throw new WeftError(`${owner.what} ${who} already`, { code: 'ALREADY_RUNNING', hint: owner.hint });
    }
    return new StateJournal(new RecordFile(`${base}.json`, 'endpoints', namespace, logger), lock);
  }

  load(): Ownership {
    const record = this.#file.load();
    if (record === undefined) return OWNS_NOTHING;
    const owned = parseOwnership(record);
    if (owned !== undefined) return owned;
    this.#file.reject();
    return OWNS_NOTHING;
  }

  save(owned: Ownership): void {
    if (owned.endpoints.length === 0 && Object.keys(owned.limits).length === 0) this.#file.remove();
    else this.#file.save(owned);
  }

  /** Lets another process be the writer. The record stays if something is still owned. */
  close(): void {
    this.#lock.release();
  }
}
