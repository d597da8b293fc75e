/**
 * The plugins that come with the daemon, by name. They run in the daemon's own thread. Each is made anew for every
 * daemon, so that none keeps state from an earlier one.
 */
import type { Plugin } from './plugin-api.ts';
import { fullmesh, FULLMESH_SETTINGS } from './plugins/fullmesh.ts';
import { ndiffports, NDIFFPORTS_SETTINGS } from './plugins/ndiffports.ts';
import { policy, POLICY_SETTINGS } from './plugins/policy.ts';
import { sspi } from './plugins/sspi.ts';

export type ShippedPlugin = () => Plugin;

/** The work is done by AddrAdv and the daemon; as a plugin it only has a name, so that it can be chosen. */
export const ADDR_ADV = 'addr_adv';

const addrAdv: ShippedPlugin = () => ({
  name: ADDR_ADV,
  description: 'an endpoint of the kernel for each local address',
  priority: 19,
  init: (context) => context.register({}),
});

export const SHIPPED_PLUGINS: ReadonlyMap<string, ShippedPlugin> = new Map([
  [ADDR_ADV, addrAdv],
  ['sspi', sspi],
  ['fullmesh', fullmesh],
  ['ndiffports', ndiffports],
  ['policy', policy],
]);

/** The keys that each of them knows in its section of the configuration. */
export const SHIPPED_SETTINGS: ReadonlyMap<string, readonly string[]> = new Map([
  [ADDR_ADV, []],
  ['sspi', []],
  ['fullmesh', Object.keys(FULLMESH_SETTINGS)],
  ['ndiffports', Object.keys(NDIFFPORTS_SETTINGS)],
  ['policy', Object.keys(POLICY_SETTINGS)],
]);

/** What is loaded when nothing else is asked for, as with mptcpd. */
export const DEFAULT_SHIPPED_PLUGINS: readonly string[] = [ADDR_ADV, 'sspi'];

/** Those that serve only connections that the kernel leaves to userspace. */
export const USERSPACE_PLUGINS: ReadonlySet<string> = new Set(['sspi', 'fullmesh', 'ndiffports', 'policy']);
