/** What killed processes leave in the runtime folder: kept for namespaces that live, cleared away for those that do not. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { FileLock } from '../src/native/index.ts';
import { livingNamespaces, removeAbandoned } from '../src/service/abandoned.ts';

let folder: string;
let node: LabNode;
let inode: number;

const OWN = 1;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-abandoned-'));
  node = new LabNode('gone', 'wab-gone');
  inode = statSync(node.path).ino;
});

afterEach(async () => {
  await node.close();
  rmSync(folder, { recursive: true });
});

function leave(...names: string[]): void {
  for (const name of names) writeFileSync(join(folder, name), 'x');
}

const left = () => readdirSync(folder).sort();

it('a record stays as long as its namespace does', async (test) => {
  if (livingNamespaces() === undefined) test.skip('not all processes can be seen here');
  const stems = [`control-${inode}.sock`, `control-${inode}.lock`, `paths-${inode}.json.new`];
  leave(...stems, `paths-${inode}.json`, `paths-${inode}.lock`);
  removeAbandoned(folder, OWN);
  expect(left()).toEqual([`paths-${inode}.json`, `paths-${inode}.json.new`]);
  await node.close();
  removeAbandoned(folder, OWN);
  expect(left()).toEqual([]);
});

it('what is in use, or its own, or not Weft’s, stays in any case', async () => {
  await node.close();
  const lock = FileLock.tryTake(join(folder, `paths-${inode}.lock`));
  const others = [`control-${OWN}.sock`, `paths-${OWN}.json`, 'paths-x.json', 'control-2.sock.bak', 'notes'];
  leave(`paths-${inode}.json`, ...others);
  removeAbandoned(folder, OWN);
  expect(left()).toEqual([...others, `paths-${inode}.json`, `paths-${inode}.lock`].sort());
  lock?.release();
});

it('a killed tunnel’s socket goes in its own namespace too, a running one’s stays', async () => {
  const own = statSync('/proc/self/ns/net').ino;
  const lock = FileLock.tryTake(join(folder, `tunnel.tun1-${own}.lock`));
  leave(`tunnel.tun0-${own}.sock`, `tunnel.tun1-${own}.sock`, `tunnel.12.34-${own}.json`);
  removeAbandoned(folder, own);
  expect(left()).toEqual([`tunnel.12.34-${own}.json`, `tunnel.tun1-${own}.lock`, `tunnel.tun1-${own}.sock`]);
  lock?.release();
});
