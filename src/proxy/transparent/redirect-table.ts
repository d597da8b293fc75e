/**
 * The nftables table that brings connections to the transparent front without their programs' knowledge (pure): those
 * of this host's own programs, and those that come in by the named links. The front is transparent-front.ts; who
 * installs the table is service/transparent.ts.
 *
 *   output       TCP of this host, but not: the proxy's own (by its mark), to this host itself, link-local
 *   prerouting   TCP that comes in by a named link, but not: to this host itself, link-local
 *   input        the front's ports are closed to whoever was not redirected
 *   quic-…       optional: UDP to port 443 is refused, so that browsers use TCP
 *
 * Invariant: only a packet that opens a TCP connection is redirected. Connection tracking that begins in the middle of
 * a connection takes any packet of it for its first, so without that condition the connections that were there before
 * would break.
 */
import type { Prefix } from '../../base/index.ts';
import {
  NfPriority,
  type NfChain,
  type NfFamily,
  type NfMatch,
  type NfRule,
  type NfTable,
} from '../../netlink/index.ts';

/**
 * SO_MARK of what the proxy itself dials. No bit of it is one that Kubernetes, Tailscale or Cilium give a meaning.
 */
export const TRANSPARENT_MARK = 0x3128;

export const TRANSPARENT_TABLE = 'weft-transparent';

/** Where the front listens. */
export interface RedirectPort {
  readonly family: NfFamily;
  readonly port: number;
}

export interface RedirectTableOptions {
  readonly ports: readonly RedirectPort[];
  /** Links whose incoming connections are redirected too. They need not exist yet. */
  readonly fromLinks: readonly string[];
  /** Where this host's own connections go by themselves, such as to the appliance. Default: none. */
  readonly leftAlone?: readonly Prefix[];
  /** Refuse UDP to port 443 (HTTP/3): of this host, and of what comes in by the links. */
  readonly rejectQuic: boolean;
}

const LINK_LOCAL: readonly Prefix[] = [
  { address: '169.254.0.0', length: 16 },
  { address: 'fe80::', length: 10 },
];

const QUIC_PORT = 443;

const leave = (...when: NfMatch[]): NfRule => ({ when, verdict: { action: 'return' } });
const tcp: NfMatch = { match: 'protocol', is: 'tcp' };
const toThisHost: NfMatch = { match: 'destinationIsLocal' };
const ours: NfMatch = { match: 'mark', is: TRANSPARENT_MARK };
const leavePrefixes = (prefixes: readonly Prefix[]) =>
  prefixes.map((prefix) => leave({ match: 'destination', in: prefix }));
const linkLocal = leavePrefixes(LINK_LOCAL);
const quic: readonly NfMatch[] = [
  { match: 'protocol', is: 'udp' },
  { match: 'destinationPort', is: QUIC_PORT },
];

function redirects(ports: readonly RedirectPort[], ...when: NfMatch[]): NfRule[] {
  return ports.map(({ family, port }) => ({
    when: [...when, { match: 'family', is: family }, tcp, { match: 'tcpOpening' }],
    verdict: { action: 'redirect', port },
  }));
}

export function redirectTable(options: RedirectTableOptions): NfTable {
  const { fromLinks, leftAlone = [], ports, rejectQuic } = options;
  const output: NfChain = {
    name: 'output',
    type: 'nat',
    hook: 'output',
    priority: NfPriority.destinationNat,
    rules: [leave(ours), leave(toThisHost), ...linkLocal, ...leavePrefixes(leftAlone), ...redirects(ports)],
  };
  const prerouting: NfChain = {
    name: 'prerouting',
    type: 'nat',
    hook: 'prerouting',
    priority: NfPriority.destinationNat,
    rules: [
      leave(toThisHost),
      ...linkLocal,
      ...fromLinks.flatMap((link) => redirects(ports, { match: 'inputLink', is: link })),
    ],
  };
  const input: NfChain = {
    name: 'input',
    type: 'filter',
    hook: 'input',
    priority: NfPriority.filter,
    rules: ports.map(({ family, port }): NfRule => ({
      when: [
        { match: 'family', is: family },
        tcp,
        { match: 'destinationPort', is: port },
        { match: 'isRedirected', not: true },
      ],
      verdict: { action: 'reject', with: 'tcp-reset' },
    })),
  };
  return {
    name: TRANSPARENT_TABLE,
    chains: [
      output,
      ...(fromLinks.length > 0 ? [prerouting] : []),
      input,
      ...(rejectQuic ? quicChains(fromLinks) : []),
    ],
  };
}

const refuseQuic = (...when: NfMatch[]): NfRule => ({
  when: [...when, ...quic],
  verdict: { action: 'reject', with: 'port-unreachable' },
});

const quicChain = (hook: 'output' | 'forward', rules: readonly NfRule[]): NfChain => ({
  name: `quic-${hook}`,
  type: 'filter',
  hook,
  priority: NfPriority.filter,
  rules,
});

function quicChains(fromLinks: readonly string[]): NfChain[] {
  const own = quicChain('output', [refuseQuic({ match: 'destinationIsLocal', not: true })]);
  if (fromLinks.length === 0) return [own];
  const ofOthers = fromLinks.map((link) => refuseQuic({ match: 'inputLink', is: link }));
  return [own, quicChain('forward', ofOthers)];
}
