/**
 * The threads of a program under `weft/register`: loads the native library in each, once, in a way that terminating a
 * thread, or the end of the process, cannot turn into a crash (loading-lock.ts).
 */
import { getEnvironmentData, isMainThread, setEnvironmentData, Worker } from 'node:worker_threads';
import { WeftError } from '../base/index.ts';
import { LoadingLock } from './loading-lock.ts';

const KEY = 'weft.register.loading';

function findLock(): LoadingLock | undefined {
  if (isMainThread) {
    const lock = new LoadingLock();
    // Every thread that is started from now on has it, and those that it starts.
    setEnvironmentData(KEY, lock.memory);
    return lock;
  }
  const memory: unknown = getEnvironmentData(KEY);
  return memory instanceof SharedArrayBuffer ? new LoadingLock(memory) : undefined;
}

/**
 * @param load loads all that will ever be used, in a worker thread
 * @returns what is to be called before each use; throws WeftError where loading would not be safe
 */
export function loadSafely(load: () => void): () => void {
  const lock = findLock();
  if (lock === undefined) {
    return () => {
      throw new WeftError('weft/register was loaded in a worker thread and not in the main thread', {
        code: 'NOT_IN_MAIN',
        hint: 'start the program with "node --import weft/register"',
      });
    };
  }
  const { terminate } = Object.getOwnPropertyDescriptors(Worker.prototype);
  const original = terminate?.value as Worker['terminate'];
  Worker.prototype.terminate = function (this: Worker, ...args) {
    return lock.whileNoneLoads(() => original.apply(this, args));
  };
  if (isMainThread) {
    // It is not terminated, and ends its workers after this event.
    process.on('exit', () => lock.hold());
    return () => {};
  }
  let loaded = false;
  return () => {
    if (loaded) return;
    lock.load(load);
    loaded = true;
  };
}
