/** Checks of what stands in the way of packets on this host (pure): packet filter rules, connection tracking. */
import { settingFact } from './checks-kernel.ts';
import type { Check } from './facts.ts';
import type { FirewallFinding } from './firewall.ts';
import type { HostFindingId } from './finding-ids.ts';

const HARM: Readonly<Record<FirewallFinding['kind'], string>> = {
  strips: 'takes the MPTCP option out of packets',
  drops: 'drops packets that carry the MPTCP option',
  synproxy: 'answers handshakes itself, without MPTCP (synproxy)',
};

/** The worst kind first. */
const CAUSES: readonly (readonly [FirewallFinding['kind'], HostFindingId])[] = [
  ['strips', 'firewall-strips'],
  ['drops', 'firewall-drops'],
  ['synproxy', 'firewall-synproxy'],
];

export const checkFirewall: Check = ({ firewall }) => {
  const id = 'firewall';
  if (!firewall.looked) {
    return {
      id,
      verdict: 'unknown',
      evidence: `could not look at packet filter rules: ${firewall.why}`,
      advice: ['sudo weft doctor'],
    };
  }
  const { findings, unseen } = firewall;
  if (findings.length > 0) {
    const cause = CAUSES.find(([kind]) => findings.some((found) => found.kind === kind))?.[1];
    return {
      id,
      ...(cause === undefined ? {} : { cause }),
      verdict: findings.some(({ kind }) => kind !== 'synproxy') ? 'fail' : 'warn',
      evidence: findings.map(({ kind, rule }) => `rule "${rule}" ${HARM[kind]}`).join('; '),
      facts: findings.map(({ kind, rule }) => ({ name: `rule that ${kind}`, value: rule })),
      advice: findings.map(({ remedy }) => remedy),
    };
  }
  if (unseen !== undefined) return { id, verdict: 'unknown', evidence: unseen, advice: [] };
  return { id, verdict: 'ok', evidence: 'no packet filter rule touches the MPTCP option', advice: [] };
};

/**
 * Firewalls of others (ufw, Docker, firewalld) drop what passes through the host unless a rule lets it, and the guest's
 * packets pass. Weft works around no firewall; it says so.
 */
export const checkForwarding: Check = ({ firewall, running }) => {
  if (running?.backend !== 'appliance' || !firewall.looked) return undefined;
  const id = 'forwarding';
  const dropping = firewall.forwardChains?.filter(({ letsGuestPass }) => !letsGuestPass) ?? [];
  if (dropping.length === 0) {
    return { id, verdict: 'ok', evidence: "no firewall drops the appliance's packets", advice: [] };
  }
  return {
    id,
    cause: 'forwarding-dropped',
    verdict: 'fail',
    evidence: `${dropping.map(({ chain }) => `chain "${chain}"`).join(', ')} ${dropping.length === 1 ? 'drops' : 'drop'} what passes through this host, and has no rule for the appliance's links`,
    facts: dropping.map(({ chain }) => ({ name: `policy of ${chain}`, value: 'drop' })),
    advice: dropping.flatMap(({ remedies }) => remedies),
  };
};

export const checkConnectionTracking: Check = ({ sysctls }) => {
  const name = 'net.netfilter.nf_conntrack_tcp_be_liberal';
  const tracked = Number(sysctls.get('net.netfilter.nf_conntrack_count') ?? 0);
  if (tracked === 0 || sysctls.get(name) !== '0') return undefined;
  return {
    id: 'conntrack',
    verdict: 'ok',
    evidence: 'connection tracking is strict, which is fine unless a rule drops what it holds for invalid',
    facts: [settingFact(sysctls, name)],
    advice: [`if subflows stall: sysctl -w ${name}=1`],
  };
};
