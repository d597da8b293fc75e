/**
 * Finds the first rule that counts for a question, without asking each (pure). A rule is filed under the most telling
 * condition that it has: destination, else user, else client prefix, else port; the others are checked on the few
 * that come up. Only rules without any of these are gone through one by one.
 *
 * Invariant: lists of rules are in the order of the policy, so that the first of a list that counts is its best.
 */
import type { ProxyRule } from './types.ts';
import { PrefixSet, PrefixTable } from './prefix-table.ts';

/** What rules are asked about. */
export interface Question {
  /** As rules see it: a name in lower case without a last dot; `undefined` when an address was asked for. */
  readonly name: string | undefined;
  /** Addresses of the destination, as rules see them; empty before they are known. */
  readonly addresses: readonly Uint8Array[];
  readonly port: number;
  /** As rules see them. */
  readonly clientAddresses: readonly Uint8Array[];
  readonly user: string | undefined;
}

export interface IndexedRule {
  /** Its place in the policy. */
  readonly index: number;
  readonly rule: ProxyRule;
}

interface Filed extends IndexedRule {
  readonly from: PrefixSet | undefined;
  readonly users: ReadonlySet<string> | undefined;
}

/** Ranges wider than this are not filed port by port. */
const MAX_FILED_PORTS = 64;

const makeList = (): Filed[] => [];

function listAt<K>(map: Map<K, Filed[]>, key: K): Filed[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}

export class RuleIndex {
  readonly #names = new Map<string, Filed[]>();
  readonly #domains = new Map<string, Filed[]>();
  readonly #prefixes = new PrefixTable<Filed[]>();
  readonly #users = new Map<string, Filed[]>();
  readonly #from = new PrefixTable<Filed[]>();
  readonly #ports = new Map<number, Filed[]>();
  readonly #others: Filed[] = [];
  /** Rules looked at since it was made; for tests of the effort. */
  looked = 0;

  /**
   * @param rules in the policy's order
   * @param ignoreDestinations as if no rule said where to; then only the other conditions count
   */
  constructor(rules: Iterable<IndexedRule>, ignoreDestinations = false) {
    for (const { index, rule } of rules) {
      const filed: Filed = {
        index,
        rule,
        from: rule.from === undefined ? undefined : new PrefixSet(rule.from),
        users: rule.users === undefined ? undefined : new Set(rule.users),
      };
      for (const list of new Set(this.#listsFor(rule, ignoreDestinations))) list.push(filed);
    }
  }

  #listsFor({ to, users, from, ports }: ProxyRule, ignoreDestinations: boolean): Filed[][] {
    if (to !== undefined && !ignoreDestinations) {
      return [
        ...to.names.map(({ name, subdomains }) => listAt(subdomains ? this.#domains : this.#names, name)),
        ...to.prefixes.map((prefix) => this.#prefixes.at(prefix, makeList)),
      ];
    }
    if (users !== undefined) return users.map((user) => listAt(this.#users, user));
    if (from !== undefined) return from.map((prefix) => this.#from.at(prefix, makeList));
    if (ports !== undefined) {
      const single = portsOf(ports);
      if (single !== undefined) return single.map((port) => listAt(this.#ports, port));
    }
    return [this.#others];
  }

  /** The first rule that counts and stands before `below`. */
  first(question: Question, below = Infinity): IndexedRule | undefined {
    let best: Filed | undefined;
    for (const list of this.#candidates(question)) {
      for (const filed of list) {
        if (filed.index >= (best?.index ?? below)) break;
        this.looked++;
        if (!otherConditionsHold(filed, question)) continue;
        best = filed;
        break;
      }
    }
    return best;
  }

  *#candidates({ name, addresses, user, clientAddresses, port }: Question): Generator<readonly Filed[]> {
    if (name !== undefined) {
      const exact = this.#names.get(name);
      if (exact !== undefined) yield exact;
      for (
        let dot = name.indexOf('.');
        dot >= 0 && this.#domains.size > 0;
        dot = name.indexOf('.', dot + 1)
      ) {
        const below = this.#domains.get(name.slice(dot + 1));
        if (below !== undefined) yield below;
      }
    }
    for (const address of addresses) yield* this.#prefixes.matches(address);
    const ofUser = user === undefined ? undefined : this.#users.get(user);
    if (ofUser !== undefined) yield ofUser;
    for (const address of clientAddresses) yield* this.#from.matches(address);
    const ofPort = this.#ports.get(port);
    if (ofPort !== undefined) yield ofPort;
    yield this.#others;
  }
}

/** Each port, when they are few. */
function portsOf(ranges: NonNullable<ProxyRule['ports']>): number[] | undefined {
  const ports: number[] = [];
  for (const { first, last } of ranges) {
    if (ports.length + last - first >= MAX_FILED_PORTS) return undefined;
    for (let port = first; port <= last; port++) ports.push(port);
  }
  return ports;
}

function otherConditionsHold({ rule, from, users }: Filed, question: Question): boolean {
  const { port, user, clientAddresses } = question;
  if (rule.ports !== undefined && !rule.ports.some(({ first, last }) => port >= first && port <= last)) {
    return false;
  }
  if (users !== undefined && (user === undefined || !users.has(user))) return false;
  return from === undefined || clientAddresses.some((address) => from.holds(address));
}
