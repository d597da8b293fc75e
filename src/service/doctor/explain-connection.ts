/**
 * Why one connection is, or is not, on several paths (pure): facts and what an observer knows of it in, findings out, the
 * worst first, and one sentence that is the answer.
 *
 * Order: is it MPTCP at all → what it uses → what keeps it from each other link → what keeps it from more subflows
 * altogether → what of the host is to blame → nothing of that, which is said too.
 *
 * Invariant: a reason is named only when something that was read shows it; what shows it stands beside it.
 */
import { isLoopback, shellWord } from '../../base/index.ts';
import type { Finding, WhyReport } from '../observe/api.ts';
import type { ConnectionDetail, SubflowReading } from '../observe/model.ts';
import { PATH_MANAGER_MAX } from './checks-mptcp.ts';
import { caseOf, counter, countersAboveZero, type ConnectionCase } from './connection-case.ts';
import { hostFindings } from './explain-host.ts';
import { fallbackFindings } from './explain-fallback.ts';
import { explainUnused, type UnusedLinks } from './explain-paths.ts';
import type { HostFacts } from './facts.ts';
import type { ConnectionFindingId, HostFindingId } from './finding-ids.ts';
import { finding, isTrouble, report, worstFirst } from './finding.ts';

/** What of the host can be the reason, for a connection that is plain TCP and for one that has one path. */
const TO_BLAME_FOR_TCP: ReadonlySet<string> = new Set<HostFindingId>([
  'no-mptcp',
  'mptcp-off',
  'mptcp-refused',
  'blackhole',
  'handshakes-dropped',
]);
const TO_BLAME_FOR_ONE_PATH: ReadonlySet<string> = new Set<HostFindingId>([
  'path-manager-userspace',
  'no-uplink',
  'one-uplink',
  'vpn',
  'firewall-strips',
  'firewall-drops',
  'rules-of-others',
  'join-forged',
]);

const subflowName = ({ link, localAddress }: SubflowReading) =>
  link === undefined ? localAddress : `${link} (${localAddress})`;

const listOf = (subflows: readonly SubflowReading[]) => subflows.map(subflowName).join(', ');

/** What data goes over, and what would be there if it were not backup or silent. */
function useFindings(one: ConnectionCase): Finding[] {
  const { active, detail, established, kernel, peerName } = one;
  const findings: Finding[] = [];
  if (active.length > 1) {
    findings.push(
      finding('several-paths', 'ok', `it uses ${active.length} paths at once: ${listOf(active)}`, [
        ...active.map((subflow) => ['subflow', subflowName(subflow)] as const),
        ['mptcpi_subflows', kernel.subflows],
        ['mptcpi_subflows_max', kernel.subflowsMax],
      ]),
    );
  }
  const backups = established.filter(({ state }) => state === 'backup');
  if (backups.length > 0 && active.length < 2) {
    const links = [...new Set(backups.flatMap(({ link }) => link ?? []))];
    findings.push(
      finding(
        'path-backup',
        'warn',
        `${listOf(backups)} ${backups.length === 1 ? 'is' : 'are'} backup: data goes there only when no other path works`,
        backups.map((subflow) => [`backup flag of ${subflow.localAddress}`, 'set'] as const),
        links.map((link) => `weft path ${shellWord(link)} normal`),
      ),
    );
  }
  for (const subflow of detail.subflows.filter(({ state }) => state === 'stale')) {
    const why = subflow.why === undefined ? '' : `: ${subflow.why}`;
    findings.push(
      finding(
        'path-stale',
        'warn',
        `the subflow over ${subflowName(subflow)} is there, and nothing of ${peerName} comes through${why}`,
        [
          ['retransmitted segments', subflow.retransmittedSegments],
          ['received bytes', subflow.receivedBytes],
          ...countersAboveZero(one, ['SubflowStale', 'MPTCPRetrans']),
        ],
        subflow.link === undefined
          ? []
          : [
              `to see whether anything gets through: ping -I ${shellWord(subflow.link)} ${detail.remoteAddress}`,
            ],
      ),
    );
  }
  return findings;
}

/** @param free links from which a subflow could begin */
function limitFindings(one: ConnectionCase, free: readonly string[]): Finding[] {
  const { facts, kernel } = one;
  const { subflows = one.detail.subflows.length - 1, subflowsMax } = kernel;
  if (subflowsMax === undefined) return [];
  const evidence = [
    ['mptcpi_subflows', subflows],
    ['mptcpi_subflows_max', subflowsMax],
    ['limit of subflows now', facts.limits?.subflows],
  ] as const;
  if (subflowsMax === 0) {
    return [
      finding('limit-zero', 'fail', 'it may have no second subflow: the limit is 0', evidence, [
        `weft mptcp limits set subflows ${Math.max(2, free.length)}`,
        'then open the connection anew',
      ]),
    ];
  }
  if (subflows < subflowsMax || free.length === 0) return [];
  const text = `it has as many subflows as its limit allows (${subflowsMax} beside the first), and ${free.join(', ')} could be used too`;
  const wanted = Math.min(subflows + free.length, PATH_MANAGER_MAX);
  const advice = wanted > subflows ? [`weft mptcp limits set subflows ${wanted}`] : [];
  return [finding('limit-reached', one.active.length > 1 ? 'warn' : 'fail', text, evidence, advice)];
}

function wasAnnounced({ events }: ConnectionCase): boolean {
  return events.some(({ event }) => event === 'announced');
}

/** A link of which nothing can be had now. */
const HAS_NO_WAY: ReadonlySet<string> = new Set<ConnectionFindingId>(['path-not-ready', 'family-mismatch']);

/** What depends on addresses that the other end announces, or does not. */
function announcementFindings(one: ConnectionCase, unused: UnusedLinks): Finding[] {
  const { detail, kernel, peerName } = one;
  const { addressesAccepted: accepted = 0, addressesAcceptedMax } = kernel;
  // With subflows over two links, whatever they are good for now, no second address is missing.
  if (accepted > 0 || one.links.length > 1) return [];
  const evidence = [
    ['deny_join_id0', detail.denyJoinId0],
    ['mptcpi_add_addr_accepted', accepted],
    ['mptcpi_add_addr_accepted_max', addressesAcceptedMax],
    counter(one, 'AddAddr'),
  ] as const;
  if (wasAnnounced(one)) {
    if (addressesAcceptedMax !== 0) return [];
    const text = `${peerName} announced another address, and the limit of this host is to use none`;
    return [
      finding('announced-unused', 'warn', text, evidence, ['weft mptcp limits set add_addr_accepted 2']),
    ];
  }
  if (detail.denyJoinId0 === true) {
    const text = `${peerName} lets nobody join at this address (the C flag), and has announced no other`;
    return [
      finding('c-flag', 'warn', text, evidence, [
        'at the other end, if it is no load balancer: sysctl -w net.mptcp.allow_join_initial_addr_port=1',
        'or announce an address that reaches it itself: weft mptcp endpoint add ADDRESS port PORT signal',
      ]),
    ];
  }
  // With another way out, or one that only lacks something, the other end needs no second address.
  const mayHaveOne = unused.findings.some(({ id }) => !HAS_NO_WAY.has(id));
  if (mayHaveOne || unused.free.length > 0) return [];
  const text = `a second path from this host, which has one, would need a second address of ${peerName}, and it announced none`;
  return [
    finding('peer-announced-nothing', 'warn', text, evidence, [
      'at the other end: weft mptcp endpoint add ADDRESS signal',
    ]),
  ];
}

function serverFinding(one: ConnectionCase): Finding {
  const { detail, facts, peerName } = one;
  const others = (facts.paths ?? []).filter(({ link }) => !one.links.includes(link));
  const announced = detail.addressesAnnounced ?? 0;
  return finding(
    'server-side',
    announced === 0 && others.length > 0 ? 'warn' : 'unknown',
    `${peerName} began it, so it is the one to open more subflows; this host announced ${announced === 0 ? 'no address' : `${announced} address${announced === 1 ? '' : 'es'}`} to it`,
    [
      ['server side', true],
      ['mptcpi_add_addr_signal', announced],
      counter(one, 'MPJoinSynRx'),
      counter(one, 'MPJoinRejected'),
    ],
    announced === 0
      ? others.map(({ address, link }) => `weft mptcp endpoint add ${address} dev ${shellWord(link)} signal`)
      : [],
  );
}

/** Joins begin within a round trip or two of the first data. */
const YOUNG_MS = 3000;

/** The kernel begins other subflows when the other end has confirmed data (RFC 8684 section 3.1). */
function youngFinding({ detail, kernel }: ConnectionCase): Finding | undefined {
  const silent = kernel.bytesAcked === 0 && (kernel.bytesReceived ?? detail.receivedBytes) === 0;
  if (detail.openForMs >= YOUNG_MS && !silent) return undefined;
  const text = silent
    ? 'no data has gone over it yet, and other subflows begin when the first has been confirmed'
    : 'it has just begun, and other subflows follow when the first data has been confirmed';
  return finding('young', 'ok', text, [
    ['open for', `${(detail.openForMs / 1000).toFixed(1)} s`],
    ['mptcpi_bytes_acked', kernel.bytesAcked],
    ['mptcpi_bytes_received', kernel.bytesReceived ?? detail.receivedBytes],
  ]);
}

function unexplained(one: ConnectionCase, unused: UnusedLinks): Finding {
  const from = unused.free.length === 0 ? '' : ` from ${unused.free.join(', ')}`;
  return finding(
    'unexplained',
    'unknown',
    `nothing on this host keeps it from a second subflow${from}: ${one.peerName} takes no more, or something on the way drops what begins one`,
    [
      ['mptcpi_subflows', one.kernel.subflows],
      ['mptcpi_subflows_max', one.kernel.subflowsMax],
      counter(one, 'MPJoinSynTx'),
      counter(one, 'MPJoinSynAckRx'),
      ...countersAboveZero(one, ['MPJoinSynTxBindErr', 'MPJoinSynTxConnectErr', 'MPRstRx', 'RmAddr']),
    ],
    ['sudo weft doctor', `in a minute, again: weft explain ${one.detail.id}`],
  );
}

function blamed(facts: HostFacts, reasons: ReadonlySet<string>): Finding[] {
  return hostFindings(facts).filter((found) => isTrouble(found) && reasons.has(found.id));
}

function isOfThisHost({ facts, detail }: ConnectionCase): boolean {
  const { remoteAddress } = detail;
  return (
    isLoopback(remoteAddress) ||
    (facts.addresses ?? []).some(({ address }) => address === (facts.peer?.address ?? remoteAddress))
  );
}

function onePathFindings(one: ConnectionCase): Finding[] {
  if (isOfThisHost(one)) {
    const text = 'both ends are on this host, where there is one path only';
    return [finding('local', 'ok', text, [['the other end', one.detail.remoteAddress]])];
  }
  const young = youngFinding(one);
  const unused = explainUnused(one);
  const use = useFindings(one);
  const isServer = one.detail.serverSide === true;
  const findings = [
    ...use,
    ...limitFindings(one, unused.free),
    // Who began it decides whose endpoints matter.
    ...(isServer ? [serverFinding(one)] : [...unused.findings, ...announcementFindings(one, unused)]),
    ...blamed(one.facts, TO_BLAME_FOR_ONE_PATH),
    ...(young === undefined ? [] : [young]),
  ];
  return findings.length === 0 ? [unexplained(one, unused)] : findings;
}

function mptcpFindings(one: ConnectionCase): Finding[] {
  if (one.active.length < 2) return onePathFindings(one);
  const unused = explainUnused(one);
  return [...useFindings(one), ...limitFindings(one, unused.free), ...unused.findings];
}

/** As rows of the appliance's kernel are named. */
const isInAppliance = ({ id }: ConnectionDetail) => id.startsWith('g');

/** A virtual machine's kernel has it: this host's endpoints and routes are not its own. */
function applianceFindings(one: ConnectionCase): Finding[] {
  const { active, detail, kernel } = one;
  return [
    ...useFindings(one),
    finding(
      'in-appliance',
      active.length > 1 ? 'ok' : 'unknown',
      "the kernel of the appliance (the virtual machine) has this connection, and its reasons are that kernel's",
      [
        ['subflows', detail.subflowCount],
        ['mptcpi_subflows_max', kernel.subflowsMax],
      ],
      ['weft status'],
    ),
    ...blamed(one.facts, new Set<HostFindingId>(['forwarding-dropped', 'one-uplink', 'no-uplink', 'vpn'])),
  ];
}

function findingsOf(one: ConnectionCase): Finding[] {
  const { detail, facts, kernel } = one;
  if (detail.protocol === 'tcp' || kernel.fallback === true) {
    return [...fallbackFindings(one), ...blamed(facts, TO_BLAME_FOR_TCP)];
  }
  return isInAppliance(detail) ? applianceFindings(one) : mptcpFindings(one);
}

function summarise(one: ConnectionCase, findings: readonly Finding[]): string {
  const { active, detail, established } = one;
  const [worst] = worstFirst(findings);
  if (detail.protocol === 'tcp' || one.kernel.fallback === true) return worst?.text ?? 'it is plain TCP';
  if (active.length > 1) {
    const trouble = worst !== undefined && isTrouble(worst) ? `; ${worst.text}` : '';
    return `it uses ${active.length} paths at once: ${listOf(active)}${trouble}`;
  }
  const used = active.length === 0 ? established : active;
  const where =
    used.length > 0
      ? `it uses one path only, ${listOf(used.slice(0, 1))}`
      : detail.subflows.length === 0
        ? 'its subflows are not known yet'
        : 'it has no path now';
  return `${where}${worst === undefined ? '' : `: ${worst.text}`}`;
}

/** @param facts with those of its other end (`HostFacts.peer`); without them less can be told */
export function explainConnection(facts: HostFacts, detail: ConnectionDetail): WhyReport {
  const one = caseOf(facts, detail);
  const findings = findingsOf(one);
  return report(findings, summarise(one, findings), facts.time);
}
