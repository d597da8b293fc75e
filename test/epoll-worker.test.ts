/**
 * EpollWorker with the lab's link worker as its program: however a thread begins and ends, no descriptor is left, and
 * none that is another one's by now is written to.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EpollWorker, libc, WakeFd } from '../src/native/index.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Eventfds only; other descriptors (pipes of the runner, loops of threads) come and go. */
const eventFds = () => {
  const text = spawnSync('ls', ['-l', `/proc/${process.pid}/fd`], { encoding: 'utf8' }).stdout;
  return text.split('\n').filter((line) => line.includes('[eventfd]')).length;
};

const ignore = () => {};
const start = (options: unknown, onFailure: (error: Error) => void = ignore, name = 'link') =>
  new EpollWorker<unknown, unknown, unknown>(name, options, ignore, onFailure);

let before = 0;
beforeEach(() => {
  before = eventFds();
});
afterEach(() => {
  expect(eventFds()).toBe(before);
});

it('leaves nothing when there is no such program, or its options cannot be copied', () => {
  expect(() => start({}, ignore, 'nosuch')).toThrow(
    'worker program "nosuch" is missing — run "npm run build"',
  );
  expect(() => start({ links: ignore })).toThrow(/could not be cloned/);
});

it('tells that its program threw, ends, and then does nothing more', async () => {
  const failures: string[] = [];
  const worker = start({ links: 'none' }, (error) => failures.push(error.message));
  await worker.ended;
  expect(failures).toEqual([expect.stringMatching(/undefined|iterable/)]);
  // These take the number of its wake-up descriptor, among others.
  const others = Array.from({ length: 16 }, () => new WakeFd());
  worker.post('anything');
  await worker.stop();
  await worker.stop();
  const value = new Uint8Array(8);
  expect(others.filter(({ fd }) => libc.read(fd, value, 8) !== -1)).toEqual([]);
  for (const other of others) other.close();
});

it('stops at whatever moment of its beginning, also when told twice at once', () => {
  // In a process of its own, because a thread that is stopped while it loads koffi takes the process with it.
  const program = `
    const { EpollWorker } = await import(${JSON.stringify(join(root, 'dist/native/index.js'))});
    const ignore = () => {};
    for (let i = 0; i < 60; i++) {
      const worker = new EpollWorker('link', { links: [] }, ignore, ignore);
      const until = performance.now() + i;
      if (i % 3 !== 0) await new Promise((resolve) => setTimeout(resolve, i));
      else while (performance.now() < until);
      await Promise.all([worker.stop(), worker.stop()]);
    }
    console.log('all stopped');`;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 50_000,
  });
  expect(result).toMatchObject({ status: 0, signal: null, stderr: '', stdout: 'all stopped\n' });
});

it('keeps one thread and one wake-up descriptor while it runs', async () => {
  const threads = () => readdirSync('/proc/self/task').length;
  const threadsBefore = threads();
  const worker = start({ links: [] });
  expect(eventFds()).toBeGreaterThan(before);
  await worker.stop();
  await expect.poll(threads).toBeLessThanOrEqual(threadsBefore);
});
