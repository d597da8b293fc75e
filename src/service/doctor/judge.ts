/** The checks of `weft doctor` in their order, and the verdict over all (pure). */
import { checkConnectionTracking, checkFirewall } from './checks-firewall.ts';
import * as kernel from './checks-kernel.ts';
import { checkCounters, checkEndpoints, checkLimits } from './checks-mptcp.ts';
import { checkReversePathFilter, checkRoutes, checkRules, checkUplinks } from './checks-paths.ts';
import type { Check, CheckResult, HostFacts } from './facts.ts';

/** In the order in which a person would look. */
const CHECKS: readonly Check[] = [
  kernel.checkPlatform,
  kernel.checkKernel,
  kernel.checkMptcp,
  kernel.checkPathManager,
  kernel.checkScheduler,
  kernel.checkPrivilege,
  checkUplinks,
  checkEndpoints,
  checkLimits,
  checkRoutes,
  checkRules,
  checkReversePathFilter,
  checkFirewall,
  checkConnectionTracking,
  checkCounters,
];

export interface Diagnosis {
  readonly healthy: boolean;
  readonly checks: readonly CheckResult[];
}

export function judge(facts: HostFacts): Diagnosis {
  const checks = CHECKS.flatMap((check) => check(facts) ?? []);
  return { healthy: checks.every(({ verdict }) => verdict !== 'fail'), checks };
}
