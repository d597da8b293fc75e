/**
 * Reasons as values of a label: the fixed tables of what the proxy counts by kind. Anything else is `other`. Pure.
 *
 * `satisfies` has the compiler see that no kind of the proxy's own is missing.
 */
import type { DialFailure, Refusal, TunnelEnd } from '../../proxy/index.ts';
import type { Sample } from './metric.ts';

type Table = ReadonlySet<string>;

const namesOf = (table: Readonly<Record<string, true>>): Table => new Set(Object.keys(table));

export const REFUSALS: Table = namesOf({
  malformed: true,
  'header-too-large': true,
  'header-timeout': true,
  'not-allowed': true,
  'bad-target': true,
  'not-implemented': true,
  loop: true,
  'too-many-tunnels': true,
  'too-many-connections': true,
  'too-many-requests': true,
  'client-limit': true,
  'user-missing': true,
  'user-wrong': true,
  'user-slowed': true,
  slowed: true,
  'accept-failed': true,
} satisfies Record<Refusal, true>);

const DIAL_FAILURES = {
  'not-found': true,
  'resolver-failed': true,
  refused: true,
  unreachable: true,
  timeout: true,
  reset: true,
  loop: true,
  forbidden: true,
  policy: true,
  'upstream-failed': true,
  'upstream-refused': true,
  'upstream-target': true,
  'no-resources': true,
  aborted: true,
  other: true,
} satisfies Record<DialFailure, true>;

export const DIALS_FAILED: Table = namesOf(DIAL_FAILURES);

export const TUNNEL_ENDS: Table = namesOf({
  finished: true,
  'closed-early': true,
  'client-failed': true,
  'upstream-failed': true,
  idle: true,
  'half-closed-idle': true,
  aborted: true,
  'no-resources': true,
  'relay-failed': true,
  'client-gone': true,
} satisfies Record<TunnelEnd['reason'] | 'client-gone', true>);

/** proxy/udp: what is wrong with a datagram, or with the way that it should go. */
export const DATAGRAM_DROPS: Table = namesOf({
  ...DIAL_FAILURES,
  'socket-failed': true,
  path: true,
  'not-the-client': true,
  truncated: true,
  fragment: true,
  address: true,
  'queue-full': true,
  'no-path': true,
  'not-asked': true,
  'not-sent': true,
  many: true,
});

/** The sentences that mptcp and the dialer have for it, and the short word for each. */
const FALLBACKS: readonly (readonly [RegExp, string])[] = [
  [/ does not speak MPTCP$/, 'peer-or-path'],
  [/ did not speak MPTCP in the last minutes/, 'remembered'],
  [/^the kernel has no MPTCP/, 'no-mptcp'],
  [/^MPTCP is switched off/, 'switched-off'],
  [/ is not permitted here/, 'not-permitted'],
  [/^the kernel refused MPTCP/, 'kernel-refused'],
];

export const FALLBACK_WORDS: Table = new Set(FALLBACKS.map(([, word]) => word));

/** @param reason a sentence for people */
export function fallbackWord(reason: string): string {
  return FALLBACKS.find(([pattern]) => pattern.test(reason))?.[1] ?? 'other';
}

/** Counts by reason as samples; reasons with the same word are counted together. */
export function byReason(
  counts: Readonly<Record<string, number>>,
  wordOf: (reason: string) => string,
): Sample[] {
  const sums = new Map<string, number>();
  for (const [reason, count] of Object.entries(counts)) {
    const word = wordOf(reason);
    sums.set(word, (sums.get(word) ?? 0) + count);
  }
  return [...sums].map(([reason, count]): Sample => [count, { reason }]);
}

export const wordIn =
  (table: Table) =>
  (reason: string): string =>
    table.has(reason) ? reason : 'other';

/** What `reason` may be, beside `other`, by metric. */
export const REASONS: Readonly<Record<string, Table>> = {
  weft_proxy_requests_refused_total: REFUSALS,
  weft_proxy_tunnels_closed_total: TUNNEL_ENDS,
  weft_proxy_upstream_failures_total: DIALS_FAILED,
  weft_proxy_fallbacks_total: FALLBACK_WORDS,
  weft_proxy_datagrams_dropped_total: DATAGRAM_DROPS,
};
