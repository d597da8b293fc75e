/** The plugin `ndiffports`; what it wants is ndiffports-plan.ts. */
import type { Plugin } from '../plugin-api.ts';
import { KeeperDriver } from './keeper-driver.ts';
import { ndiffportsPlanner } from './ndiffports-plan.ts';
import { readSettings, RETRY_SETTINGS } from './plugin-settings.ts';
import { DEFAULT_RETRY_TIMES } from './retry-pace.ts';

export const NDIFFPORTS_SETTINGS = {
  ...RETRY_SETTINGS,
  subflows: { kind: 'integer', default: 2, least: 1, most: 255 },
  server: { kind: 'boolean', default: false },
} as const;

export function ndiffports(): Plugin {
  let driver: KeeperDriver | undefined;
  return {
    name: 'ndiffports',
    description: 'several subflows between the same two addresses, from different ports',
    async init(context) {
      const settings = readSettings('ndiffports', context.settings, NDIFFPORTS_SETTINGS);
      driver = new KeeperDriver(context, {
        planner: ndiffportsPlanner(settings),
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
