/**
 * Tables of nftables on the wire (pure): the messages that make, replace and remove one.
 *
 *   nfgenmsg (4): 0 family u8 | 1 version u8, 0 | 2 resource id be16
 *
 * All messages that change something stand between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, and the kernel takes
 * all of them or none.
 *
 * References: <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>.
 */
import { WeftError } from '../base/errors.ts';
import { parseAttributes, PayloadWriter } from './attributes.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, type NetlinkRequest } from './message.ts';
import { ExpressionWriter } from './nf-tables-expressions.ts';
import { NF_MAX_RULES, type NfChain, type NfRule, type NfTable } from './nf-tables-types.ts';

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFNL_SUBSYS_NFTABLES = 10;
const NFPROTO_INET = 1;
const NFGENMSG_BYTES = 4;

const messageType = (message: number) => (NFNL_SUBSYS_NFTABLES << 8) | message;
const NFT_MSG_NEWTABLE = messageType(0);
export const NFT_MSG_GETTABLE = messageType(1);
const NFT_MSG_DELTABLE = messageType(2);
const NFT_MSG_NEWCHAIN = messageType(3);
const NFT_MSG_NEWRULE = messageType(6);
export const NFT_MSG_GETGEN = messageType(16);

const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_FLAGS = 2;
/** Linux 5.12: the table belongs to the socket that made it, and goes with it. */
export const NFT_TABLE_F_OWNER = 2;

const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
const POLICIES = { drop: 0, accept: 1 } as const;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
/** libnftnl's format of user data: type u8, length u8, value. */
const UDATA_RULE_COMMENT = 0;
const MAX_COMMENT_BYTES = 120;

const MAX_NAME_BYTES = 31;

function nfgenmsg(family: number, resource = 0): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 0xff);
}

const inet = () => new PayloadWriter().struct(nfgenmsg(NFPROTO_INET));

/** What opens and closes a batch for nftables. */
export const NF_BATCH = {
  begin: { type: NFNL_MSG_BATCH_BEGIN, payload: nfgenmsg(0, NFNL_SUBSYS_NFTABLES) },
  end: { type: NFNL_MSG_BATCH_END, payload: nfgenmsg(0, NFNL_SUBSYS_NFTABLES) },
} as const;

/** For questions that are about nothing in particular. */
export const emitNfQuestion = () => nfgenmsg(0);

export const emitTableQuestion = (name: string) => inet().text(NFTA_TABLE_NAME, name).finish();

/** The flags of a table from an answer to NFT_MSG_GETTABLE. */
export function parseTableFlags(payload: Uint8Array): number {
  return parseAttributes(payload, NFGENMSG_BYTES).be32(NFTA_TABLE_FLAGS) ?? 0;
}

function newTable(name: string, flags: number): NetlinkRequest {
  return {
    type: NFT_MSG_NEWTABLE,
    flags: NLM_F_CREATE,
    payload: inet().text(NFTA_TABLE_NAME, name).be32(NFTA_TABLE_FLAGS, flags).finish(),
    operation: `make nftables table "${name}"`,
  };
}

/** Removes the table with everything in it. */
export function removeTable(name: string): NetlinkRequest {
  return {
    type: NFT_MSG_DELTABLE,
    flags: 0,
    payload: emitTableQuestion(name),
    operation: `remove nftables table "${name}"`,
  };
}

function newChain(table: string, chain: NfChain): NetlinkRequest {
  return {
    type: NFT_MSG_NEWCHAIN,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: inet()
      .text(NFTA_CHAIN_TABLE, table)
      .text(NFTA_CHAIN_NAME, chain.name)
      .nest(NFTA_CHAIN_HOOK, (hook) => {
        hook.be32(NFTA_HOOK_HOOKNUM, HOOKS[chain.hook]).be32(NFTA_HOOK_PRIORITY, chain.priority);
      })
      .be32(NFTA_CHAIN_POLICY, POLICIES[chain.policy ?? 'accept'])
      .text(NFTA_CHAIN_TYPE, chain.type)
      .finish(),
    operation: `make chain "${chain.name}" of nftables table "${table}"`,
  };
}

function newRule(table: string, chain: string, rule: NfRule, position: number): NetlinkRequest {
  const payload = inet()
    .text(NFTA_RULE_TABLE, table)
    .text(NFTA_RULE_CHAIN, chain)
    .nest(NFTA_RULE_EXPRESSIONS, (list) => {
      const expressions = new ExpressionWriter(list);
      for (const match of rule.when) expressions.match(match);
      expressions.action(rule.verdict);
    });
  if (rule.comment !== undefined) payload.bytes(NFTA_RULE_USERDATA, commentBytes(rule.comment));
  return {
    type: NFT_MSG_NEWRULE,
    flags: NLM_F_CREATE | NLM_F_APPEND,
    payload: payload.finish(),
    operation: `add rule ${position} to chain "${chain}" of nftables table "${table}"`,
  };
}

function commentBytes(comment: string): Uint8Array {
  const text = new TextEncoder().encode(`${comment}\0`);
  if (text.length > MAX_COMMENT_BYTES + 1) {
    throw new WeftError(`the comment "${comment}" is longer than ${MAX_COMMENT_BYTES} bytes`, {
      code: 'TOO_LONG',
    });
  }
  return Uint8Array.of(UDATA_RULE_COMMENT, text.length, ...text);
}

function checkName(what: string, name: string): void {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > 0 && bytes.length <= MAX_NAME_BYTES && !bytes.includes(0)) return;
  throw new WeftError(`"${name}" is not a name for ${what}`, {
    code: 'BAD_NAME',
    hint: `names have 1 to ${MAX_NAME_BYTES} bytes`,
  });
}

/**
 * The messages that bring a table to exactly what `table` says, whatever stood under its name before.
 * @throws WeftError for what no message can say: a bad port, link name, address, a name or comment that is too long
 */
export function replaceTable(table: NfTable, flags: number): NetlinkRequest[] {
  checkName('an nftables table', table.name);
  const count = table.chains.reduce((sum, { rules }) => sum + rules.length, 0);
  if (count > NF_MAX_RULES) {
    throw new WeftError(`nftables table "${table.name}": ${count} rules are more than ${NF_MAX_RULES}`, {
      code: 'TOO_MANY',
    });
  }
  // Removing is refused where there is none, so it is made first; making what is there changes nothing.
  const messages = [newTable(table.name, flags), removeTable(table.name), newTable(table.name, flags)];
  for (const chain of table.chains) {
    checkName('a chain', chain.name);
    messages.push(newChain(table.name, chain));
    for (const [i, rule] of chain.rules.entries()) {
      messages.push(newRule(table.name, chain.name, rule, i + 1));
    }
  }
  return messages;
}
