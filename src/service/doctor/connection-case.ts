/** One connection with what is known about it and its host, as its findings are made from it (pure). */
import type { ConnectionDetail, ObservedEvent, SubflowReading } from '../observe/model.ts';
import type { HostFacts } from './facts.ts';
import type { KernelConnection } from './peer-facts.ts';

export interface ConnectionCase {
  readonly facts: HostFacts;
  readonly detail: ConnectionDetail;
  /** Subflows whose handshake is done. */
  readonly established: readonly SubflowReading[];
  /** Of these, those that data goes over now. */
  readonly active: readonly SubflowReading[];
  /** Links that established subflows use, in the order of the subflows; the first one's also before it is seen. */
  readonly links: readonly string[];
  /** The kernel's numbers, read with the facts; what it does not tell is taken from the observer. */
  readonly kernel: Partial<KernelConnection>;
  readonly events: readonly ObservedEvent[];
  /** `203.0.113.10:443`, and what a client of the proxy asked for. */
  readonly peerName: string;
}

function linkOf({ addresses = [], links = [] }: HostFacts, address: string): string | undefined {
  const owner = addresses.find((candidate) => candidate.address === address);
  return links.find(({ index }) => index === owner?.linkIndex)?.name;
}

export function caseOf(facts: HostFacts, detail: ConnectionDetail): ConnectionCase {
  const established = detail.subflows.filter(({ tcpState }) => tcpState === 'established');
  const { localAddress, remoteAddress, remotePort, target } = detail;
  const first = established.length === 0 ? [{ link: linkOf(facts, localAddress) }] : [];
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress;
  return {
    facts,
    detail,
    established,
    active: established.filter(({ state }) => state === 'active'),
    links: [...new Set([...established, ...first].flatMap(({ link }) => link ?? []))],
    kernel: {
      ...(detail.subflowsMax === undefined ? {} : { subflowsMax: detail.subflowsMax }),
      ...(detail.addressesAccepted === undefined ? {} : { addressesAccepted: detail.addressesAccepted }),
      ...(detail.addressesAcceptedMax === undefined
        ? {}
        : { addressesAcceptedMax: detail.addressesAcceptedMax }),
      ...facts.peer?.kernel,
    },
    events: facts.peer?.events ?? [],
    peerName: target ?? `${host}:${remotePort}`,
  };
}

/** The kernel's counter, `undefined` where it could not be read: then it is no evidence. */
export function counter({ facts }: ConnectionCase, name: string): readonly [string, number | undefined] {
  return [name, facts.counters === undefined ? undefined : (facts.counters.get(name) ?? 0)];
}

/** Counters that are not 0. */
export function countersAboveZero(
  one: ConnectionCase,
  names: readonly string[],
): (readonly [string, number | undefined])[] {
  return names.map((name) => counter(one, name)).filter(([, value]) => (value ?? 0) > 0);
}
