/** The plugin `fullmesh`; what it wants is fullmesh-plan.ts. */
import type { Plugin } from '../plugin-api.ts';
import { fullmeshPlanner } from './fullmesh-plan.ts';
import { KeeperDriver } from './keeper-driver.ts';
import { readSettings, RETRY_SETTINGS } from './plugin-settings.ts';
import { DEFAULT_RETRY_TIMES } from './retry-pace.ts';

export const FULLMESH_SETTINGS = {
  ...RETRY_SETTINGS,
  server: { kind: 'boolean', default: false },
  'max-subflows': { kind: 'integer', default: 8, least: 1, most: 255 },
} as const;

export function fullmesh(): Plugin {
  let driver: KeeperDriver | undefined;
  return {
    name: 'fullmesh',
    description: 'every local address with every address of the peer',
    async init(context) {
      const settings = readSettings('fullmesh', context.settings, FULLMESH_SETTINGS);
      driver = new KeeperDriver(context, {
        planner: fullmeshPlanner({ server: settings.server, maximum: settings['max-subflows'] }),
        times: {
          ...DEFAULT_RETRY_TIMES,
          firstMs: settings['first-retry'],
          longestMs: settings['longest-retry'],
        },
      });
      await driver.start();
    },
    exit: () => driver?.close(),
  };
}
