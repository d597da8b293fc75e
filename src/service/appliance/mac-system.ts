/** The hands of the Mac's appliance: runs macOS's commands, and keeps the record of what was made in a file. */
import { spawn } from 'node:child_process';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  EMPTY_MAC_RECORD,
  parseMacRecord,
  type MacCommand,
  type MacJournal,
  type MacRecord,
} from '../../appliance/index.ts';
import { WeftError } from '../../base/index.ts';

const COMMAND_TIMEOUT_MS = 15_000;
/** BOUNDED: routing tables are some hundred lines. */
const OUTPUT_MAX_BYTES = 1 << 20;

/** @throws WeftError COMMAND: it could not be run, or ended otherwise than with 0 */
export function runMacCommand({ args, input = '', program }: MacCommand): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: COMMAND_TIMEOUT_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (output.length < OUTPUT_MAX_BYTES) output += text;
      });
    }
    const fail = (why: string) =>
      reject(new WeftError(`${program} ${args.join(' ')}: ${why}`, { code: 'COMMAND' }));
    child.once('error', (error) => fail(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output);
      else fail(output.trim().split('\n').at(-1) || `it ended with ${signal ?? `exit code ${code}`}`);
    });
    // One that does not read is no error of ours.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** In the runtime folder. */
export const macRecordPath = (folder: string): string => join(folder, 'mac-appliance.json');

const RECORD_MAX_BYTES = 1 << 16;

/** The record as a file in a folder that only its owner enters; gone when nothing is owned. */
export class MacJournalFile implements MacJournal {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  load(): MacRecord {
    const stat = lstatSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size > RECORD_MAX_BYTES) return EMPTY_MAC_RECORD;
    try {
      return parseMacRecord(JSON.parse(readFileSync(this.#path, 'utf8'))) ?? EMPTY_MAC_RECORD;
    } catch {
      return EMPTY_MAC_RECORD;
    }
  }

  save(record: MacRecord): void {
    const temporary = `${this.#path}.new`;
    rmSync(temporary, { force: true });
    const isEmpty =
      record.aliases.length === 0 && record.pfTokens.length === 0 && !record.anchor && !record.forwarding;
    if (isEmpty) {
      rmSync(this.#path, { force: true });
      return;
    }
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, this.#path);
  }
}
