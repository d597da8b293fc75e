/**
 * A program that runs a supervisor until it is told to end: `up-child.mjs NAMESPACE|- STATE_FOLDER [DEEDS]`. Prints
 * the mode and then the status, one line each. With DEEDS it starts and stops at once, and kills itself after so many
 * changes of the kernel's state.
 */
import { silentLogger } from '../../src/base/index.ts';
import { PathManager } from '../../src/mptcp/index.ts';
import { RouteNetlink } from '../../src/netlink/index.ts';
import { Supervisor } from '../../src/service/supervisor.ts';

const [, , netns = '-', stateFolder = '', deeds] = process.argv;

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
  wrap(RouteNetlink.prototype, ['addRoute', 'deleteRoute', 'addRule', 'deleteRule']);
  wrap(PathManager.prototype, ['addEndpoint', 'deleteEndpoint', 'setLimits']);
}

if (deeds !== undefined) dieAfter(Number(deeds));
const supervisor = new Supervisor({
  logger: silentLogger,
  stateFolder,
  ...(netns === '-' ? {} : { netns }),
});
process.once('SIGTERM', () => {
  void supervisor.stop().then(() => process.exit(0));
});
await supervisor.start();
console.log(supervisor.status().mode);
console.log(JSON.stringify(supervisor.status()));
if (deeds !== undefined) {
  await supervisor.stop();
  process.exit(0);
}
