/**
 * Why a connection is plain TCP (pure). Told apart by what was read, not by guessing:
 *
 *   nobody wanted MPTCP        no reason for a fallback is known
 *   this host has none         the kernel opens no MPTCP socket, or refused this one
 *   it fell back later         the kernel had the other end's key (mptcpi_flags), so MPTCP was there once
 *   an option is stripped      other connections to the same server speak MPTCP now, or a rule of this host strips it
 *   else                       the answer had no MPTCP: the server, or something on the way; from here both look the same
 *
 * References: RFC 8684 section 3.7, net/mptcp/subflow.c.
 */
import { PEER_FALLBACK } from '../../mptcp/index.ts';
import { shellWord } from '../../base/index.ts';
import type { Finding } from '../observe/api.ts';
import { counter, countersAboveZero, type ConnectionCase } from './connection-case.ts';
import { finding } from './finding.ts';

/** What the proxy says of servers that it remembers for a while begins so too. */
const OF_THE_PEER = PEER_FALLBACK.slice(0, PEER_FALLBACK.indexOf(','));

/** Counters of connections that began with MPTCP and lost it. */
const LATE = [
  'DSSCorruptionFallback',
  'DssFallback',
  'DataCsumErr',
  'MPFailRx',
  'MPFailTx',
  'InfiniteMapRx',
  'InfiniteMapTx',
  'MPCapableDataFallback',
  'MPCapableFallbackACK',
];

const HANDSHAKE = ['MPCapableSYNTXDrop', 'MPCapableSYNTXDisabled', 'Blackhole'];

function wantedByNobody({ detail, facts }: ConnectionCase): Finding {
  const off = facts.running?.multipath === false;
  const why = off
    ? 'Weft was started with --no-multipath'
    : detail.owner === 'proxy'
      ? "a rule of the proxy's sends it directly"
      : 'its program asked for TCP';
  const advice = off
    ? ['start Weft without --no-multipath']
    : detail.owner === 'proxy'
      ? ['after a change of that rule: weft reload']
      : [`the next time: weft run ${shellWord(detail.program ?? 'PROGRAM')}`];
  return finding(
    'tcp-wanted',
    'warn',
    `it is plain TCP because ${why}`,
    [
      ['fallback', 'none: MPTCP was not asked for'],
      ['option', off ? '--no-multipath' : undefined],
    ],
    advice,
  );
}

function ofThisHost(one: ConnectionCase, reason: string): Finding {
  const { sysctls, mptcpSocket } = one.facts;
  const isOff = sysctls.get('net.mptcp.enabled') === '0';
  return finding(
    'tcp-local',
    'fail',
    `it is plain TCP because of this host: ${reason}`,
    [
      ['reason', reason],
      ['net.mptcp.enabled', sysctls.get('net.mptcp.enabled') ?? 'not there'],
      ['socket(…, IPPROTO_MPTCP)', mptcpSocket.ok ? 'works now' : mptcpSocket.reason],
    ],
    isOff ? ['sysctl -w net.mptcp.enabled=1'] : mptcpSocket.ok ? [] : ['weft doctor'],
  );
}

function fellBackLater(one: ConnectionCase): Finding {
  const { kernel, peerName } = one;
  return finding(
    'fell-back',
    'warn',
    `it began with MPTCP and became plain TCP later: something on the way to ${peerName} changes or removes what MPTCP adds to the data`,
    [
      ['mptcpi_flags', 'fallback, remote key received'],
      ['mptcpi_bytes_received', kernel.bytesReceived],
      ...countersAboveZero(one, LATE),
    ],
    ['sysctl -w net.mptcp.checksum_enabled=1', 'then try each uplink alone: weft up --interface LINK'],
  );
}

/** A rule of this host's that strips the option from everything, or from some packets. */
function strippedHere({ facts }: ConnectionCase): readonly { rule: string; remedy: string }[] {
  return facts.firewall.looked ? facts.firewall.findings.filter(({ kind }) => kind !== 'drops') : [];
}

function stripped(one: ConnectionCase): Finding | undefined {
  const { detail, facts, peerName } = one;
  const rules = strippedHere(one);
  if (rules.length > 0) {
    return finding(
      'option-stripped',
      'fail',
      'it is plain TCP, and a packet filter rule of this host takes MPTCP away',
      [...rules.map(({ rule }) => ['rule', rule] as const), counter(one, 'MPCapableFallbackSYNACK')],
      rules.map(({ remedy }) => remedy),
    );
  }
  const from = facts.peer?.speaksMptcpFrom ?? [];
  if (from.length === 0) return undefined;
  const elsewhere = from.filter((address) => address !== detail.localAddress);
  const where =
    elsewhere.length === from.length ? `from ${elsewhere.join(', ')}` : 'also from the same address';
  return finding(
    'option-stripped',
    'warn',
    `it is plain TCP, and ${peerName} speaks MPTCP on other connections (${where}): something on the way of this one takes the option out of packets`,
    [
      ['from', detail.localAddress],
      ...from.map((address) => ['MPTCP to the same server now', `from ${address}`] as const),
      counter(one, 'MPCapableFallbackSYNACK'),
    ],
    [
      `ask the provider of ${detail.links.join(', ') || 'this link'}, or put a tunnel around it: weft tunnel init --help`,
    ],
  );
}

function notOfferedByPeer(one: ConnectionCase, reason: string): Finding {
  const { detail, peerName } = one;
  return finding(
    'peer-plain',
    'warn',
    `it is plain TCP: ${peerName} answered without MPTCP; it does not speak it, or something on the way takes it out`,
    [
      ['reason', reason],
      ['from', detail.localAddress],
      counter(one, 'MPCapableSYNTX'),
      counter(one, 'MPCapableFallbackSYNACK'),
      ...countersAboveZero(one, HANDSHAKE),
    ],
    [
      'to see whether this way lets MPTCP through: weft run curl http://check.mptcp.dev',
      'with a far end of your own every server is reached by several paths: weft serve',
    ],
  );
}

/** What is true of a connection that is plain TCP, the most certain first. */
export function fallbackFindings(one: ConnectionCase): Finding[] {
  const { detail, kernel } = one;
  const isOfKernel = kernel.fallback === true;
  if (detail.fallbackReason === undefined && !isOfKernel) return [wantedByNobody(one)];
  const reason = detail.fallbackReason ?? PEER_FALLBACK;
  if (isOfKernel && kernel.remoteKeyReceived === true) return [fellBackLater(one)];
  if (!isOfKernel && !reason.startsWith(OF_THE_PEER)) return [ofThisHost(one, reason)];
  return [stripped(one) ?? notOfferedByPeer(one, reason)];
}
