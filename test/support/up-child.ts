/**
 * A program that runs a supervisor until it is told to end: `up-child.mjs NAMESPACE|- STATE_FOLDER [DEEDS]`. Prints
 * the mode and then the status, one line each. With DEEDS it starts and stops at once, and kills itself after so many
 * changes of the kernel's state.
 */
import { silentLogger } from '../../src/base/index.ts';
import { PathManager } from '../../src/mptcp/index.ts';
import { RouteNetlink } from '../../src/netlink/index.ts';
import { Supervisor } from '../../src/service/supervisor.ts';
import { dieAfter } from './die-after.ts';

const [, , netns = '-', stateFolder = '', deeds] = process.argv;

if (deeds !== undefined) {
  dieAfter(Number(deeds), [
    [RouteNetlink.prototype, ['addRoute', 'deleteRoute', 'addRule', 'deleteRule']],
    [PathManager.prototype, ['addEndpoint', 'deleteEndpoint', 'setLimits']],
  ]);
}
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
