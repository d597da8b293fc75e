/**
 * The entry of the data plane's inbound thread (dist/workers/inbound.js). The work is in data/inbound-loop.ts.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { startWorkerLoop, type EpollWorkerData } from '../native/index.ts';
import { InboundLoop } from './data/inbound-loop.ts';
import type { DataPlaneOptions, ToDataThread } from './data/protocol.ts';

const port = parentPort;
if (port === null) throw new Error('inbound-worker is a worker thread, not a program');

const data = workerData as EpollWorkerData<DataPlaneOptions>;
new InboundLoop(
  startWorkerLoop(data),
  {
    receive: () => receiveMessageOnPort(port)?.message as ToDataThread | undefined,
    send: (message) => port.postMessage(message),
  },
  data.options,
).runLoop();
port.close();
