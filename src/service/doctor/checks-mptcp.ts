/** Checks of what the kernel's path manager is told (pure): endpoints and limits, and what its counters remember. */
import { EndpointFlag, type Endpoint } from '../../mptcp/index.ts';
import { IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE } from '../../netlink/index.ts';
import type { Check, HostFacts } from './facts.ts';

/** Flags that make the kernel open subflows from an endpoint's address. */
const OPENS_SUBFLOWS = EndpointFlag.subflow | EndpointFlag.fullmesh | EndpointFlag.laminar;

interface Fault {
  readonly text: string;
  readonly advice: string;
  readonly severe: boolean;
}

function endpointFault(endpoint: Endpoint, { addresses, links = [] }: HostFacts): Fault | undefined {
  if (addresses === undefined) return undefined;
  const { id, address, flags, linkIndex } = endpoint;
  const remove = `weft mptcp endpoint delete id ${id}`;
  const owners = addresses.filter((owner) => owner.address === address);
  const nameOf = (index: number) => links.find((link) => link.index === index)?.name ?? `link ${index}`;
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
  const faults = made.flatMap((endpoint) => endpointFault(endpoint, facts) ?? []);
  if (faults.length > 0) {
    return {
      id,
      verdict: faults.some(({ severe }) => severe) ? 'fail' : 'warn',
      evidence: faults.map(({ text }) => text).join('; '),
      advice: faults.map(({ advice }) => advice),
    };
  }
  const opening = new Set(
    made.filter(({ flags }) => (flags & OPENS_SUBFLOWS) !== 0).map(({ address }) => address),
  );
  const missing = paths.filter(({ address }) => !opening.has(address));
  if (uplinkCount > 1 && missing.length > 0) {
    return {
      id,
      verdict: running?.mode === 'multipath' ? 'fail' : 'warn',
      evidence: `no endpoint for ${missing.map(({ address, link }) => `${address} (${link})`).join(', ')}: the kernel opens no second subflow from there`,
      advice: [
        running?.mode === 'multipath'
          ? '"weft status" says why'
          : '"weft up" as root makes them while it runs; by hand:',
        ...missing.map(({ address, link }) => `weft mptcp endpoint add ${address} dev ${link} subflow`),
      ],
    };
  }
  const evidence =
    made.length === 0
      ? 'none, and none is needed'
      : made.map(({ id: number, address }) => `${address} (id ${number})`).join(', ');
  return { id, verdict: 'ok', evidence, advice: [] };
};

export const checkLimits: Check = ({ limits, uplinkCount = 0 }) => {
  const id = 'limits';
  if (limits === undefined) return undefined;
  const needed = Math.max(1, uplinkCount - 1);
  const evidence = `a connection may have ${limits.subflows} more subflow${limits.subflows === 1 ? '' : 's'} and accepts ${limits.addAddrAccepted} announced address${limits.addAddrAccepted === 1 ? '' : 'es'}`;
  const advice = [`weft mptcp limits set subflows ${Math.max(2, needed)}`];
  if (limits.subflows === 0) {
    return { id, verdict: 'fail', evidence: `${evidence}: every connection stays on one path`, advice };
  }
  if (limits.subflows < needed) {
    return { id, verdict: 'warn', evidence: `${evidence}; ${uplinkCount} uplinks need ${needed}`, advice };
  }
  return { id, verdict: 'ok', evidence, advice: [] };
};

interface CounterNote {
  readonly name: string;
  readonly means: string;
  readonly advice: string;
}

/** Counters that stand for something wrong on this host or on its way out. */
const TROUBLE: readonly CounterNote[] = [
  {
    name: 'Blackhole',
    means: 'MPTCP was switched off for a while because handshakes with it vanished',
    advice:
      'something on the way drops MPTCP; to try again at once: sysctl -w net.mptcp.blackhole_timeout=3600',
  },
  {
    name: 'MPCapableSYNTXDrop',
    means: 'handshakes got through only without MPTCP',
    advice:
      'a firewall or middlebox drops packets with the MPTCP option; try each uplink alone to find which',
  },
  {
    name: 'MPJoinSynTxBindErr',
    means: "second subflows could not use their endpoint's address",
    advice: 'see the check "endpoints": the address was not on its link at that moment',
  },
  {
    name: 'MPJoinSynTxConnectErr',
    means: 'second subflows found no route',
    advice: 'see the check "routes": each address needs a route by its own link',
  },
  {
    name: 'MPJoinSynAckHMacFailure',
    means: 'answers to joining subflows failed their check',
    advice: 'a middlebox answers in place of the server on one of the paths',
  },
  {
    name: 'DSSCorruptionFallback',
    means: 'connections fell back to TCP because a middlebox changed data',
    advice: 'sysctl -w net.mptcp.checksum_enabled=1 detects such paths earlier',
  },
  {
    name: 'DSSCorruptionReset',
    means: 'subflows were reset because a middlebox changed data',
    advice: 'sysctl -w net.mptcp.checksum_enabled=1 detects such paths earlier',
  },
];

/** Below this many handshakes a share says nothing. */
const MIN_HANDSHAKES = 5;

export const checkCounters: Check = ({ counters, mptcpSocket }) => {
  const id = 'counters';
  if (counters === undefined) {
    return mptcpSocket.ok
      ? { id, verdict: 'unknown', evidence: 'could not read /proc/net/netstat', advice: [] }
      : undefined;
  }
  const count = (name: string) => counters.get(name) ?? 0;
  const trouble = TROUBLE.filter(({ name }) => count(name) > 0);
  const asked = count('MPCapableSYNTX');
  const refused = count('MPCapableFallbackSYNACK');
  const share = `${asked} connections asked for MPTCP, ${refused} of the servers did not speak it`;
  const joins = `${count('MPJoinSynTx') || count('MPJoinSynAckRx')} subflows joined`;
  const history = asked === 0 ? 'no MPTCP connection from here since the start' : `${share}, ${joins}`;
  if (trouble.length > 0) {
    return {
      id,
      verdict: 'warn',
      evidence: `since the start: ${trouble.map(({ name, means }) => `${means} (${name} ${count(name)})`).join('; ')}`,
      advice: trouble.map(({ advice }) => advice),
    };
  }
  if (asked >= MIN_HANDSHAKES && refused >= asked) {
    return {
      id,
      verdict: 'warn',
      evidence: `${share}: either they have no MPTCP, or something on the way strips it`,
      advice: ['try a server that speaks it: curl -x http://127.0.0.1:13128 http://check.mptcp.dev'],
    };
  }
  return { id, verdict: 'ok', evidence: history, advice: [] };
};
