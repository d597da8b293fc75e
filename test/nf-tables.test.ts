/**
 * Tables of nftables against the kernel, with Debian's nft as the witness: what it lists is what was meant, and the
 * kernel holds the same expressions that nft itself makes of those words.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { NF_MAX_RULES, NfPriority, NfTables, type NfRule, type NfTable } from '../src/netlink/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { UNPRIVILEGED } from './support/weft-program.ts';

let node: LabNode;
const open: NfTables[] = [];

const openTables = (options: { readonly usesOwnership?: boolean } = {}): NfTables => {
  const tables = NfTables.open({ netns: node.path, ...options });
  open.push(tables);
  return tables;
};

beforeEach(() => {
  node = new LabNode('nf', 'weft-nf-test');
});

afterEach(async () => {
  for (const tables of open.splice(0)) tables.close();
  await node.close();
});

const nft = (...args: string[]) =>
  node.inside(() => execFileSync('nft', args, { encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }));
const nftFile = (text: string) =>
  node.inside(() => execFileSync('nft', ['-f', '-'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] }));
/** Lines of a table without indentation, blank lines and the line about its owner. */
const listed = (name: string) =>
  nft('list', 'table', 'inet', name)
    .split('\n')
    .map((line) => line.replace(/# progname .*/, '').trim())
    .filter((line) => line !== '' && line !== 'flags owner');
const tableNames = () =>
  nft('list', 'tables')
    .split('\n')
    .filter((line) => line !== '');

const EVERYTHING: NfTable = {
  name: 'weft-test',
  chains: [
    {
      name: 'out',
      type: 'nat',
      hook: 'output',
      priority: NfPriority.destinationNat,
      rules: [
        { when: [{ match: 'mark', is: 0x57656674 }], verdict: { action: 'return' } },
        { when: [{ match: 'destinationIsLocal' }], verdict: { action: 'return' } },
        {
          when: [{ match: 'destination', in: { address: '169.254.0.0', length: 16 } }],
          verdict: { action: 'return' },
        },
        {
          when: [{ match: 'destination', in: { address: 'fe80::', length: 10 } }],
          verdict: { action: 'return' },
        },
        {
          when: [{ match: 'family', is: 'ipv6' }, { match: 'protocol', is: 'tcp' }, { match: 'tcpOpening' }],
          verdict: { action: 'redirect', port: 1234 },
        },
      ],
    },
    {
      name: 'inp',
      type: 'filter',
      hook: 'input',
      priority: NfPriority.filter,
      rules: [
        {
          when: [
            { match: 'protocol', is: 'tcp' },
            { match: 'destinationPort', is: 1234 },
            { match: 'isRedirected', not: true },
          ],
          verdict: { action: 'reject', with: 'tcp-reset' },
        },
        { when: [{ match: 'isRedirected' }], verdict: { action: 'accept' } },
        {
          when: [
            { match: 'protocol', is: 'udp' },
            { match: 'destinationPort', is: 443 },
          ],
          verdict: { action: 'reject', with: 'port-unreachable' },
        },
        { when: [], verdict: { action: 'reject', with: 'admin-prohibited' } },
      ],
    },
    {
      name: 'post',
      type: 'nat',
      hook: 'postrouting',
      priority: NfPriority.sourceNat,
      rules: [
        {
          when: [
            { match: 'source', in: { address: '10.0.0.0', length: 30 } },
            { match: 'outputLink', is: 'eth0' },
          ],
          verdict: { action: 'masquerade' },
        },
        {
          when: [
            { match: 'source', in: { address: 'fd00::', length: 64 } },
            { match: 'outputLink', is: 'eth0' },
          ],
          verdict: { action: 'sourceNat', to: 'fd01::1' },
        },
        {
          when: [{ match: 'family', is: 'ipv4' }],
          verdict: { action: 'sourceNat', to: '192.0.2.1' },
        },
      ],
    },
    {
      name: 'forw',
      type: 'filter',
      hook: 'forward',
      priority: NfPriority.filter,
      policy: 'drop',
      rules: [
        {
          when: [
            { match: 'inputLink', is: 'eth0' },
            { match: 'outputLink', is: 'tap0', not: true },
            { match: 'connectionState', in: ['established', 'related'] },
          ],
          verdict: { action: 'accept' },
        },
        {
          when: [{ match: 'destination', in: { address: '10.0.0.0', length: 8 }, not: true }],
          verdict: { action: 'drop' },
        },
        {
          when: [{ match: 'source', in: { address: '10.1.2.3', length: 32 } }],
          verdict: { action: 'drop' },
        },
        { when: [{ match: 'destinationIsLocal', not: true }], verdict: { action: 'accept' } },
        { when: [{ match: 'mark', is: 1, not: true }], verdict: { action: 'accept' } },
        {
          when: [{ match: 'connectionState', in: ['new'] }],
          verdict: { action: 'accept' },
          comment: 'made by weft',
        },
      ],
    },
  ],
};

const EVERYTHING_LISTED = `table inet weft-test {
  chain out {
    type nat hook output priority -100; policy accept;
    meta mark 0x57656674 return
    fib daddr type local return
    ip daddr 169.254.0.0/16 return
    ip6 daddr fe80::/10 return
    meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack redirect to :1234
  }
  chain inp {
    type filter hook input priority filter; policy accept;
    tcp dport 1234 ct status ! dnat reject with tcp reset
    ct status dnat accept
    udp dport 443 reject
    reject with icmpx admin-prohibited
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.0.0.0/30 oifname "eth0" masquerade
    ip6 saddr fd00::/64 oifname "eth0" snat ip6 to fd01::1
    meta nfproto ipv4 snat ip to 192.0.2.1
  }
  chain forw {
    type filter hook forward priority filter; policy drop;
    iifname "eth0" oifname != "tap0" ct state established,related accept
    ip daddr != 10.0.0.0/8 drop
    ip saddr 10.1.2.3 drop
    fib daddr type != local accept
    meta mark != 0x00000001 accept
    ct state new accept comment "made by weft"
  }
}`;

/** The expressions of a table as nft reads them from the kernel, without handles, which differ. */
const expressions = (name: string) =>
  nft('--debug=netlink', 'list', 'table', 'inet', name)
    .split('\n')
    .filter((line) => /^ {2}(\[|userdata)/.test(line));

describe('a table', () => {
  it('is listed by nft as it was meant, and is made of the expressions that nft makes', () => {
    openTables().replace(EVERYTHING);
    expect(listed('weft-test')).toEqual(EVERYTHING_LISTED.split('\n').map((line) => line.trim()));
    const ours = expressions('weft-test');
    expect(ours.length).toBeGreaterThan(60);
    nftFile(EVERYTHING_LISTED.replace('weft-test', 'by-nft'));
    expect(ours).toEqual(expressions('by-nft'));
  });

  it('is replaced as a whole, or not at all', () => {
    const tables = openTables();
    tables.replace(EVERYTHING);
    const [chain] = EVERYTHING.chains;
    tables.replace({ name: 'weft-test', chains: [{ ...chain!, rules: chain!.rules.slice(0, 1) }] });
    const after = listed('weft-test');
    expect(after.filter((line) => line.startsWith('chain'))).toEqual(['chain out {']);
    expect(after).toContain('meta mark 0x57656674 return');
    expect(after).not.toContain('fib daddr type local return');
    // A redirect has no place in a filter chain: the kernel refuses it, and says in which rule.
    const bad: NfTable = {
      name: 'weft-test',
      chains: [
        { ...chain!, rules: [] },
        { ...chain!, name: 'other', type: 'filter', rules: chain!.rules },
      ],
    };
    expect(() => tables.replace(bad)).toThrow(
      /^add rule 5 to chain "other" of nftables table "weft-test": .*\(E[A-Z]+\)/,
    );
    expect(listed('weft-test')).toEqual(after);
  });

  it('may be as large as is allowed', () => {
    const tables = openTables();
    const [chain] = EVERYTHING.chains;
    const rules = Array.from({ length: NF_MAX_RULES }, (_, n): NfRule => ({
      when: [
        { match: 'source', in: { address: `10.${n >> 8}.${n & 255}.0`, length: 25 } },
        { match: 'destination', in: { address: '2001:db8::', length: 33 } },
        { match: 'outputLink', is: `link${n}` },
        { match: 'protocol', is: 'tcp' },
        { match: 'tcpOpening' },
      ],
      verdict: { action: 'return' },
    }));
    tables.replace({ name: 'weft-test', chains: [{ ...chain!, rules }] });
    expect(listed('weft-test').filter((line) => line.endsWith('return'))).toHaveLength(NF_MAX_RULES);
    const bad = rules.with(249, { ...rules[249]!, verdict: { action: 'masquerade' } });
    expect(() => tables.replace({ name: 'weft-test', chains: [{ ...chain!, rules: bad }] })).toThrow(
      /^add rule 250 to chain "out"/,
    );
    tables.replace({ name: 'weft-test', chains: [] });
    expect(listed('weft-test')).toEqual(['table inet weft-test {', '}']);
  });

  it('belongs to its process: others cannot change it, and a flush of everything passes it by', () => {
    const tables = openTables();
    tables.replace(EVERYTHING);
    expect(tables.removedByKernel).toBe(true);
    nft('flush', 'ruleset');
    expect(() => nft('delete', 'table', 'inet', 'weft-test')).toThrow(/not permitted/);
    expect(listed('weft-test').length).toBeGreaterThan(20);
    expect(() => openTables().replace(EVERYTHING)).toThrow(
      expect.objectContaining({ code: 'TABLE_OWNED', message: expect.stringMatching(/another process/) }),
    );
  });

  it('goes with its owner, and those of others stay', () => {
    nftFile(
      'table inet mine {\nchain c {\ntype filter hook forward priority 5;\nip saddr 10.9.9.9 drop\n}\n}',
    );
    const before = nft('list', 'ruleset');
    const tables = openTables();
    tables.replace(EVERYTHING);
    tables.replace({ name: 'weft-other', chains: [] });
    tables.remove('weft-other');
    tables.remove('weft-never-there');
    expect(tableNames().sort()).toEqual(['table inet mine', 'table inet weft-test']);
    tables.close();
    tables.close();
    expect(nft('list', 'ruleset')).toBe(before);
  });

  it('goes with its owner that is killed', async () => {
    const program = await bundleTypeScript(new URL('support/nf-tables-child.ts', import.meta.url));
    const child = node.spawn([process.execPath, program, 'weft-killed'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    expect(tableNames()).toEqual(['table inet weft-killed']);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await vi.waitFor(() => expect(tableNames()).toEqual([]), 20_000);
  });

  it('is an ordinary one on kernels that know no owners, and what a kill left is replaced', () => {
    const first = openTables({ usesOwnership: false });
    first.replace(EVERYTHING);
    expect(first.removedByKernel).toBe(false);
    expect(nft('list', 'table', 'inet', 'weft-test')).not.toContain('owner');
    // As after a kill: another process finds it.
    const [chain] = EVERYTHING.chains;
    const small = { name: 'weft-test', chains: [{ ...chain!, rules: [] }] };
    const second = openTables();
    second.replace(small);
    expect(listed('weft-test').filter((line) => line.startsWith('chain'))).toEqual(['chain out {']);
    expect(second.removedByKernel).toBe(true);
    second.close();
    expect(tableNames()).toEqual([]);
    first.replace(small);
    first.close();
    expect(tableNames()).toEqual([]);
  });

  it('cannot be made without privileges', async () => {
    const program = await bundleTypeScript(new URL('support/nf-tables-child.ts', import.meta.url));
    const { stdout } = await node.run([...UNPRIVILEGED, process.execPath, program, 'weft-forbidden']);
    expect(stdout).toMatch(/^NO_PRIVILEGE nftables may not be used: .*\(EPERM\) — .*CAP_NET_ADMIN/);
  });
});
