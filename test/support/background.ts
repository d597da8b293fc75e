/**
 * Wefts in the background of a lab's nodes: they are nobody's children, so a test ends them by `weft down`, and by
 * their recorded number when that is what it tests.
 */
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { LabNode, ProgramResult } from '../../src/lab/index.ts';
import { parseProcessRecord, type ProcessRecord } from '../../src/service/process-record.ts';
import { runtimeFiles, runWeft, WEFT } from './weft-program.ts';

export const MPTCPCTL = join(dirname(WEFT), 'mptcpctl.js');

export const mptcpctlCommand = (...args: string[]) => [process.execPath, MPTCPCTL, ...args];

export const runMptcpctl = (node: LabNode, ...args: string[]): Promise<ProgramResult> =>
  node.run(mptcpctlCommand(...args));

/** Of the Weft that runs in a node, or of one that was killed. */
export function recordIn(node: LabNode): ProcessRecord | undefined {
  const path = runtimeFiles(node).find((file) => /\/up-\d+\.json$/.test(file));
  return path === undefined ? undefined : parseProcessRecord(readFileSync(path, 'utf8'));
}

/** The record, when there must be one. */
export function pidIn(node: LabNode): number {
  const record = recordIn(node);
  if (record === undefined) throw new Error(`no Weft runs in "${node.name}"`);
  return record.pid;
}

/** For the end of a test, whatever it has left running. */
export async function endBackground(node: LabNode): Promise<void> {
  await runWeft(node, 'down');
  // The log of a start that failed stays, and the number of this namespace in its name is used again.
  for (const file of runtimeFiles(node)) rmSync(file, { force: true });
}
