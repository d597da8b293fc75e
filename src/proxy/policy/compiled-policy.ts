/**
 * A policy ready to be asked (pure). Rules on names count before a name is resolved; rules on addresses count for
 * each address that would be dialled, so a name that leads into a refused prefix is no way around the rule.
 *
 * Asked in two steps: `decide` with what the client named, and, when that says so, `decideAddress` with every address
 * of the name.
 *
 * Invariant: the first rule in the policy's order that counts decides, whichever of name and address made it count.
 */
import {
  isIpv6,
  isLinkLocal,
  isLoopback,
  inPrefix,
  unmapV4,
  WeftError,
  type Prefix,
} from '../../base/index.ts';
import { rulesSee, rulesSeeDestination } from './prefix-table.ts';
import { RuleIndex, type IndexedRule, type Question } from './rule-index.ts';
import {
  MAX_RULES,
  MAX_UPSTREAMS,
  MAX_USERS,
  type ClientIdentity,
  type Destination,
  type ProxyPolicy,
  type ProxyRule,
  type Way,
} from './types.ts';

export interface Decision {
  readonly way: Way;
  /** Absent: no rule counted. */
  readonly rule?: ProxyRule;
  /** Of a name: rules on addresses stand before the one that counted; ask `decideAddress` for each of its addresses. */
  readonly byAddress: boolean;
  /** One of those rules refuses, so a way that resolves the name elsewhere must be given an address that was asked for. */
  readonly refusesByAddress: boolean;
}

/** RFC 1918, RFC 6598, RFC 4193: what other networks have too. */
export const PRIVATE_PREFIXES: readonly Prefix[] = [
  { address: '10.0.0.0', length: 8 },
  { address: '172.16.0.0', length: 12 },
  { address: '192.168.0.0', length: 16 },
  { address: '100.64.0.0', length: 10 },
  { address: 'fc00::', length: 7 },
];

export const LOOPBACK_PREFIXES: readonly Prefix[] = [
  { address: '127.0.0.0', length: 8 },
  { address: '::1', length: 128 },
];

export const LINK_LOCAL_PREFIXES: readonly Prefix[] = [
  { address: '169.254.0.0', length: 16 },
  { address: 'fe80::', length: 10 },
];

/** A name as rules see it: `Example.ORG.` is `example.org`. */
function plainName(host: string): string {
  return host.toLowerCase().replace(/\.+$/, '');
}

/** This host's own name, wherever it is resolved (RFC 6761 section 6.3). */
export function isLocalName(host: string): boolean {
  const name = plainName(host);
  return name === 'localhost' || name.endsWith('.localhost');
}

/** What no far end can mean the same by: numbers of this host and of private networks, and this host's name. */
function isNearby(host: string): boolean {
  const address = unmapV4(host);
  if (rulesSee(address).length === 0) return isLocalName(host);
  if (isLoopback(address) || isLinkLocal(address)) return true;
  return PRIVATE_PREFIXES.some(
    (prefix) => isIpv6(prefix.address) === isIpv6(address) && inPrefix(address, prefix),
  );
}

const DIRECT: Way = { kind: 'direct' };

export class CompiledPolicy {
  readonly policy: ProxyPolicy;
  /** Rules ask who the client is: what was allowed to one is not to be used for another. */
  readonly isClientSpecific: boolean;
  readonly #rules: RuleIndex;
  /** Rules with prefixes as if they had none, to learn whether addresses matter at all. */
  readonly #onAddresses: RuleIndex;
  readonly #refusingAddresses: RuleIndex;

  /** @throws WeftError `BAD_POLICY` when it names upstream proxies that it lacks, or is too large */
  constructor(policy: ProxyPolicy) {
    check(policy);
    this.policy = policy;
    const indexed: IndexedRule[] = policy.rules.map((rule, index) => ({ rule, index }));
    const onAddresses = indexed.filter(({ rule }) => (rule.to?.prefixes.length ?? 0) > 0);
    this.isClientSpecific = policy.rules.some(({ from, users }) => from !== undefined || users !== undefined);
    this.#rules = new RuleIndex(indexed);
    this.#onAddresses = new RuleIndex(onAddresses, true);
    this.#refusingAddresses = new RuleIndex(
      onAddresses.filter(({ rule }) => rule.way.kind === 'refuse'),
      true,
    );
  }

  /** Rules looked at so far; for tests of the effort. */
  get looked(): number {
    return this.#rules.looked + this.#onAddresses.looked + this.#refusingAddresses.looked;
  }

  /** What follows from what the client named. */
  decide(destination: Destination, client: ClientIdentity): Decision {
    return this.#decide(destination, questionOf(destination, client, rulesSeeDestination(destination.host)));
  }

  /** What follows for one address of the name that the client gave. */
  decideAddress(destination: Destination, client: ClientIdentity, address: string): Decision {
    return this.#decide(destination, questionOf(destination, client, rulesSeeDestination(address)));
  }

  #decide({ host }: Destination, question: Question): Decision {
    const found = this.#rules.first(question);
    const named = question.name !== undefined;
    const byAddress = named && this.#onAddresses.first(question, found?.index) !== undefined;
    const refusesByAddress = byAddress && this.#refusingAddresses.first(question, found?.index) !== undefined;
    if (found !== undefined) return { way: found.rule.way, rule: found.rule, byAddress, refusesByAddress };
    const { defaultWay } = this.policy;
    const way = defaultWay.kind === 'upstream' && isNearby(host) ? DIRECT : defaultWay;
    return { way, byAddress, refusesByAddress };
  }
}

function questionOf(
  { host, port }: Destination,
  client: ClientIdentity,
  addresses: readonly Uint8Array[],
): Question {
  return {
    name: rulesSee(host).length > 0 ? undefined : plainName(host),
    addresses,
    port,
    clientAddresses: rulesSee(client.address),
    user: client.user,
  };
}

const bad = (text: string): WeftError => new WeftError(text, { code: 'BAD_POLICY' });

function check({ rules, upstreams, users, defaultWay }: ProxyPolicy): void {
  if (rules.length > MAX_RULES) throw bad(`there are ${rules.length} rules, more than ${MAX_RULES}`);
  if (upstreams.size > MAX_UPSTREAMS) {
    throw bad(`there are ${upstreams.size} upstream proxies, more than ${MAX_UPSTREAMS}`);
  }
  if (users.size > MAX_USERS) throw bad(`there are ${users.size} users, more than ${MAX_USERS}`);
  for (const way of [defaultWay, ...rules.map((rule) => rule.way)]) {
    if (way.kind === 'upstream' && !upstreams.has(way.upstream)) {
      throw bad(`there is no upstream proxy "${way.upstream}"`);
    }
  }
}
