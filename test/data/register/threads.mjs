/**
 * A Node program that knows nothing of Weft: ends threads that begin to connect, by `terminate` or by the end of the
 * process, at another moment each time. Arguments: how, and how many times.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const [how, times] = process.argv.slice(2);
const program = `
  const { connect } = require('node:net');
  require('node:worker_threads').parentPort.postMessage('now');
  for (let i = 0; i < 5; i++) connect(1, '127.0.0.1').on('error', () => {});`;
const LONGEST_MS = 4;

/** Busy, so that the moment is hit that was meant. */
function spend(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

if (how === 'terminate') {
  for (let i = 0; i < Number(times); i++) {
    const worker = new Worker(program, { eval: true });
    await once(worker, 'message');
    spend((LONGEST_MS * i) / Number(times));
    await worker.terminate();
  }
  console.log('done');
} else {
  const workers = Array.from({ length: 4 }, () => new Worker(program, { eval: true }));
  await Promise.race(workers.map((worker) => once(worker, 'message')));
  spend((LONGEST_MS * Number(how)) / Number(times));
  process.exit(5);
}
