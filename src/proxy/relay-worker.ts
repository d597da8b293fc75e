/**
 * The entry of the relay's thread (dist/workers/relay.js). The work is in relay/relay-loop.ts.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { startWorkerLoop, type EpollWorkerData } from '../native/index.ts';
import type { RelayOptions, ToRelay } from './relay/protocol.ts';
import { RelayLoop } from './relay/relay-loop.ts';

const port = parentPort;
if (port === null) throw new Error('relay-worker is a worker thread, not a program');

const data = workerData as EpollWorkerData<RelayOptions>;
new RelayLoop(
  startWorkerLoop(data),
  {
    receive: () => receiveMessageOnPort(port)?.message as readonly ToRelay[] | undefined,
    send: (message) => port.postMessage(message),
  },
  data.options,
).runLoop();
port.close();
