/** The checks of `weft doctor` in their order, and the verdict over all (pure). */
import { checkCounters } from './checks-counters.ts';
import { checkConnectionTracking, checkFirewall, checkForwarding } from './checks-firewall.ts';
import * as kernel from './checks-kernel.ts';
import { checkBackup, checkEndpoints, checkLimits } from './checks-mptcp.ts';
import { checkReversePathFilter, checkRoutes, checkStalePaths, checkUplinks } from './checks-paths.ts';
import { checkRules } from './checks-rules.ts';
import type { Check, CheckResult, HostFacts } from './facts.ts';

/** In the order in which a person would look. */
const CHECKS: readonly Check[] = [
  kernel.checkPlatform,
  kernel.checkKernel,
  kernel.checkMptcp,
  kernel.checkWanted,
  kernel.checkPathManager,
  kernel.checkScheduler,
  kernel.checkPrivilege,
  checkUplinks,
  checkStalePaths,
  checkEndpoints,
  checkBackup,
  checkLimits,
  checkRoutes,
  checkRules,
  checkReversePathFilter,
  checkFirewall,
  checkForwarding,
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
