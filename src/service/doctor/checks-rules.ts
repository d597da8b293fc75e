/** Check of policy rules (pure): what a killed Weft left, and rules of others that lead a path's packets elsewhere. */
import { AF_INET6, inPrefix } from '../../base/index.ts';
import { RTPROT_WEFT, type Rule } from '../../netlink/index.ts';
import { could, goesRight } from './checks-paths.ts';
import type { Check, HostFacts, ReadFact } from './facts.ts';
import type { HostFindingId } from './finding-ids.ts';

/** Shown in evidence; a host may have hundreds of rules. */
const RULES_SHOWN_MAX = 8;

function ruleFact({ priority, source, table, mark, outputLink }: Rule): ReadFact {
  const parts = [
    source === undefined ? 'from all' : `from ${source.address}/${source.length}`,
    ...(mark === undefined ? [] : [`fwmark ${mark}`]),
    ...(outputLink === undefined ? [] : [`oif ${outputLink}`]),
    `lookup ${table}`,
  ];
  return { name: `rule ${priority}`, value: parts.join(' ') };
}

/** The kernel's own, to the tables local, main and default. */
const isUsual = ({ priority, source }: Rule) =>
  source === undefined && (priority === 0 || priority === 32_766 || priority === 32_767);

/** It is about all that comes from the address, whatever else. */
const applies = (rule: Rule, address: string) =>
  (rule.family === AF_INET6) === address.includes(':') &&
  (rule.source === undefined || inPrefix(address, rule.source)) &&
  rule.mark === undefined &&
  rule.destination === undefined &&
  rule.inputLink === undefined &&
  rule.outputLink === undefined;

/**
 * Rules of others that may be what leads a path's packets elsewhere: they come before Weft's, or there are none of
 * Weft's, and they apply to what comes from that address. Which of them it is only the kernel knows.
 */
function rulesInTheWay(facts: HostFacts): readonly Rule[] {
  const { lookups = [], rules = [], uplinkCount = 0 } = facts;
  if (uplinkCount < 2) return [];
  const wrong = lookups.filter(({ path, bySource }) => !goesRight(path, bySource));
  return rules.filter((rule) => {
    if (rule.protocol === RTPROT_WEFT || isUsual(rule)) return false;
    return wrong.some(({ path }) => {
      const ours = rules.find((one) => one.protocol === RTPROT_WEFT && one.source?.address === path.address);
      return applies(rule, path.address) && (ours === undefined || rule.priority < ours.priority);
    });
  });
}

const shown = (rules: readonly Rule[]) => rules.slice(0, RULES_SHOWN_MAX).map(ruleFact);

export const checkRules: Check = (facts) => {
  const { rules, running, netAdmin } = facts;
  const id = 'rules';
  if (rules === undefined) return { id, verdict: 'unknown', evidence: could('policy rules'), advice: [] };
  const ours = rules.filter(({ protocol }) => protocol === RTPROT_WEFT);
  // Without rights a Weft of root's cannot be seen, and its rules can.
  if (ours.length > 0 && running === undefined && netAdmin === true) {
    return {
      id,
      cause: 'rules-left' satisfies HostFindingId,
      verdict: 'warn',
      evidence: `${ours.length} policy rule${ours.length === 1 ? ' is' : 's are'} left of a Weft that was killed`,
      facts: shown(ours),
      advice: ['weft down', '"weft up" removes them too when it starts next'],
    };
  }
  const inTheWay = rulesInTheWay(facts);
  if (inTheWay.length > 0) {
    const one = inTheWay.length === 1;
    return {
      id,
      cause: 'rules-of-others' satisfies HostFindingId,
      verdict: 'warn',
      evidence: `${inTheWay.length} policy rule${one ? '' : 's'} of another program ${one ? 'leads' : 'lead'} packets of a path elsewhere (priority ${inTheWay.map(({ priority }) => priority).join(', ')})`,
      facts: shown(inTheWay),
      advice: inTheWay.slice(0, RULES_SHOWN_MAX).map((rule) => {
        const from = rule.source === undefined ? '' : ` from ${rule.source.address}/${rule.source.length}`;
        const ip = rule.family === AF_INET6 ? 'ip -6' : 'ip';
        return `if nobody needs it: ${ip} rule del${from} priority ${rule.priority}`;
      }),
    };
  }
  const bySource = rules.filter(({ source, protocol }) => source !== undefined && protocol !== RTPROT_WEFT);
  const others = bySource.length === 0 ? 'none of others' : `${bySource.length} of others by source address`;
  const evidence = `policy rules: ${ours.length} of Weft, ${others}`;
  return { id, verdict: 'ok', evidence, facts: shown([...ours, ...bySource]), advice: [] };
};
