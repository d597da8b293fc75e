/**
 * Looks for firewalls that keep the appliance's packets from passing through this host: base chains at the hook
 * `forward` whose policy is drop (as Docker, ufw and firewalld make them) and whose table has no rule that names the
 * appliance's links. Pure: chain and rule messages in, chains out. What jumps and sets decide beyond that is not seen.
 *
 *   nfgenmsg: 0 family u8 | 1 version u8 | 2 reserved be16; then NFTA_CHAIN_* or NFTA_RULE_*, integers in network order
 *
 * References: <linux/netfilter/nf_tables.h>, iptables-save(8).
 */
import { parseAttributes, type Attributes } from '../../netlink/index.ts';

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETCHAIN = 4;
export const GET_CHAINS = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN;
const NFGENMSG_BYTES = 4;

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NF_INET_FORWARD = 2;
const NF_DROP = 0;
const NF_ACCEPT = 1;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_CMP_DATA = 3;
const NFTA_DATA_VALUE = 1;
const NFTA_IMMEDIATE_DATA = 2;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;

const FAMILIES: ReadonlyMap<number, string> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [10, 'ip6'],
]);

/** What the names of the appliance's links begin with. */
const LINKS = 'weftvm';
/** The appliance's own table, whose chain drops with rules. */
const OWN_TABLE = 'weft-appliance';
/** The one chain of Docker's that it leaves to the administrator. */
const DOCKER_CHAIN = 'DOCKER-USER';
const ANSWERS = '-m conntrack --ctstate ESTABLISHED,RELATED';

export interface ForwardChain {
  /** `ip filter FORWARD` */
  readonly chain: string;
  /** A rule beside it names the appliance's links, or lets everything pass. */
  readonly letsGuestPass: boolean;
  /** Commands that let the appliance's packets pass. */
  readonly remedies: readonly string[];
}

function tableOf(payload: Uint8Array, attributes: Attributes, type: number): string | undefined {
  const family = FAMILIES.get(payload[0] ?? 0);
  const table = attributes.text(type);
  return family === undefined || table === undefined ? undefined : `${family} ${table}`;
}

interface Chain {
  readonly table: string;
  readonly name: string;
  readonly dropsForwarded: boolean;
}

function parseChain(payload: Uint8Array): Chain | undefined {
  if (payload.length < NFGENMSG_BYTES) return undefined;
  const attributes = parseAttributes(payload, NFGENMSG_BYTES);
  const table = tableOf(payload, attributes, NFTA_CHAIN_TABLE);
  const name = attributes.text(NFTA_CHAIN_NAME);
  if (table === undefined || name === undefined) return undefined;
  const hook = attributes.nested(NFTA_CHAIN_HOOK)?.be32(NFTA_HOOK_HOOKNUM);
  const dropsForwarded =
    hook === NF_INET_FORWARD &&
    attributes.text(NFTA_CHAIN_TYPE) === 'filter' &&
    attributes.be32(NFTA_CHAIN_POLICY) === NF_DROP;
  return { table, name, dropsForwarded };
}

interface Pass {
  readonly table: string;
  readonly chain: string;
  /** It compares something with the name of one of the appliance's links. */
  readonly namesLinks: boolean;
  /** It accepts, without a condition. */
  readonly acceptsAll: boolean;
}

const LINKS_BYTES = new TextEncoder().encode(LINKS);

const isLinkName = (bytes: Uint8Array) => LINKS_BYTES.every((byte, i) => bytes[i] === byte);

function parsePass(payload: Uint8Array): Pass | undefined {
  if (payload.length < NFGENMSG_BYTES) return undefined;
  const rule = parseAttributes(payload, NFGENMSG_BYTES);
  const table = tableOf(payload, rule, NFTA_RULE_TABLE);
  if (table === undefined) return undefined;
  let namesLinks = false;
  let accepts = false;
  let conditions = 0;
  for (const member of rule.list(NFTA_RULE_EXPRESSIONS)) {
    const expression = parseAttributes(member);
    const name = expression.text(NFTA_EXPR_NAME);
    const data = expression.nested(NFTA_EXPR_DATA);
    if (name === 'cmp') {
      const value = data?.nested(NFTA_CMP_DATA)?.bytes(NFTA_DATA_VALUE);
      if (value !== undefined && isLinkName(value)) namesLinks = true;
    }
    const verdict = data?.nested(NFTA_IMMEDIATE_DATA)?.nested(NFTA_DATA_VERDICT);
    if (name === 'immediate' && verdict !== undefined) {
      accepts = verdict.be32(NFTA_VERDICT_CODE) === NF_ACCEPT;
    } else if (name !== 'counter') conditions++;
  }
  const chain = rule.text(NFTA_RULE_CHAIN) ?? '';
  return { table, chain, namesLinks, acceptsAll: accepts && conditions === 0 };
}

/** Commands for a table that iptables made, which others write with it too. */
function iptablesRemedies(program: string, chain: string): string[] {
  return [
    `${program} -I ${chain} -i ${LINKS}+ -j ACCEPT`,
    `${program} -I ${chain} -o ${LINKS}+ ${ANSWERS} -j ACCEPT`,
  ];
}

function remediesFor(table: string, chain: string, chains: readonly Chain[]): string[] {
  const program = { 'ip filter': 'iptables', 'ip6 filter': 'ip6tables' }[table];
  if (program !== undefined && chain === 'FORWARD') {
    const docker = chains.some((other) => other.table === table && other.name === DOCKER_CHAIN);
    return iptablesRemedies(program, docker ? DOCKER_CHAIN : chain);
  }
  return [
    `nft insert rule ${table} ${chain} iifname "${LINKS}*" accept`,
    `nft insert rule ${table} ${chain} oifname "${LINKS}*" ct state established,related accept`,
  ];
}

/** From the answers to GET_CHAINS and GET_RULES (firewall.ts), without their netlink headers. */
export function inspectForwarding(
  chains: readonly Uint8Array[],
  rules: readonly Uint8Array[],
): ForwardChain[] {
  const known = chains.flatMap((payload) => parseChain(payload) ?? []);
  const dropping = known.filter(
    ({ dropsForwarded, table }) => dropsForwarded && !table.endsWith(` ${OWN_TABLE}`),
  );
  if (dropping.length === 0) return [];
  const passes = rules.flatMap((payload) => parsePass(payload) ?? []);
  return dropping.map(({ name, table }) => ({
    chain: `${table} ${name}`,
    letsGuestPass: passes.some(
      (pass) => pass.table === table && (pass.namesLinks || (pass.acceptsAll && pass.chain === name)),
    ),
    remedies: remediesFor(table, name, known),
  }));
}

/** The same for old iptables, as iptables-save(8) prints it. */
export function inspectSavedForwarding(text: string, program: 'iptables' | 'ip6tables'): ForwardChain[] {
  const found: ForwardChain[] = [];
  for (const part of text.split(/^\*/m)) {
    if (!part.startsWith('filter\n') || !/^:FORWARD DROP /m.test(part)) continue;
    const letsGuestPass =
      new RegExp(`^-A .* -[io] ${LINKS}`, 'm').test(part) || /^-A FORWARD -j ACCEPT$/m.test(part);
    const chain = new RegExp(`^:${DOCKER_CHAIN} `, 'm').test(part) ? DOCKER_CHAIN : 'FORWARD';
    found.push({
      chain: `${program} filter FORWARD`,
      letsGuestPass,
      remedies: iptablesRemedies(program, chain),
    });
  }
  return found;
}
