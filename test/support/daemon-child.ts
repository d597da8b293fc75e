/**
 * A program that runs the path-management daemon with addr_adv until it is killed:
 * `daemon-child.mjs NAMESPACE STATE_FOLDER [DEEDS]`. Prints `ready` when it has begun. With DEEDS it kills itself
 * after so many changes of the kernel's path manager or of its record.
 */
import { silentLogger } from '../../src/base/index.ts';
import { EndpointFlag, PathManager } from '../../src/mptcp/index.ts';
import { PathDaemon } from '../../src/pathmanager/index.ts';
import { namespaceIdentity } from '../../src/service/namespace-identity.ts';
import { StateJournal } from '../../src/service/state.ts';
import { dieAfter } from './die-after.ts';

const [, , netns = '', stateFolder = '', deeds] = process.argv;

if (deeds !== undefined) {
  dieAfter(Number(deeds), [
    [PathManager.prototype, ['addEndpoint', 'deleteEndpoint', 'setEndpointFlags', 'setLimits']],
    [StateJournal.prototype, ['save']],
  ]);
}
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
