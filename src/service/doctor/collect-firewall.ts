/**
 * Reads the packet filter rules of this network namespace for the checks: nf_tables over netlink, and what old iptables
 * holds through its own program. Changes nothing.
 */
import { execFile, spawnSync } from 'node:child_process';
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

const LEGACY_PROGRAMS = [
  ['iptables', '/proc/net/ip_tables_names'],
  ['ip6tables', '/proc/net/ip6_tables_names'],
] as const;

type LegacyProgram = (typeof LEGACY_PROGRAMS)[number][0];

const saverOf = (program: LegacyProgram) => `${program}-legacy-save`;

/** Old iptables, which nf_tables does not show, where it has tables; loading them needs its own program. */
function legacyTables(): { readonly program: LegacyProgram; readonly tables: string }[] {
  return LEGACY_PROGRAMS.flatMap(([program, file]) => {
    const tables = readText(file);
    return tables === undefined || tables === '' ? [] : [{ program, tables }];
  });
}

/** @param listings what the program printed; absent: it does not run here */
function legacyFindings(listings: ReadonlyMap<LegacyProgram, string>): Legacy {
  const findings: FirewallFinding[] = [];
  const forwardChains: ForwardChain[] = [];
  const unseen: string[] = [];
  for (const { program, tables } of legacyTables()) {
    const listing = listings.get(program);
    if (listing === undefined) {
      const names = tables.split(/\s+/).join(', ');
      unseen.push(`old ${program} rules are there (${names}), and ${saverOf(program)} does not run here`);
      continue;
    }
    findings.push(...inspectIptablesSave(listing, program));
    forwardChains.push(...inspectSavedForwarding(listing, program));
  }
  return { findings, forwardChains, ...(unseen.length === 0 ? {} : { unseen: unseen.join('; ') }) };
}

const LISTING = { encoding: 'utf8', timeout: PROGRAM_TIMEOUT_MS, maxBuffer: LISTING_MAX_BYTES } as const;

function listLegacy(): Map<LegacyProgram, string> {
  const listings = new Map<LegacyProgram, string>();
  for (const { program } of legacyTables()) {
    const { status, stdout } = spawnSync(saverOf(program), [], {
      ...LISTING,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (status === 0) listings.set(program, stdout);
  }
  return listings;
}

/** Starts the programs before it returns, so that they are in the caller's network namespace. */
function listLegacyLater(): Promise<Map<LegacyProgram, string>> {
  const asked = legacyTables().map(
    ({ program }) =>
      new Promise<readonly [LegacyProgram, string] | undefined>((resolve) => {
        execFile(saverOf(program), [], LISTING, (error, stdout) => {
          resolve(error === null ? [program, stdout] : undefined);
        });
      }),
  );
  return Promise.all(asked).then((answers) => new Map(answers.filter((answer) => answer !== undefined)));
}

/** What one dump of rules and one of chains tell. @throws NetlinkError EPERM without CAP_NET_ADMIN */
function readNfTables(): Pick<Legacy, 'findings' | 'forwardChains'> {
  const connection = new NetlinkConnection(NETLINK_NETFILTER);
  try {
    const list = (type: number, what: string) =>
      connection.dump(type, ALL_RULES_REQUEST, `list packet filter ${what}`).map(({ payload }) => payload);
    const rules = list(GET_RULES, 'rules');
    const chains = list(GET_CHAINS, 'chains');
    return {
      findings: rules.flatMap((payload) => inspectRule(payload) ?? []),
      forwardChains: inspectForwarding(chains, rules),
    };
  } finally {
    connection.close();
  }
}

function join(nfTables: Pick<Legacy, 'findings' | 'forwardChains'>, legacy: Legacy): FirewallFacts {
  return {
    ...legacy,
    looked: true,
    findings: [...nfTables.findings, ...legacy.findings],
    forwardChains: [...nfTables.forwardChains, ...legacy.forwardChains],
  };
}

const NO_NF_TABLES = { findings: [], forwardChains: [] };

/** @returns what there is, or why it could not be looked at */
function tryNfTables(): Pick<Legacy, 'findings' | 'forwardChains'> | { readonly why: string } {
  try {
    return readNfTables();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'EPERM') return { why: 'that needs CAP_NET_ADMIN' };
    // No subsystem answers: this kernel has no nf_tables, or has not loaded it, hence no rules of it.
    if (code === 'EINVAL' || code === 'EPROTONOSUPPORT') return NO_NF_TABLES;
    return { why: errorText(error) };
  }
}

/** Needs CAP_NET_ADMIN; without it the answer says so. May wait for a program: for commands. */
export function collectFirewall(): FirewallFacts {
  const nfTables = tryNfTables();
  return 'why' in nfTables
    ? { looked: false, why: nfTables.why }
    : join(nfTables, legacyFindings(listLegacy()));
}

/** The same for a process that has other things to do meanwhile. */
export async function collectFirewallLater(): Promise<FirewallFacts> {
  const nfTables = tryNfTables();
  if ('why' in nfTables) return { looked: false, why: nfTables.why };
  return join(nfTables, legacyFindings(await listLegacyLater()));
}
