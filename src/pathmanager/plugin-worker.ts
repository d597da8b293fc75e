/**
 * The entry of a plugin's thread (dist/workers/plugin.js). The work is in plugin-host/plugin-program.ts.
 */
import * as nodeModule from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { PluginProgram } from './plugin-host/plugin-program.ts';
import type { PluginWorkerData } from './plugin-host/worker-protocol.ts';

const port = parentPort;
if (port === null) throw new Error('plugin-worker is a worker thread, not a program');

const HOOKS = './plugin-hooks.js';

/** Node 22.15 and newer run hooks in this thread; older ones in another one, which costs memory and time. */
type HookRegistry = { readonly registerHooks?: (hooks: object) => void };

const { registerHooks } = nodeModule as HookRegistry;
if (registerHooks === undefined) nodeModule.register(HOOKS, import.meta.url);
else registerHooks((await import(new URL(HOOKS, import.meta.url).href)) as object);

// A slip, not an attack, is what this stops. 0 and less are groups of processes, which the daemon may be in.
const kill = process.kill.bind(process);
process.kill = (pid, signal) => {
  if (pid === process.pid || !(pid > 0)) throw new Error('a plugin may not signal the daemon');
  return kill(pid, signal);
};

const data = workerData as PluginWorkerData;
await new PluginProgram(port, data).run(data.url);
