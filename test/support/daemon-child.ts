/**
 * A program that runs the path-management daemon with addr_adv until it is killed:
 * `daemon-child.mjs NAMESPACE STATE_FOLDER [DEEDS]`. Prints `ready` when it has begun. With DEEDS it kills itself
 * after so many changes of the kernel's path manager or of its record.
 */
import { silentLogger } from '../../src/base/index.ts';
import { EndpointFlag, PathManager } from '../../src/mptcp/index.ts';
import { PathDaemon } from '../../src/pathmanager/index.ts';
import { namespaceIdentity, StateJournal } from '../../src/service/state.ts';

const [, , netns = '', stateFolder = '', deeds] = process.argv;

/** Lets the methods named do their work `limit` times in all, and then ends the process as SIGKILL does. */
function dieAfter(limit: number): void {
  let done = 0;
  const wrap = (prototype: object, names: readonly string[]) => {
    for (const name of names) {
      const method = Reflect.get(prototype, name) as (...args: unknown[]) => unknown;
      Reflect.set(prototype, name, function counted(this: unknown, ...args: unknown[]): unknown {
        if (done === limit) process.kill(process.pid, 'SIGKILL');
        const result = method.apply(this, args);
        done++;
        return result;
      });
    }
  };
  wrap(PathManager.prototype, ['addEndpoint', 'deleteEndpoint', 'setEndpointFlags', 'setLimits']);
  wrap(StateJournal.prototype, ['save']);
}

if (deeds !== undefined) dieAfter(Number(deeds));
const daemon = new PathDaemon({
  logger: silentLogger,
  netns,
  loadPlugins: ['addr_adv'],
  addressFlags: EndpointFlag.subflow,
  notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
  rules: [],
  pluginSettings: new Map(),
  journal: StateJournal.open(stateFolder, namespaceIdentity(netns), silentLogger),
  keepEndpoints: false,
});
await daemon.start();
console.log('ready');
if (deeds !== undefined) {
  await daemon.stop();
  process.exit(0);
}
