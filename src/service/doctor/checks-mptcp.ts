/** Checks of what the kernel's path manager is told (pure): endpoints, backup flags, limits. */
import { isIpv6, shellWord } from '../../base/index.ts';
import { EndpointFlag, type Endpoint } from '../../mptcp/index.ts';
import { IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE } from '../../netlink/index.ts';
import { namesOf } from './checks-paths.ts';
import type { Check, HostFacts, PathFact, ReadFact } from './facts.ts';
import type { HostFindingId } from './finding-ids.ts';

const FLAG_NAMES = Object.entries(EndpointFlag);

/** As the kernel told it: `endpoint 2` `10.2.0.2 subflow,backup dev lte0`. */
export function endpointFact(
  { address, flags, id, linkIndex }: Endpoint,
  nameOf: (index: number) => string,
): ReadFact {
  const names = FLAG_NAMES.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name);
  const link = linkIndex === 0 ? '' : ` dev ${nameOf(linkIndex)}`;
  return { name: `endpoint ${id}`, value: `${address} ${names.join(',') || 'no flag'}${link}` };
}

/** MPTCP_PM_ADDR_MAX of include/net/mptcp: as many endpoints, and as high limits, as kernels take. */
export const PATH_MANAGER_MAX = 8;

/** When there are more addresses than that. */
export const CHOOSE_LINKS = 'to choose which links are used: weft up --interface NAME --interface NAME';

/** BOUNDED: how many paths one sentence names. */
const PATHS_NAMED_MAX = 8;

function nameAll(paths: readonly PathFact[]): string {
  const named = paths.slice(0, PATHS_NAMED_MAX).map(({ address, link }) => `${address} (${link})`);
  const more = paths.length - named.length;
  return named.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** Flags that make the kernel open subflows from an endpoint's address. */
export const OPENS_SUBFLOWS = EndpointFlag.subflow | EndpointFlag.fullmesh | EndpointFlag.laminar;

interface Fault {
  readonly text: string;
  readonly advice: string;
  readonly severe: boolean;
}

function endpointFault(endpoint: Endpoint, facts: HostFacts): Fault | undefined {
  const { addresses } = facts;
  if (addresses === undefined) return undefined;
  const { id, address, flags, linkIndex } = endpoint;
  const remove = `weft mptcp endpoint delete id ${id}`;
  const owners = addresses.filter((owner) => owner.address === address);
  const nameOf = namesOf(facts);
  // What is only announced may be an address that leads here by way of a translator.
  if (owners.length === 0 && (flags & OPENS_SUBFLOWS) === 0 && (flags & EndpointFlag.signal) !== 0) {
    return undefined;
  }
  if (owners.length === 0) {
    const text = `endpoint ${id} (${address}) names an address that no link has`;
    return { text, advice: remove, severe: true };
  }
  if (linkIndex !== 0 && !owners.some((owner) => owner.linkIndex === linkIndex)) {
    const text = `endpoint ${id} (${address}) is bound to ${nameOf(linkIndex)}, but the address is on ${nameOf(owners[0]?.linkIndex ?? 0)}`;
    return { text, advice: remove, severe: true };
  }
  if (owners.every((owner) => (owner.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) !== 0)) {
    return {
      text: `the address of endpoint ${id} (${address}) is not usable yet: duplicate address detection has not passed`,
      advice: 'wait, or see "ip address" for dadfailed: another machine has this address',
      severe: false,
    };
  }
  if (owners.every((owner) => (owner.flags & IFA_F_DEPRECATED) !== 0)) {
    return {
      text: `the address of endpoint ${id} (${address}) is about to expire`,
      advice: remove,
      severe: false,
    };
  }
  if ((flags & OPENS_SUBFLOWS) === 0 && (flags & EndpointFlag.signal) === 0) {
    return {
      text: `endpoint ${id} (${address}) has neither the flag subflow nor signal, so it does nothing`,
      advice: `${remove}; weft mptcp endpoint add ${address} subflow`,
      severe: false,
    };
  }
  return undefined;
}

export const checkEndpoints: Check = (facts) => {
  const { endpoints, paths = [], uplinkCount = 0, running } = facts;
  const id = 'endpoints';
  if (endpoints === undefined) {
    return facts.mptcpSocket.ok
      ? { id, verdict: 'unknown', evidence: 'could not ask the kernel for its endpoints', advice: [] }
      : undefined;
  }
  // Implicit ones are the kernel's own notes about addresses in use.
  const made = endpoints.filter(({ flags }) => (flags & EndpointFlag.implicit) === 0);
  const factOf = (endpoint: Endpoint) => endpointFact(endpoint, namesOf(facts));
  const faults = made.flatMap((endpoint) => endpointFault(endpoint, facts) ?? []);
  if (faults.length > 0) {
    return {
      id,
      cause: 'endpoint-wrong' satisfies HostFindingId,
      verdict: faults.some(({ severe }) => severe) ? 'fail' : 'warn',
      evidence: faults.map(({ text }) => text).join('; '),
      facts: made.map(factOf),
      advice: faults.map(({ advice }) => advice),
    };
  }
  const opening = new Set(
    made.filter(({ flags }) => (flags & OPENS_SUBFLOWS) !== 0).map(({ address }) => address),
  );
  const missing = paths.filter(({ address }) => !opening.has(address));
  if (uplinkCount > 1 && missing.length > 0 && made.length >= PATH_MANAGER_MAX) {
    return {
      id,
      cause: 'endpoints-full' satisfies HostFindingId,
      facts: made.map(factOf),
      verdict: 'warn',
      evidence: `no endpoint for ${nameAll(missing)}: there are ${made.length}, and the kernel takes no more than ${PATH_MANAGER_MAX}`,
      advice: [CHOOSE_LINKS],
    };
  }
  if (uplinkCount > 1 && missing.length > 0) {
    return {
      id,
      cause: 'no-endpoint' satisfies HostFindingId,
      facts: made.length === 0 ? [{ name: 'endpoints', value: 'none' }] : made.map(factOf),
      verdict: running?.mode === 'multipath' ? 'fail' : 'warn',
      evidence: `no endpoint for ${nameAll(missing)}: the kernel opens no second subflow from there`,
      advice: [
        running?.mode === 'multipath'
          ? '"weft status" says why'
          : '"weft up" as root makes them while it runs; by hand:',
        ...missing
          .slice(0, PATH_MANAGER_MAX - made.length)
          .map(({ address, link }) => `weft mptcp endpoint add ${address} dev ${shellWord(link)} subflow`),
      ],
    };
  }
  const evidence =
    made.length === 0
      ? 'none, and none is needed'
      : made.map(({ id: number, address }) => `${address} (id ${number})`).join(', ');
  return { id, verdict: 'ok', evidence, facts: made.map(factOf), advice: [] };
};

/**
 * Backup paths are for when all others fail. A host on which only one is not backup has redundancy, and not more
 * speed, which is often not what was meant: the flag of an endpoint is forgotten easily.
 */
export const checkBackup: Check = (facts) => {
  const { endpoints = [], paths = [], uplinkCount = 0 } = facts;
  const id = 'backup';
  const flagged = new Set(
    endpoints.filter(({ flags }) => (flags & EndpointFlag.backup) !== 0).map(({ address }) => address),
  );
  const backups = paths.filter(({ address }) => flagged.has(address));
  if (uplinkCount < 2 || backups.length === 0) return undefined;
  const links = [...new Set(backups.map(({ link }) => link))];
  // Subflows of one connection are of one IP version: another one's addresses help none of these.
  const families = new Set(backups.map(({ address }) => isIpv6(address)));
  const others = new Set(
    paths
      .filter(({ address }) => !flagged.has(address) && families.has(isIpv6(address)))
      .map(({ link }) => link),
  );
  const list = backups.map(({ address, link }) => `${link} (${address})`).join(', ');
  const evidence = `${list} ${backups.length === 1 ? 'is' : 'are'} backup`;
  const read = endpoints
    .filter(({ address }) => flagged.has(address))
    .map((endpoint) => endpointFact(endpoint, namesOf(facts)));
  if (others.size > 1) return { id, verdict: 'ok', evidence, facts: read, advice: [] };
  return {
    id,
    cause: 'backup-only' satisfies HostFindingId,
    verdict: 'warn',
    evidence: `${evidence}: connections go over ${[...others].join(', ') || 'one of them'} only, until that fails`,
    facts: read,
    advice: links.map((link) => `weft path ${shellWord(link)} normal`),
  };
};

export const checkLimits: Check = ({ limits, tally, uplinkCount = 0 }) => {
  const id = 'limits';
  if (limits === undefined) return undefined;
  const needed = Math.min(PATH_MANAGER_MAX, Math.max(1, uplinkCount - 1));
  const evidence = `a connection may have ${limits.subflows} more subflow${limits.subflows === 1 ? '' : 's'} and accepts ${limits.addAddrAccepted} announced address${limits.addAddrAccepted === 1 ? '' : 'es'}`;
  const advice = [`weft mptcp limits set subflows ${Math.max(2, needed)}`];
  const facts: ReadFact[] = [
    { name: 'limit of subflows', value: String(limits.subflows) },
    { name: 'limit of add_addr_accepted', value: String(limits.addAddrAccepted) },
    { name: 'ways out', value: String(uplinkCount) },
  ];
  if (limits.subflows === 0) {
    const text = `${evidence}: every connection stays on one path`;
    return {
      id,
      cause: 'limits-zero' satisfies HostFindingId,
      verdict: 'fail',
      evidence: text,
      facts,
      advice,
    };
  }
  if (tally !== undefined) facts.push({ name: 'connections at their limit', value: String(tally.atLimit) });
  if (limits.subflows < needed) {
    const reached = tally?.atLimit ?? 0;
    const now =
      reached === 0 ? '' : `, and ${reached} connection${reached === 1 ? ' has' : 's have'} as many as that`;
    const cause: HostFindingId = reached === 0 ? 'limits-few' : 'limits-reached';
    const text = `${evidence}; ${uplinkCount} uplinks need ${needed}${now}`;
    return { id, cause, verdict: 'warn', evidence: text, facts, advice };
  }
  return { id, verdict: 'ok', evidence, facts, advice: [] };
};
