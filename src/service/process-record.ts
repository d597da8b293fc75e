/**
 * The record of the process that runs a Weft, beside its lock in the runtime folder: who it is, how it was started,
 * where its log is. `weft down` finds the process by it when the control socket does not answer, and `weft up
 * --background` tells by it whether the one that runs is the one that was asked for.
 *
 * Invariant: believed only together with the process's start time, so that a number that was given again is no Weft.
 */
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, readProcessIdentity, type ProcessIdentity } from '../native/index.ts';
import { networkNamespaceInode, prepareRuntimeFolder } from './runtime-folder.ts';

export interface ProcessRecord extends ProcessIdentity {
  /** Options of the command line, without what only says how to start (`--background`). No secrets are among them. */
  readonly args: readonly string[];
  /** Where its log goes; absent: to its terminal. */
  readonly log?: string;
}

const FORMAT_VERSION = 1;
/** BOUNDED: a command line is at most 2 MiB, and this one is some hundred bytes. */
const FILE_MAX_BYTES = 1 << 20;

const pathOf = (folder: string, netnsInode: number) => join(folder, `up-${netnsInode}.json`);

/** Of a Weft in the background. */
export const logPath = (folder: string, netnsInode: number): string => join(folder, `up-${netnsInode}.log`);

const isTextList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** Pure. `undefined`: not such a record. */
export function parseProcessRecord(text: string): ProcessRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { args, log, pid, startTicks, version } = value as Record<string, unknown>;
  const valid =
    version === FORMAT_VERSION &&
    Number.isSafeInteger(pid) &&
    (pid as number) > 1 &&
    typeof startTicks === 'string' &&
    isTextList(args) &&
    (log === undefined || typeof log === 'string');
  if (!valid) return undefined;
  return { pid: pid as number, startTicks, args, ...(log === undefined ? {} : { log }) };
}

/** Of this process. @throws the errors of open(2), write(2) and rename(2) */
export function writeProcessRecord(
  folder: string,
  netnsInode: number,
  facts: Pick<ProcessRecord, 'args' | 'log'>,
): void {
  const identity = readProcessIdentity(process.pid);
  if (identity === undefined) return;
  const path = pathOf(folder, netnsInode);
  const record: ProcessRecord = { ...identity, ...facts };
  const text = `${JSON.stringify({ version: FORMAT_VERSION, ...record })}\n`;
  // The lock says that nobody else writes it.
  rmSync(`${path}.new`, { force: true });
  writeFileSync(`${path}.new`, text, { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.new`, path);
}

export function removeProcessRecord(folder: string, netnsInode: number): void {
  for (const ending of ['', '.new']) rmSync(`${pathOf(folder, netnsInode)}${ending}`, { force: true });
}

/** Also of a process that was killed. */
export function readProcessRecord(folder: string, netnsInode: number): ProcessRecord | undefined {
  const path = pathOf(folder, netnsInode);
  try {
    const stat = lstatSync(path);
    if (!stat.isFile() || stat.size > FILE_MAX_BYTES) return undefined;
    return parseProcessRecord(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Of a process that runs. */
export function readRunningRecord(folder: string, netnsInode: number): ProcessRecord | undefined {
  const record = readProcessRecord(folder, netnsInode);
  return record !== undefined && isRunning(record) ? record : undefined;
}

/** A test whether the process that has this number now goes on. */
export function isProcessOf({ pid }: { readonly pid: number }): () => boolean {
  const identity = readProcessIdentity(pid);
  return () => identity !== undefined && isRunning(identity);
}

/** Whether a Weft that has ended was killed: an orderly end removes its record. */
export function hasCrashed(pid: number): boolean {
  try {
    return readProcessRecord(prepareRuntimeFolder(), networkNamespaceInode())?.pid === pid;
  } catch {
    return false;
  }
}
