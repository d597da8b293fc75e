/** FileLock between real processes: a process that is killed loses its lock, and a second one never gets in beside it. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileLock } from '../src/native/index.ts';

const native = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist/native/index.js');

let folder: string;
let path: string;
let holder: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-lock-'));
  path = join(folder, 'lock');
});

afterEach(() => {
  holder?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** flock(1) of util-linux holds the lock for as long as `cat` waits for its input. */
async function holdElsewhere(): Promise<ChildProcess> {
  holder = spawn('flock', ['--no-fork', '--exclusive', path, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout!, 'data');
  return holder;
}

it('is refused while another process has it, and to be had when that was killed', async () => {
  const other = await holdElsewhere();
  expect(FileLock.tryTake(path)).toBeUndefined();
  other.kill('SIGKILL');
  await once(other, 'exit');
  const lock = FileLock.tryTake(path);
  expect(lock).toBeDefined();
  expect(FileLock.holderOf(path)).toBe(process.pid);
  lock?.release();
});

it('is had by one of many processes at a time, each of which makes and removes the file', async () => {
  // Who has the lock makes a second file, which no other may find there.
  const program = `
    const { FileLock } = await import(process.argv[1]);
    const { openSync, closeSync, rmSync } = await import('node:fs');
    const [path, inside] = process.argv.slice(2);
    for (let taken = 0; taken < 10;) {
      const lock = FileLock.tryTake(path);
      if (lock !== undefined) {
        closeSync(openSync(inside, 'wx'));
        taken++;
        rmSync(inside);
        lock.release();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }`;
  const args = ['--input-type=module', '-e', program, native, path, join(folder, 'inside')];
  const children = Array.from({ length: 12 }, () =>
    spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
  const ends = await Promise.all(children.map((child) => once(child, 'exit')));
  expect(ends).toEqual(children.map(() => [0, null]));
  expect(existsSync(path)).toBe(false);
});

it('is exclusive within one process too, and release removes the file', () => {
  const first = FileLock.tryTake(path);
  expect(FileLock.tryTake(path)).toBeUndefined();
  first?.release();
  first?.release();
  expect(existsSync(path)).toBe(false);
  FileLock.tryTake(path)?.release();
});

it('release leaves a file alone that has taken the place of its own', () => {
  const lock = FileLock.tryTake(path);
  rmSync(path);
  writeFileSync(path, 'another');
  lock?.release();
  expect(existsSync(path)).toBe(true);
});

it('is to be had on a full disk, where nobody can write who has it', () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'none', folder]);
  try {
    writeFileSync(join(folder, 'filler'), new Uint8Array(4096));
    const lock = FileLock.tryTake(path);
    expect(lock).toBeDefined();
    expect(FileLock.holderOf(path)).toBeUndefined();
    expect(FileLock.tryTake(path)).toBeUndefined();
    lock?.release();
    expect(existsSync(path)).toBe(false);
  } finally {
    execFileSync('umount', [folder]);
  }
});

it('knows no holder of a file that names none', () => {
  expect(FileLock.holderOf(path)).toBeUndefined();
  writeFileSync(path, 'garbage');
  expect(FileLock.holderOf(path)).toBeUndefined();
});
