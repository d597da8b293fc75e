/**
 * A program that starts an appliance and kills itself on the way:
 * `appliance-child.mjs NAMESPACE STATE_FOLDER IMAGE DEEDS`. The guest gets no time to come up, so the start fails and
 * is undone, and DEEDS, which count what is made and removed on the host, may end it in both.
 */
import { readImageFolder } from '../../src/appliance/index.ts';
import { AgentClient } from '../../src/appliance/host/agent-client.ts';
import { QemuProcess } from '../../src/appliance/host/qemu-process.ts';
import { QmpClient } from '../../src/appliance/host/qmp.ts';
import { silentLogger } from '../../src/base/index.ts';
import { NfTables, RouteNetlink } from '../../src/netlink/index.ts';
import { ApplianceJournalFile } from '../../src/service/appliance/appliance-journal.ts';
import { ApplianceBackend } from '../../src/service/appliance/backend.ts';
import { dieAfter } from './die-after.ts';

const [, , netns = '', stateFolder = '', image = '', deeds = '0'] = process.argv;

dieAfter(Number(deeds), [
  [ApplianceJournalFile.prototype, ['save']],
  [NfTables.prototype, ['replace', 'remove']],
  [RouteNetlink.prototype, ['addRule', 'deleteRule']],
  [QemuProcess, ['start']],
  // QEMU runs then.
  [QmpClient.prototype, ['begin']],
  [AgentClient.prototype, ['waitForHello']],
]);
const backend = new ApplianceBackend({
  image: readImageFolder(image),
  qemu: 'qemu-system-x86_64',
  logger: silentLogger,
  stateFolder,
  netns,
  bootTimeoutMs: 1,
});
try {
  await backend.start();
} catch (error) {
  console.log((error as Error).message);
}
