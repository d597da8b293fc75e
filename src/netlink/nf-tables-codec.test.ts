import { describe, expect, it } from 'vitest';
import { parseAttributes } from './attributes.ts';
import { parseTableFlags, replaceTable } from './nf-tables-codec.ts';
import { NF_MAX_RULES, type NfChain, type NfMatch, type NfRule, type NfTable } from './nf-tables-types.ts';

const CHAIN: NfChain = { name: 'c', type: 'filter', hook: 'input', priority: 0, rules: [] };
const tableOf = (rules: readonly NfRule[], name = 't'): NfTable => ({ name, chains: [{ ...CHAIN, rules }] });
const ruleWith = (...when: NfMatch[]): NfRule => ({ when, verdict: { action: 'drop' } });
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

const NEWRULE = 0x0a06;
const EXPRESSIONS = 4;
const USERDATA = 7;

/** Attributes of a rule's message. */
function ruleOf(rule: NfRule) {
  const message = replaceTable(tableOf([rule]), 0).find(({ type }) => type === NEWRULE);
  return parseAttributes(message!.payload, 4);
}

describe('the messages of a table', () => {
  it('make it, so that it can be removed, and make it anew, with chains and rules in order', () => {
    const messages = replaceTable(
      {
        name: 't',
        chains: [
          { ...CHAIN, rules: [ruleWith(), ruleWith()] },
          { ...CHAIN, name: 'd' },
        ],
      },
      2,
    );
    expect(messages.map(({ operation }) => operation)).toEqual([
      'make nftables table "t"',
      'remove nftables table "t"',
      'make nftables table "t"',
      'make chain "c" of nftables table "t"',
      'add rule 1 to chain "c" of nftables table "t"',
      'add rule 2 to chain "c" of nftables table "t"',
      'make chain "d" of nftables table "t"',
    ]);
    expect(parseTableFlags(messages[0]!.payload)).toBe(2);
    for (const { payload } of messages) {
      // Family inet, version 0, no resource.
      expect([...payload.subarray(0, 4)]).toEqual([1, 0, 0, 0]);
      expect(parseAttributes(payload, 4).truncated).toBe(false);
    }
  });

  it('load, mask and compare as nft --debug=netlink shows of the same words', () => {
    // ip saddr 10.0.0.0/30 drop, from nft 1.0.6: meta nfproto, payload 4b @ network + 12, bitwise, cmp, immediate.
    const rule = ruleOf(ruleWith({ match: 'source', in: { address: '10.0.0.3', length: 30 } }));
    const names = rule.list(EXPRESSIONS).map((element) => parseAttributes(element).text(1));
    expect(names).toEqual(['meta', 'cmp', 'payload', 'bitwise', 'cmp', 'immediate']);
    const data = rule.list(EXPRESSIONS).map((element) => parseAttributes(element).nested(2)!);
    expect([data[2]!.be32(2), data[2]!.be32(3), data[2]!.be32(4)]).toEqual([1, 12, 4]);
    expect(hex(data[3]!.nested(4)!.bytes(1))).toBe('fffffffc');
    expect(hex(data[4]!.nested(3)!.bytes(1))).toBe('0a000000');
    expect(data[5]!.nested(2)!.nested(2)!.be32(1)).toBe(0);
  });

  it('compare whole names of links and carry comments', () => {
    const rule = ruleOf({ ...ruleWith({ match: 'inputLink', is: 'eth1' }), comment: 'why' });
    const [, compare] = rule.list(EXPRESSIONS).map((element) => parseAttributes(element).nested(2)!);
    expect(hex(compare!.nested(3)!.bytes(1))).toBe(
      `${Buffer.from('eth1').toString('hex')}${'00'.repeat(12)}`,
    );
    expect(hex(rule.bytes(USERDATA))).toBe(`0004${Buffer.from('why\0').toString('hex')}`);
  });

  it('cannot be made of what no message can say', () => {
    const bad: readonly (readonly [NfTable, RegExp])[] = [
      [tableOf([], ''), /"" is not a name for an nftables table/],
      [tableOf([], 'n'.repeat(32)), /is not a name/],
      [
        tableOf([ruleWith({ match: 'inputLink', is: 'a-name-of-16-byte' })]),
        /"a-name-of-16-byte" is not the name/,
      ],
      [tableOf([ruleWith({ match: 'destinationPort', is: 65_536 })]), /"65536" is not a port/],
      [tableOf([{ when: [], verdict: { action: 'redirect', port: 0 } }]), /"0" is not a port/],
      [
        tableOf([ruleWith({ match: 'source', in: { address: '10.0.0', length: 8 } })]),
        /"10.0.0" is not an IP/,
      ],
      [tableOf([ruleWith({ match: 'source', in: { address: '10.0.0.0', length: 33 } })]), /not a prefix/],
      [tableOf([{ when: [], verdict: { action: 'sourceNat', to: 'eth0' } }]), /"eth0" is not an IP address/],
      [tableOf([{ ...ruleWith(), comment: 'x'.repeat(121) }]), /longer than 120 bytes/],
      [tableOf(Array.from({ length: NF_MAX_RULES + 1 }, () => ruleWith())), /501 rules are more than 500/],
    ];
    for (const [table, text] of bad) expect(() => replaceTable(table, 0)).toThrow(text);
  });
});
