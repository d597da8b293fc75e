/**
 * A program that serves a tunnel, reads its configuration again and stops: `tunnel-child.mjs CONF [DEEDS]`. With DEEDS
 * it kills itself after so many changes of the kernel's state and of its record. What cannot be started is an error.
 */
import { silentLogger } from '../../src/base/index.ts';
import { RouteNetlink } from '../../src/netlink/index.ts';
import { ConfigurationFolder, ServiceManager, TunnelService } from '../../src/service/index.ts';
import { HostLedger } from '../../src/tunnel/host/host-journal.ts';
import { dieAfter } from './die-after.ts';

const [, , path = '', deeds] = process.argv;

if (deeds !== undefined) {
  dieAfter(Number(deeds), [
    [RouteNetlink.prototype, ['addRoute', 'deleteRoute', 'addAddress', 'setLink']],
    [HostLedger.prototype, ['setRoutes', 'setSettings']],
  ]);
}
const folder = new ConfigurationFolder(path, 'tunnel-child');
const { config, errors } = folder.readFolder();
if (config === undefined) throw new Error(JSON.stringify(errors));
const service = await TunnelService.start({
  version: '0',
  folder,
  config,
  logger: silentLogger,
  manager: new ServiceManager({}, process.pid, () => {}),
});
await service.reload();
await service.stop();
process.exit(0);
