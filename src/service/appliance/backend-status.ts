/**
 * What the appliance is, in the words of control-api.ts (pure).
 */
import { guestAddresses, hostAddresses, tableOf, type LinkState } from '../../appliance/index.ts';
import { AF_INET } from '../../base/index.ts';
import type { HostPath } from '../../routing/index.ts';
import type { LinkMapping, Mode, PathReport } from '../control-api.ts';
import { preferredPaths } from '../supervisor-status.ts';

/** What the guest tells of itself, as far as links are concerned. */
export interface GuestView {
  readonly links: readonly { readonly mac: string; readonly name: string }[];
  /** Of its supervisor; absent: it has not said. */
  readonly paths?: readonly PathReport[];
}

interface Told {
  readonly state: string;
  readonly why?: string;
}

/** Active when the guest uses it; what keeps it from that otherwise. */
function stateOf({ plugged, problem, slot, uplink }: LinkState, guest: GuestView): Told {
  if (problem !== undefined) return { state: 'failed', why: problem };
  if (!uplink.usable) return { state: 'down', why: 'the uplink cannot be used now' };
  if (!plugged) return { state: 'waiting', why: 'it is being plugged in' };
  const name = guest.links.find(({ mac }) => mac === slot.mac)?.name;
  const inside = guest.paths?.filter(({ link }) => link === name) ?? [];
  if (inside.some(({ state }) => state === 'active')) return { state: 'active' };
  const why = inside.find((path) => path.why !== undefined)?.why;
  return { state: 'waiting', why: `the guest does not use it yet${why === undefined ? '' : `: ${why}`}` };
}

/** Whether the guest uses every link that can be used. */
export function areLinksActive(links: readonly LinkState[], guest: GuestView): boolean {
  return links.every((link) => ['active', 'down'].includes(stateOf(link, guest).state));
}

export function mapLinks(
  links: readonly LinkState[],
  guest: GuestView,
  omitted: readonly string[],
): LinkMapping[] {
  const mapped = links.map((link): LinkMapping => {
    const { slot } = link;
    const guestLink = guest.links.find(({ mac }) => mac === slot.mac)?.name;
    const mapping = {
      link: link.uplink.linkName,
      tap: slot.tapName,
      mac: slot.mac,
      hostAddresses: hostAddresses(slot),
      guestAddresses: guestAddresses(slot),
    };
    return Object.assign(mapping, stateOf(link, guest), guestLink === undefined ? {} : { guestLink });
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
  guest: GuestView,
  backup: readonly string[],
): PathReport[] {
  const preferred = preferredPaths(found);
  return found.map((path): PathReport => {
    const { address, defaultRoute, family, linkName, state, why } = path;
    const link = links.find(({ uplink }) => uplink.linkName === linkName);
    const told =
      state === 'usable'
        ? link === undefined
          ? { state: 'waiting', why: 'the appliance has no network card for it' }
          : stateOf(link, guest)
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
      preferred.has(path) ? { preferred: true } : {},
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
