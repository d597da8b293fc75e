/**
 * The table for links whose packets this host passes on and translates (pure): each inner link goes out by its own
 * uplink, with the uplink's address, and nothing else is passed on because of it. What makes the kernel forward
 * (sysctls, routes) is not here.
 *
 *   inner link ── source in `sources` ──▶ uplink      masqueraded
 *   inner link ◀── answers only ───────── uplink
 *   everything else from or to an inner link, and everything from a guarded uplink: dropped
 *
 * Invariant: with this table a host passes on no packet that it would not have passed on without, but the two above.
 * What the firewall of others drops stays dropped: an `accept` here does not end their chains.
 */
import type { Prefix } from '../base/ip.ts';
import { NfPriority, type NfMatch, type NfRule, type NfTable } from './nf-tables-types.ts';

export interface ForwardedLink {
  /** The inner link, such as a tap. */
  readonly link: string;
  /** The only link that its packets may leave by. */
  readonly uplink: string;
  /** What may be behind the inner link; only these leave, and are masqueraded. */
  readonly sources: readonly Prefix[];
}

export interface ForwardingTableOptions {
  readonly links: readonly ForwardedLink[];
  /**
   * Uplinks that did not forward before: packets from them to anywhere but inner links are dropped, so that the host
   * does not become a router for its neighbours. Default: none.
   */
  readonly guardedUplinks?: readonly string[];
}

const from = (link: string): NfMatch => ({ match: 'inputLink', is: link });
const to = (link: string): NfMatch => ({ match: 'outputLink', is: link });
const source = (prefix: Prefix): NfMatch => ({ match: 'source', in: prefix });
const answers: NfMatch = { match: 'connectionState', in: ['established', 'related'] };

export function forwardingTable(name: string, options: ForwardingTableOptions): NfTable {
  const { guardedUplinks = [], links } = options;
  const masquerade = links.flatMap(({ sources, uplink }) =>
    sources.map((prefix): NfRule => ({
      when: [source(prefix), to(uplink)],
      verdict: { action: 'masquerade' },
    })),
  );
  const pass = links.flatMap(({ link, sources, uplink }) => {
    const out = sources.map((prefix): NfRule => ({
      when: [from(link), to(uplink), source(prefix)],
      verdict: { action: 'accept' },
    }));
    return out.concat([
      { when: [from(link)], verdict: { action: 'drop' } },
      { when: [from(uplink), to(link), answers], verdict: { action: 'accept' } },
      { when: [to(link)], verdict: { action: 'drop' } },
    ]);
  });
  const guard = guardedUplinks.map((uplink): NfRule => ({
    when: [from(uplink)],
    verdict: { action: 'drop' },
  }));
  return {
    name,
    chains: [
      {
        name: 'forward',
        type: 'filter',
        hook: 'forward',
        priority: NfPriority.filter,
        rules: [...pass, ...guard],
      },
      {
        name: 'postrouting',
        type: 'nat',
        hook: 'postrouting',
        priority: NfPriority.sourceNat,
        rules: masquerade,
      },
    ],
  };
}
