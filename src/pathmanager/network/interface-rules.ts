/**
 * Which interfaces carry subflows, and with which endpoint flags (pure): the sections `[interface PATTERN]`,
 * `[kind KIND]` and `[metric >N]` of the configuration file, in their order.
 *
 * Invariant: for each question (is it used? which flags?) the first rule decides that matches and answers it, so that
 * exceptions come before the general, and a list of what is allowed ends with `[interface *]`, `use = no`. Without
 * a rule an interface is used, with the daemon's own flags.
 */
import { AF_INET, type Family } from '../../base/index.ts';

const COMPARISONS = ['<=', '>=', '<', '>', '='] as const;

/** A test of the metric of an interface's default route. */
export interface MetricTest {
  readonly is: (typeof COMPARISONS)[number];
  readonly value: number;
}

/** All conditions that are named have to hold. */
export interface InterfaceRule {
  /** Name pattern: `*` is any text, `?` any character, `[a-c]` and `[!a-c]` one of these and none of these. */
  readonly interface?: string;
  /** Pattern of a kind as `ip -d link` shows it: `veth`, `bridge`, `wireguard` …; `hardware` for none. */
  readonly kind?: string;
  /** Of the family's default route on this interface; does not hold while there is none. */
  readonly metric?: MetricTest;
  readonly use?: boolean;
  /** EndpointFlag bits, for both families. */
  readonly flags?: number;
  /** For one family; before `flags`. */
  readonly flags4?: number;
  readonly flags6?: number;
}

/** What a rule is asked about. */
export interface RuleSubject {
  readonly name: string;
  readonly kind?: string;
  readonly family: Family;
  /** Absent: no default route of this family. */
  readonly metric?: number;
}

export interface RuleVerdict {
  readonly use: boolean;
  /** Absent: no rule says any. */
  readonly flags?: number;
  /** The rule that decided `use`, in the words of the file. */
  readonly by?: string;
}

/** The kind of links that have none. */
export const HARDWARE = 'hardware';

/** BOUNDED: the kernel's numbers. */
const METRIC_MAX = 0xffff_ffff;

/** `>600`, `<= 100`, `=0`; a number alone is `=`. `undefined` when it is none of these. */
export function parseMetricTest(text: string): MetricTest | undefined {
  const match = /^\s*(<=|>=|<|>|=)?\s*(\d{1,10})\s*$/.exec(text);
  const value = Number(match?.[2] ?? NaN);
  if (!(value <= METRIC_MAX)) return undefined;
  return { is: COMPARISONS.find((sign) => sign === match?.[1]) ?? '=', value };
}

function holds({ is, value }: MetricTest, metric: number): boolean {
  if (is === '=') return metric === value;
  if (is.startsWith('<')) return metric < value || (is === '<=' && metric === value);
  return metric > value || (is === '>=' && metric === value);
}

/** Where the set `[…]` that begins at `at` ends; -1: it has no end, and `[` means itself. */
function endOfSet(pattern: string, at: number): number {
  const first = pattern[at + 1] === '!' ? at + 2 : at + 1;
  return pattern.indexOf(']', first + 1);
}

function inSet(set: string, character: string): boolean {
  const negated = set.startsWith('!');
  const body = negated ? set.slice(1) : set;
  let found = false;
  for (let i = 0; i < body.length; i++) {
    const from = body[i] ?? '';
    const isRange = body[i + 1] === '-' && i + 2 < body.length;
    const to = isRange ? (body[i + 2] ?? '') : from;
    if (character >= from && character <= to) found = true;
    if (isRange) i += 2;
  }
  return found !== negated;
}

/** How far one element of the pattern reaches that is not `*`, when it takes the character; otherwise 0. */
function takeOne(pattern: string, at: number, character: string): number {
  const sign = pattern[at];
  if (sign === '?') return 1;
  const end = sign === '[' ? endOfSet(pattern, at) : -1;
  if (end < 0) return sign === character ? 1 : 0;
  return inSet(pattern.slice(at + 1, end), character) ? end + 1 - at : 0;
}

/** Whether the pattern stands for the whole name, as in glob(7). Linear: only the last `*` is tried again. */
export function matchesPattern(pattern: string, name: string): boolean {
  let at = 0;
  let i = 0;
  let star = -1;
  let starredTo = 0;
  while (i < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      starredTo = i;
      continue;
    }
    const step = at < pattern.length ? takeOne(pattern, at, name[i] ?? '') : 0;
    if (step > 0) {
      at += step;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++starredTo;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}

function matches(rule: InterfaceRule, subject: RuleSubject): boolean {
  if (rule.interface !== undefined && !matchesPattern(rule.interface, subject.name)) return false;
  if (rule.kind !== undefined && !matchesPattern(rule.kind, subject.kind ?? HARDWARE)) return false;
  return rule.metric === undefined || (subject.metric !== undefined && holds(rule.metric, subject.metric));
}

/** The rule's conditions, as its section is written. */
export function describeRule({ interface: name, kind, metric }: InterfaceRule): string {
  const parts = [
    ...(name === undefined ? [] : [`interface ${name}`]),
    ...(kind === undefined ? [] : [`kind ${kind}`]),
    ...(metric === undefined ? [] : [`metric ${metric.is}${metric.value}`]),
  ];
  return `[${parts.join(', ')}]`;
}

/** What the rules say about addresses of one family on an interface. */
export function judgeByRules(rules: readonly InterfaceRule[], subject: RuleSubject): RuleVerdict {
  const matching = rules.filter((rule) => matches(rule, subject));
  const decider = matching.find((rule) => rule.use !== undefined);
  const flagsOf = (rule: InterfaceRule) =>
    (subject.family === AF_INET ? rule.flags4 : rule.flags6) ?? rule.flags;
  const flags = matching.map((rule) => flagsOf(rule)).find((value) => value !== undefined);
  return {
    use: decider?.use ?? true,
    ...(flags === undefined ? {} : { flags }),
    ...(decider === undefined ? {} : { by: describeRule(decider) }),
  };
}

/** Whether the rules ask for routes. */
export function needMetrics(rules: readonly InterfaceRule[]): boolean {
  return rules.some((rule) => rule.metric !== undefined);
}
