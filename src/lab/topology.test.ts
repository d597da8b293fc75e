import { describe, expect, it } from 'vitest';
import { checkTopology, describeUplinks, prefix, type Topology } from './topology.ts';

const uplinks = [
  { name: 'wifi0', rateBps: 100e6, delayMs: 10 },
  { name: 'lte0', rateBps: 20e6, delayMs: 40 },
];

describe('describeUplinks', () => {
  it('is a topology without mistakes, for one to five uplinks', () => {
    for (let count = 1; count <= 5; count++) {
      const many = Array.from({ length: count }, (_, i) => ({ name: `up${i}`, rateBps: 1e6, delayMs: 1 }));
      expect(() => checkTopology(describeUplinks(many))).not.toThrow();
    }
  });

  it('gives each uplink its own network, and no address twice', () => {
    const { links, nodes } = describeUplinks(uplinks);
    const addresses = [
      ...links.flatMap((link) => link.ends).flatMap((end) => end.addresses),
      ...nodes.flatMap((node) => node.addresses ?? []),
    ]
      .map(({ address }) => address)
      .filter((address) => address !== 'fe80::1');
    expect(new Set(addresses).size).toBe(addresses.length);
    expect(addresses.length).toBe(2 * (2 + 2 + 2 + 2) + 2);
  });
});

describe('checkTopology', () => {
  const good = describeUplinks(uplinks);
  const client = good.nodes.find((node) => node.name === 'client');
  const change = (more: Partial<Topology>): Topology => ({ ...good, ...more });
  const firstLink = good.links[0]!;

  it.each([
    [
      'two nodes of one name',
      change({ nodes: [...good.nodes, client!] }),
      'two nodes have the name "client"',
    ],
    ['the name of the air', change({ nodes: [...good.nodes, { name: 'air', routes: [] }] }), '"air"'],
    [
      'two links of one name',
      change({ links: [...good.links, firstLink] }),
      'two links have the name "wifi0"',
    ],
    [
      'a link to nowhere',
      change({ nodes: good.nodes.filter((node) => node.name !== 'server') }),
      'leads to "server", which is no node',
    ],
    ['a long name', describeUplinks([{ ...uplinks[0]!, name: 'a'.repeat(16) }]), 'is not a link name'],
    ['a negative delay', describeUplinks([{ ...uplinks[0]!, delayMs: -1 }]), 'no sensible delay'],
    ['no rate', describeUplinks([{ ...uplinks[0]!, rateBps: 0 }]), 'no sensible rate'],
    [
      'a bad address',
      change({ nodes: [...good.nodes, { name: 'x', routes: [], addresses: [prefix('10.0.0.1/33')] }] }),
      '"10.0.0.1/33" is not an address with a prefix length',
    ],
    [
      'a route over a link of another node',
      change({
        nodes: [...good.nodes, { name: 'x', routes: [{ gateway: '10.0.0.1', link: 'wifi0' }] }],
      }),
      'node "x" has a route over "wifi0"',
    ],
  ])('finds %s', (_name, topology, text) => {
    expect(() => checkTopology(topology)).toThrow(text);
  });
});
