/**
 * What a rule of the plugin `policy` means for one connection (pure).
 */
import { formatSocketAddress } from '../../base/index.ts';
import { matchesPattern } from '../network/interface-rules.ts';
import { preferenceOf, ruleFor, type PolicyRule } from './policy-rules.ts';
import {
  IDLE_PLAN,
  isOwnHost,
  linkOf,
  meshOf,
  type ConnectionState,
  type LiveSubflow,
  type LocalAddress,
  type Planner,
  type SubflowPlan,
} from './subflow-plan.ts';

const isBackup = (rule: PolicyRule, link: string) =>
  rule.backup.some((pattern) => matchesPattern(pattern, link));

/** Those that the rule allows, the preferred first. */
function allowedOf(rule: PolicyRule, locals: readonly LocalAddress[]): LocalAddress[] {
  return locals
    .map((local) => ({ local, preference: preferenceOf(rule.interfaces, local.linkName) ?? -1 }))
    .filter(({ local, preference }) => local.usable && preference >= 0)
    .toSorted((a, b) => a.preference - b.preference)
    .map(({ local }) => local);
}

function planOf(rule: PolicyRule, connection: ConnectionState, locals: readonly LocalAddress[]): SubflowPlan {
  const allowed = allowedOf(rule, locals);
  const refused = new Map<LiveSubflow, string>();
  const backups = new Map<LiveSubflow, boolean>();
  for (const subflow of connection.subflows) {
    const name = linkOf(subflow, locals)?.name;
    if (name === undefined) continue;
    backups.set(subflow, isBackup(rule, name));
    if (preferenceOf(rule.interfaces, name) !== undefined) continue;
    const to = formatSocketAddress(subflow.remote.address, subflow.remote.port);
    const why = `rule "${rule.name}" (line ${rule.line}) does not allow ${name}`;
    refused.set(subflow, `closing the subflow from ${subflow.local.address} to ${to}: ${why}`);
  }
  const creates = (rule.create ?? !connection.serverSide) && rule.subflows > 0;
  const wanted = meshOf(connection, allowed, {
    count: rule.subflows,
    backup: (local) => isBackup(rule, local.linkName),
  });
  const announced = allowed.filter((local) => local.address !== connection.local.address);
  return {
    ...IDLE_PLAN,
    wanted: creates ? wanted : [],
    maximum: rule.maximum,
    reestablish: rule.reestablish,
    announced: rule.announce ? announced.map((local) => local.address) : [],
    refused,
    backups,
  };
}

/** @param rules asked for each time, so that they can be exchanged */
export function policyPlanner(rules: () => readonly PolicyRule[]): Planner {
  return (connection, locals) => {
    if (isOwnHost(connection, locals)) return undefined;
    const rule = ruleFor(rules(), connection, connection.owner);
    return rule === undefined || rule === 'unknown' ? undefined : planOf(rule, connection, locals);
  };
}
