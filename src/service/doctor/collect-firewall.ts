/**
 * Reads the packet filter rules of this network namespace for the checks: nf_tables over netlink, and what old iptables
 * holds through its own program. Changes nothing.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { errorText } from '../../base/index.ts';
import { NetlinkConnection } from '../../netlink/index.ts';
import type { FirewallFacts } from './facts.ts';
import {
  ALL_RULES_REQUEST,
  GET_RULES,
  inspectIptablesSave,
  inspectRule,
  NETLINK_NETFILTER,
  type FirewallFinding,
} from './firewall.ts';
import { GET_CHAINS, inspectForwarding, inspectSavedForwarding, type ForwardChain } from './forwarding.ts';

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

const PROGRAM_TIMEOUT_MS = 5000;
/** BOUNDED: what is read of a rule listing. */
const LISTING_MAX_BYTES = 16 << 20;

interface Legacy {
  readonly findings: readonly FirewallFinding[];
  readonly forwardChains: readonly ForwardChain[];
  readonly unseen?: string;
}

/** Rules of old iptables, which nf_tables does not show. Loading them needs their own program. */
function legacyFindings(): Legacy {
  const findings: FirewallFinding[] = [];
  const forwardChains: ForwardChain[] = [];
  const unseen: string[] = [];
  for (const [program, file] of [
    ['iptables', '/proc/net/ip_tables_names'],
    ['ip6tables', '/proc/net/ip6_tables_names'],
  ] as const) {
    const tables = readText(file);
    if (tables === undefined || tables === '') continue;
    const saver = `${program}-legacy-save`;
    const listing = spawnSync(saver, [], {
      encoding: 'utf8',
      timeout: PROGRAM_TIMEOUT_MS,
      maxBuffer: LISTING_MAX_BYTES,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (listing.status === 0) {
      findings.push(...inspectIptablesSave(listing.stdout, program));
      forwardChains.push(...inspectSavedForwarding(listing.stdout, program));
      continue;
    }
    unseen.push(
      `old ${program} rules are there (${tables.split(/\s+/).join(', ')}), and ${saver} does not run here`,
    );
  }
  return { findings, forwardChains, ...(unseen.length === 0 ? {} : { unseen: unseen.join('; ') }) };
}

/** Needs CAP_NET_ADMIN; without it the answer says so. */
export function collectFirewall(): FirewallFacts {
  let connection: NetlinkConnection | undefined;
  try {
    const opened = new NetlinkConnection(NETLINK_NETFILTER);
    connection = opened;
    const list = (type: number, what: string) =>
      opened.dump(type, ALL_RULES_REQUEST, `list packet filter ${what}`).map(({ payload }) => payload);
    const rules = list(GET_RULES, 'rules');
    const chains = list(GET_CHAINS, 'chains');
    const legacy = legacyFindings();
    return {
      ...legacy,
      looked: true,
      findings: [...rules.flatMap((payload) => inspectRule(payload) ?? []), ...legacy.findings],
      forwardChains: [...inspectForwarding(chains, rules), ...legacy.forwardChains],
    };
  } catch (error) {
    return collectFirewallFailure(error);
  } finally {
    connection?.close();
  }
}

function collectFirewallFailure(error: unknown): FirewallFacts {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EPERM') return { looked: false, why: 'that needs CAP_NET_ADMIN' };
  // No subsystem answers: this kernel has no nf_tables, or has not loaded it, hence no rules of it.
  if (code === 'EINVAL' || code === 'EPROTONOSUPPORT') return { ...legacyFindings(), looked: true };
  return { looked: false, why: errorText(error) };
}
