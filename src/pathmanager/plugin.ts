/**
 * `weft/plugin`: what a plugin of the path-management daemon imports. The types are plugin-api.ts; at run time there
 * are `definePlugin`, which only helps the type checker, and the numbers that plugins need.
 *
 * Invariant: imports nothing at run time, because every plugin loads it in a thread of its own.
 */
import type { Plugin } from './plugin-api.ts';

export type * from './plugin-api.ts';

/** The plugin as it is; a typed way to write `export default`. */
export function definePlugin(plugin: Plugin): Plugin {
  return plugin;
}

/** Bits of an endpoint's flags (<linux/mptcp_pm.h>, MPTCP_PM_ADDR_FLAG_*). */
export const EndpointFlags = {
  signal: 1,
  subflow: 2,
  backup: 4,
  fullmesh: 8,
  implicit: 16,
  laminar: 32,
} as const;

/** Priorities as nice values; lower ones come first. */
export const PluginPriority = { high: -20, normal: 0, low: 19 } as const;

/** Scopes of addresses (rtnetlink(7), RT_SCOPE_*). */
export const AddressScope = { global: 0, site: 200, link: 253, host: 254 } as const;

/** Why a peer reset a subflow (RFC 8684 section 3.6). */
export const ResetReason = {
  unspecified: 0,
  mptcpSpecific: 1,
  lackOfResources: 2,
  prohibited: 3,
  tooMuchOutstandingData: 4,
  unacceptablePerformance: 5,
  middleboxInterference: 6,
} as const;
