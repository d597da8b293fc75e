/**
 * The entry of the data plane's outbound thread (dist/workers/outbound.js). The work is in data/outbound-loop.ts.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { startWorkerLoop, type EpollWorkerData } from '../native/index.ts';
import { OutboundLoop } from './data/outbound-loop.ts';
import type { DataPlaneOptions, ToDataThread } from './data/protocol.ts';

const port = parentPort;
if (port === null) throw new Error('outbound-worker is a worker thread, not a program');

const data = workerData as EpollWorkerData<DataPlaneOptions>;
new OutboundLoop(
  startWorkerLoop(data),
  {
    receive: () => receiveMessageOnPort(port)?.message as ToDataThread | undefined,
    send: (message) => port.postMessage(message),
  },
  data.options,
).runLoop();
port.close();
