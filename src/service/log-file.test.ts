import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogFile, openLogFile } from './log-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('never takes more than twice its bound, and keeps the newest lines', () => {
  const path = join(folder, 'up.log');
  const log = new LogFile(path, 1000);
  for (let i = 0; i < 500; i++) {
    log.write(`line ${i}\n`);
    expect(statSync(path).size).toBeLessThanOrEqual(1000);
  }
  log.close();
  expect(readdirSync(folder).sort()).toEqual(['up.log', 'up.log.1']);
  const both = readFileSync(`${path}.1`, 'utf8') + readFileSync(path, 'utf8');
  expect(both.length).toBeLessThanOrEqual(2000);
  const numbers = both
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.slice(5)));
  expect(numbers.at(-1)).toBe(499);
  expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

it('goes on in the file that another descriptor has too', () => {
  const path = join(folder, 'up.log');
  const stderr = openLogFile(path);
  const log = new LogFile(path, 100);
  for (let i = 0; i < 30; i++) log.write('0123456789\n');
  writeSync(stderr, 'last words\n');
  expect(readFileSync(path, 'utf8')).toMatch(/last words\n$/);
  log.close();
});

it('counts what was there before', () => {
  const path = join(folder, 'up.log');
  const first = new LogFile(path, 100);
  first.write(`${'x'.repeat(89)}\n`);
  first.close();
  const second = new LogFile(path, 100);
  second.write('0123456789\n');
  second.close();
  expect(readFileSync(path, 'utf8')).toBe('0123456789\n');
  expect(readFileSync(`${path}.1`, 'utf8')).toHaveLength(90);
});
