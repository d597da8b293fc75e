/**
 * Looks through packet filter rules for those that can harm MPTCP: rules that strip or rewrite its TCP option, that
 * drop packets which carry it, or that answer handshakes without it (synproxy). Pure: one rule message in, findings out.
 *
 * Reads the kernel's own form rather than the output of nft(8), which need not be installed. Rules of iptables-nft are
 * the same objects with `target` and `match` expressions. What a rule does by raw payload matches is not seen.
 *
 *   nfgenmsg: 0 family u8 | 1 version u8 | 2 reserved be16; then NFTA_RULE_*, integers in network order
 *
 * References: <linux/netfilter/nf_tables.h>, <linux/netfilter/xt_tcpudp.h>, <linux/netfilter/nfnetlink.h>.
 */
import { parseAttributes, type Attributes } from '../../netlink/index.ts';

export const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETRULE = 7;
export const GET_RULES = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE;
/** All families: NFPROTO_UNSPEC, version 0. */
export const ALL_RULES_REQUEST = new Uint8Array(4);
const NFGENMSG_BYTES = 4;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_HANDLE = 3;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_EXTHDR_DREG = 1;
const NFTA_EXTHDR_TYPE = 2;
const NFTA_EXTHDR_FLAGS = 5;
const NFTA_EXTHDR_OP = 6;
const NFT_EXTHDR_OP_TCPOPT = 1;
const NFT_EXTHDR_F_PRESENT = 1;
const NFTA_CMP_OP = 2;
const NFTA_CMP_DATA = 3;
const NFT_CMP_EQ = 0;
const NFTA_DATA_VALUE = 1;
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NF_DROP = 0;
const NFTA_XT_NAME = 1;
const NFTA_MATCH_INFO = 3;
const XT_TCP_OPTION_OFFSET = 8;

/** RFC 8684 section 3: the TCP option kind of MPTCP. */
const TCPOPT_MPTCP = 30;

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);

export interface FirewallFinding {
  /** `strips`: removes or rewrites the option; `drops`: drops packets that have it; `synproxy`: answers without it. */
  readonly kind: 'strips' | 'drops' | 'synproxy';
  /** As nft(8) names it: `inet filter output handle 4`. */
  readonly rule: string;
  /** The command that removes it. */
  readonly remedy: string;
}

const be32 = (attributes: Attributes, type: number): number | undefined => {
  const bytes = attributes.bytes(type);
  if (bytes === undefined || bytes.length < 4) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
};

interface RuleTraits {
  looksAtMptcp: boolean;
  /** The last expression loaded whether the option is there; the comparison after it says what is wanted. */
  asksForPresence: boolean;
  strips: boolean;
  drops: boolean;
  synproxy: boolean;
}

function inspectExthdr(data: Attributes, traits: RuleTraits): void {
  if (be32(data, NFTA_EXTHDR_OP) !== NFT_EXTHDR_OP_TCPOPT || data.u8(NFTA_EXTHDR_TYPE) !== TCPOPT_MPTCP)
    return;
  // Loads into a register to compare; stores from a register to rewrite; neither means remove.
  if (data.has(NFTA_EXTHDR_DREG)) {
    traits.looksAtMptcp = true;
    traits.asksForPresence = be32(data, NFTA_EXTHDR_FLAGS) === NFT_EXTHDR_F_PRESENT;
  } else traits.strips = true;
}

/** `tcp option mptcp missing` is about the packets that MPTCP is not in. */
function inspectComparison(data: Attributes, traits: RuleTraits): void {
  if (!traits.asksForPresence) return;
  const present = data.nested(NFTA_CMP_DATA)?.bytes(NFTA_DATA_VALUE)?.[0] === 1;
  const equal = be32(data, NFTA_CMP_OP) === NFT_CMP_EQ;
  if (present !== equal) traits.looksAtMptcp = false;
  traits.asksForPresence = false;
}

function inspectExpression(name: string | undefined, data: Attributes, traits: RuleTraits): void {
  switch (name) {
    case 'exthdr':
      return inspectExthdr(data, traits);
    case 'cmp':
      return inspectComparison(data, traits);
    case 'immediate': {
      const verdict = data.nested(NFTA_IMMEDIATE_DATA)?.nested(NFTA_DATA_VERDICT);
      if (verdict !== undefined && be32(verdict, NFTA_VERDICT_CODE) === NF_DROP) traits.drops = true;
      return undefined;
    }
    case 'reject':
      traits.drops = true;
      return undefined;
    case 'synproxy':
      traits.synproxy = true;
      return undefined;
    case 'target': {
      const target = data.text(NFTA_XT_NAME);
      if (target === 'TCPOPTSTRIP') traits.strips = true;
      if (target === 'SYNPROXY') traits.synproxy = true;
      if (target === 'REJECT') traits.drops = true;
      return undefined;
    }
    case 'match':
      if (
        data.text(NFTA_XT_NAME) === 'tcp' &&
        data.bytes(NFTA_MATCH_INFO)?.[XT_TCP_OPTION_OFFSET] === TCPOPT_MPTCP
      )
        traits.looksAtMptcp = true;
      return undefined;
    default:
      return undefined;
  }
}

/** @param payload one answer to GET_RULES, without the netlink header. Anything that is no rule yields `undefined`. */
export function inspectRule(payload: Uint8Array): FirewallFinding | undefined {
  if (payload.length < NFGENMSG_BYTES) return undefined;
  const rule = parseAttributes(payload, NFGENMSG_BYTES);
  const traits: RuleTraits = {
    looksAtMptcp: false,
    asksForPresence: false,
    strips: false,
    drops: false,
    synproxy: false,
  };
  for (const member of rule.list(NFTA_RULE_EXPRESSIONS)) {
    const expression = parseAttributes(member);
    const data = expression.nested(NFTA_EXPR_DATA);
    if (data !== undefined) inspectExpression(expression.text(NFTA_EXPR_NAME), data, traits);
  }
  const kind = traits.strips
    ? 'strips'
    : traits.synproxy
      ? 'synproxy'
      : traits.looksAtMptcp && traits.drops
        ? 'drops'
        : undefined;
  if (kind === undefined) return undefined;
  const handle = rule.bytes(NFTA_RULE_HANDLE);
  const number =
    handle?.length === 8 ? new DataView(handle.buffer, handle.byteOffset, 8).getBigUint64(0).toString() : '?';
  const family = FAMILIES.get(payload[0] ?? 0) ?? String(payload[0]);
  const name = `${family} ${rule.text(NFTA_RULE_TABLE) ?? '?'} ${rule.text(NFTA_RULE_CHAIN) ?? '?'} handle ${number}`;
  return { kind, rule: name, remedy: `nft delete rule ${name}` };
}

/**
 * The same for the rules of old iptables, as iptables-save(8) prints them.
 * @param program the program that printed them, for the remedy
 */
export function inspectIptablesSave(text: string, program: 'iptables' | 'ip6tables'): FirewallFinding[] {
  const findings: FirewallFinding[] = [];
  let table = 'filter';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    if (!line.startsWith('-A ')) continue;
    const words = line.split(/\s+/);
    const after = (option: string) => words[words.indexOf(option) + 1];
    const target = words.includes('-j') ? after('-j') : undefined;
    const onMptcp = words.includes('--tcp-option') && after('--tcp-option') === String(TCPOPT_MPTCP);
    const strips = target === 'TCPOPTSTRIP' && (after('--strip-options') ?? '').split(',').includes('30');
    const kind = strips
      ? 'strips'
      : target === 'SYNPROXY'
        ? 'synproxy'
        : onMptcp && (target === 'DROP' || target === 'REJECT')
          ? 'drops'
          : undefined;
    if (kind === undefined) continue;
    const rule = `${program} -t ${table} ${line}`;
    findings.push({ kind, rule, remedy: `${program} -t ${table} -D ${line.slice('-A '.length)}` });
  }
  return findings;
}
