/**
 * The entry of the relay's thread (dist/workers/relay.js). The work is in relay/relay-loop.ts.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { EpollLoop, type EpollWorkerData } from '../native/index.ts';
import type { RelayOptions, ToRelay } from './relay/protocol.ts';
import { RelayLoop } from './relay/relay-loop.ts';

const { wakeFd, options } = workerData as EpollWorkerData<RelayOptions>;
const port = parentPort;
if (port === null) throw new Error('relay-worker is a worker thread, not a program');

new RelayLoop(
  new EpollLoop({ wakeFd }),
  {
    receive: () => receiveMessageOnPort(port)?.message as ToRelay | undefined,
    send: (message) => port.postMessage(message),
  },
  options,
).runLoop();
port.close();
