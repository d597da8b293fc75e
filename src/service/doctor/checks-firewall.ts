/** Checks of what stands in the way of packets on this host (pure): packet filter rules, connection tracking. */
import type { Check } from './facts.ts';
import type { FirewallFinding } from './firewall.ts';

const HARM: Readonly<Record<FirewallFinding['kind'], string>> = {
  strips: 'takes the MPTCP option out of packets',
  drops: 'drops packets that carry the MPTCP option',
  synproxy: 'answers handshakes itself, without MPTCP (synproxy)',
};

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
    return {
      id,
      verdict: findings.some(({ kind }) => kind !== 'synproxy') ? 'fail' : 'warn',
      evidence: findings.map(({ kind, rule }) => `rule "${rule}" ${HARM[kind]}`).join('; '),
      advice: findings.map(({ remedy }) => remedy),
    };
  }
  if (unseen !== undefined) return { id, verdict: 'unknown', evidence: unseen, advice: [] };
  return { id, verdict: 'ok', evidence: 'no packet filter rule touches the MPTCP option', advice: [] };
};

export const checkConnectionTracking: Check = ({ sysctls }) => {
  const tracked = Number(sysctls.get('net.netfilter.nf_conntrack_count') ?? 0);
  if (tracked === 0 || sysctls.get('net.netfilter.nf_conntrack_tcp_be_liberal') !== '0') return undefined;
  return {
    id: 'conntrack',
    verdict: 'ok',
    evidence: 'connection tracking is strict, which is fine unless a rule drops what it holds for invalid',
    advice: ['if subflows stall: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1'],
  };
};
