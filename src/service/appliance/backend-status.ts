/**
 * What the appliance is, in the words of control-api.ts (pure).
 */
import { guestAddresses, hostAddresses, tableOf, type LinkState } from '../../appliance/index.ts';
import { AF_INET } from '../../base/index.ts';
import type { HostPath } from '../../routing/index.ts';
import type { LinkMapping, Mode, PathReport } from '../control-api.ts';

/** A link of the guest's, as it tells of itself. */
export interface GuestLinkView {
  readonly mac: string;
  readonly name: string;
}

function stateOf({ plugged, problem, uplink }: LinkState): { readonly state: string; readonly why?: string } {
  if (problem !== undefined) return { state: 'failed', why: problem };
  if (!uplink.usable) return { state: 'down', why: 'the uplink cannot be used now' };
  return plugged ? { state: 'active' } : { state: 'waiting', why: 'it is being plugged in' };
}

export function mapLinks(
  links: readonly LinkState[],
  guestLinks: readonly GuestLinkView[],
  omitted: readonly string[],
): LinkMapping[] {
  const mapped = links.map((link): LinkMapping => {
    const { slot } = link;
    const guestLink = guestLinks.find(({ mac }) => mac === slot.mac)?.name;
    const mapping = {
      link: link.uplink.linkName,
      tap: slot.tapName,
      mac: slot.mac,
      hostAddresses: hostAddresses(slot),
      guestAddresses: guestAddresses(slot),
    };
    return Object.assign(mapping, stateOf(link), guestLink === undefined ? {} : { guestLink });
  });
  const left = omitted.map((link) => ({
    link,
    hostAddresses: [],
    guestAddresses: [],
    state: 'waiting',
    why: 'the appliance has no more network cards',
  }));
  return [...mapped, ...left];
}

/** The host's paths, with what the appliance makes of them. */
export function reportPaths(
  found: readonly HostPath[],
  links: readonly LinkState[],
  backup: readonly string[],
): PathReport[] {
  return found.map((path): PathReport => {
    const { address, defaultRoute, family, linkName, state, why } = path;
    const link = links.find(({ uplink }) => uplink.linkName === linkName);
    const told =
      state === 'usable'
        ? link === undefined
          ? { state: 'waiting', why: 'the appliance has no network card for it' }
          : stateOf(link)
        : { state, ...(why === undefined ? {} : { why }) };
    const report = {
      link: linkName,
      address,
      family: family === AF_INET ? 4 : 6,
      backup: backup.includes(linkName),
    } as const;
    return Object.assign(
      report,
      told,
      defaultRoute?.gateway === undefined ? {} : { gateway: defaultRoute.gateway },
      link === undefined ? {} : { table: tableOf(link.slot.slot) },
    );
  });
}

export interface ModeFacts {
  readonly state: 'starting' | 'running' | 'failed' | 'stopped';
  /** Why it failed. */
  readonly why?: string;
  /** Why the guest cannot use MPTCP; absent: it can, or has not said yet. */
  readonly mptcpProblem?: string;
  /** Names of usable uplinks. */
  readonly usable: readonly string[];
  readonly vpn?: string;
}

export function judgeMode(facts: ModeFacts): { readonly mode: Mode; readonly reason: string } {
  const { mptcpProblem, state, usable, vpn, why } = facts;
  if (state !== 'running') {
    const reason = why === undefined ? `the appliance is ${state}` : `the appliance is ${state}: ${why}`;
    return { mode: 'single-path', reason };
  }
  if (mptcpProblem !== undefined) {
    return { mode: 'no-mptcp', reason: `the appliance's kernel cannot use MPTCP: ${mptcpProblem}` };
  }
  if (vpn !== undefined) {
    const reason = `the VPN "${vpn}" carries this host's traffic, and other paths would go around it; name links with --interface if that is wanted`;
    return { mode: 'single-path', reason };
  }
  if (usable.length >= 2) return { mode: 'multipath', reason: `connections can use ${usable.join(', ')}` };
  const [only] = usable;
  const reason =
    only === undefined ? 'no link has a usable address and a default route' : `only one way out, ${only}`;
  return { mode: 'single-path', reason };
}
