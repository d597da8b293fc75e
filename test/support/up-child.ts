/**
 * A program that runs a supervisor until it is told to end: `up-child.mjs NAMESPACE|- STATE_FOLDER`. Prints the mode
 * and then the status, one line each.
 */
import { silentLogger } from '../../src/base/index.ts';
import { Supervisor } from '../../src/service/supervisor.ts';

const [, , netns = '-', stateFolder = ''] = process.argv;
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
