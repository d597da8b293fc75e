/**
 * What Weft can do for a host, and why (pure): the mode, the reason in words, and the paths to work for.
 *
 * With fewer than two doors nothing is changed on the host. Once there were two, the paths that remain keep their
 * table, rule and endpoint until the end even when only one is left: connections use them, and taking them away
 * would close subflows to gain nothing. What vanished is removed at once.
 */
import { AF_INET, type Family } from '../base/index.ts';
import type { Link } from '../netlink/index.ts';
import { uplinkCount, type HostPath, type HostPaths } from '../routing/index.ts';
import type { Mode } from './control-api.ts';

export interface Situation {
  readonly found: HostPaths;
  /** Why the kernel's MPTCP cannot be used, in words. */
  readonly mptcpProblem?: string;
  /** May this process change routes and endpoints? */
  readonly privileged: boolean;
  /** A VPN that carries the host's default traffic. */
  readonly vpn?: Link;
  /** Two doors were seen since the start. */
  readonly engaged: boolean;
}

export interface Decision {
  readonly mode: Mode;
  readonly reason: string;
  readonly engaged: boolean;
  /** The paths to make tables, rules and endpoints for; empty: leave the host alone. */
  readonly paths: readonly HostPath[];
}

const HOW_TO_GRANT =
  'run it as root ("sudo npm start", "sudo weft up"), or in a systemd unit with AmbientCapabilities=CAP_NET_ADMIN';

const nameOf = (path: HostPath) => `${path.linkName} ${path.address}`;

const list = (names: Iterable<string>) => [...new Set(names)].join(', ');

function doorsOf(paths: readonly HostPath[], family: Family): Set<string> {
  return new Set(paths.filter((path) => path.family === family).map((path) => path.linkName));
}

/** Why there are fewer than two doors, from the usable paths and those that are not. */
function describeLack(found: HostPaths): string {
  const usable = found.paths.filter((path) => path.state === 'usable');
  const others = found.paths.filter((path) => path.state !== 'usable');
  const missing = others.map((path) => `${nameOf(path)}: ${path.why ?? path.state}`);
  const rest = missing.length === 0 ? '' : `; ${list(missing)}`;
  if (usable.length === 0) return `no link has a usable address and a default route${rest}`;
  const v4 = doorsOf(usable, AF_INET);
  const v6 = new Set(usable.map((path) => path.linkName).filter((name) => !v4.has(name)));
  if (v4.size === 1 && v6.size > 0) {
    return `IPv4 only by ${list(v4)} and IPv6 only by ${list(v6)}: one connection cannot use both${rest}`;
  }
  return `only one way out, ${list(usable.map((path) => path.linkName))}${rest}`;
}

export function decide(situation: Situation): Decision {
  const { found, mptcpProblem, privileged, vpn, engaged } = situation;
  const leaveAlone = { engaged: false, paths: [] } as const;
  if (mptcpProblem !== undefined) return { mode: 'no-mptcp', reason: mptcpProblem, ...leaveAlone };
  if (!privileged) {
    const reason = `without CAP_NET_ADMIN the host's routes and endpoints stay as they are: ${HOW_TO_GRANT}`;
    return { mode: 'unprivileged', reason, ...leaveAlone };
  }
  if (vpn !== undefined) {
    const reason = `the VPN "${vpn.name}" carries this host's traffic, and other paths would go around it; name links with --interface if that is wanted`;
    return { mode: 'single-path', reason, ...leaveAlone };
  }
  const doors = uplinkCount(found.paths);
  if (doors >= 2) {
    const usable = found.paths.filter((path) => path.state === 'usable');
    const reason = `connections can use ${list(usable.map((path) => path.linkName))}`;
    return { mode: 'multipath', reason, engaged: true, paths: found.paths };
  }
  const lack = describeLack(found);
  if (engaged) return { mode: 'single-path', reason: lack, engaged, paths: found.paths };
  const reason = `${lack}; nothing is changed on this host until there is a second one`;
  return { mode: 'single-path', reason, ...leaveAlone };
}
