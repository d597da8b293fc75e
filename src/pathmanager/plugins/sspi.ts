/** The plugin `sspi`, single subflow per interface; what it wants is sspi-plan.ts. */
import { isLoopback } from '../../base/index.ts';
import type { Plugin } from '../plugin-api.ts';
import { KeeperDriver } from './keeper-driver.ts';
import { readSettings } from './plugin-settings.ts';
import { DEFAULT_RETRY_TIMES } from './retry-pace.ts';
import { sspiPlanner } from './sspi-plan.ts';

export function sspi(): Plugin {
  let driver: KeeperDriver | undefined;
  return {
    name: 'sspi',
    description: 'single subflow per interface: announces the addresses of the other interfaces',
    async init(context) {
      readSettings('sspi', context.settings, {});
      driver = new KeeperDriver(context, {
        planner: sspiPlanner,
        times: DEFAULT_RETRY_TIMES,
        remarkOn: ({ local }, locals) =>
          isLoopback(local.address) || locals.some(({ address }) => address === local.address)
            ? undefined
            : `No network interface with given IP address. (${local.address})`,
      });
      await driver.start();
    },
    exit: () => driver?.close(),
  };
}
