/**
 * The entry of a plugin's thread (dist/workers/plugin.js). The work is in plugin-host/plugin-program.ts.
 */
import { register } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { PluginProgram } from './plugin-host/plugin-program.ts';
import type { PluginWorkerData } from './plugin-host/worker-protocol.ts';

const port = parentPort;
if (port === null) throw new Error('plugin-worker is a worker thread, not a program');

register('./plugin-hooks.js', import.meta.url);
const data = workerData as PluginWorkerData;
await new PluginProgram(port, data).run(data.url);
