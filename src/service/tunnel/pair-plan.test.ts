import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTunnelFolder, CONNECTIONS_FOLDER, INTERFACE_FILE, SCHEDULERS } from '../../tunnel/index.ts';
import { makeTunnelKey } from './pair-files.ts';
import { planPair, type EndFiles, type PairRequest } from './pair-plan.ts';

const REQUEST: PairRequest = {
  names: ['left', 'right'],
  tunnel: [
    [
      { address: '10.200.0.1', length: 30 },
      { address: '10.200.0.2', length: 30 },
    ],
  ],
  paths: [
    {
      ends: [
        { interfaceName: 'eth1', address: '10.1.1.2' },
        { interfaceName: 'eth1', address: '10.1.1.3' },
      ],
      weight: 1,
    },
    {
      ends: [
        { interfaceName: 'lte0', address: '192.168.7.2', publicAddress: 'auto' },
        { interfaceName: 'eth2', address: '203.0.113.9', gateway: '203.0.113.1' },
      ],
      weight: 3,
    },
  ],
  networks: [[], []],
  interfaceName: 'tun0',
  port: 4754,
  commandPort: 65_050,
  scheduler: 'weights',
  reorderWindow: 1000,
  maxDelayMs: 0,
  keepaliveS: 1,
  deadS: 3,
  authType: 2,
  key: '0123456789abcdef0123456789abcdef',
};

function read({ files }: EndFiles) {
  const connections = new Map(
    [...files]
      .filter(([name]) => name.startsWith(`${CONNECTIONS_FOLDER}/`))
      .map(([name, text]): [string, string] => [name.slice(CONNECTIONS_FOLDER.length + 1), text]),
  );
  return readTunnelFolder({ interfaceText: files.get(INTERFACE_FILE)!, files: connections });
}

describe('the plan of two ends', () => {
  it('mirrors addresses, ports and weights', () => {
    const [left, right] = planPair(REQUEST).map((end) => read(end));
    expect(left).toMatchObject({ errors: [], warnings: [] });
    expect(right).toMatchObject({ errors: [], warnings: [] });
    const [mine, theirs] = [left!.config!.connections[0]!, right!.config!.connections[0]!];
    expect([mine.file, theirs.file]).toEqual(['right.conf', 'left.conf']);
    expect(mine.connection).toMatchObject({
      localAddress: '10.200.0.1',
      remoteAddress: '10.200.0.2',
      authKey: REQUEST.key,
    });
    expect(mine.connection.paths).toMatchObject([
      { privateAddress: '10.1.1.2', remoteAddress: '10.1.1.3', gatewayAddress: '10.1.1.2', weightOut: 1 },
      {
        privateAddress: '192.168.7.2',
        publicAddress: '0.0.0.0',
        remoteAddress: '203.0.113.9',
        gatewayAddress: '0.0.0.0',
        weightOut: 3,
      },
    ]);
    expect(theirs.connection.paths).toMatchObject([
      { privateAddress: '10.1.1.3', remoteAddress: '10.1.1.2' },
      { remoteAddress: '0.0.0.0', gatewayAddress: '203.0.113.1' },
    ]);
    expect(left!.config!.interface).toMatchObject({ mtu: 1464, acceptRemote: false });
    expect(left!.config!.template.authKey).toBe(REQUEST.key);
  });

  it('gives each IP version of the tunnel its connection and port', () => {
    const [left] = planPair({
      ...REQUEST,
      tunnel: [
        ...REQUEST.tunnel,
        [
          { address: 'fd00::1', length: 64 },
          { address: 'fd00::2', length: 64 },
        ],
      ],
    }).map((end) => read(end));
    expect(left!.errors).toEqual([]);
    expect(
      left!.config!.connections.map(({ file, connection }) => [
        file,
        connection.localPort,
        connection.ipVersion,
      ]),
    ).toEqual([
      ['right-v6.conf', 4755, 6],
      ['right.conf', 4754, 4],
    ]);
  });

  it('names every network of both sides', () => {
    const net = (address: string) => ({ address, length: 24 });
    const networks = [[net('192.168.1.0'), net('192.168.2.0')], [net('172.16.0.0')]] as const;
    const [left, right] = planPair({ ...REQUEST, networks }).map((end) => read(end));
    const of = (reading: typeof left) =>
      reading!.config!.connections[0]!.connection.networks.map(
        ({ destination, source }) => `${source.address} ${destination.address}`,
      );
    expect(of(left)).toEqual(['192.168.1.0 172.16.0.0', '192.168.2.0 172.16.0.0']);
    expect(of(right)).toEqual(['172.16.0.0 192.168.1.0', '172.16.0.0 192.168.2.0']);
    const [alone] = planPair({ ...REQUEST, networks: [networks[0], []] }).map((end) => read(end));
    expect(of(alone)).toEqual(['192.168.1.0 10.200.0.2', '192.168.2.0 10.200.0.2']);
  });

  it.each<[string, Partial<PairRequest>, RegExp]>([
    ['no paths', { paths: [] }, /there are no paths/],
    ['learning without a key', { authType: 1 }, /is to be learned — that needs authentication by SHA-256/],
    ['one name', { names: ['a', 'a'] }, /both ends are called "a"/],
    ['a way out of the folder', { names: ['..', 'b'] }, /"\.\." cannot name an end/],
    ['no addresses', { tunnel: [] }, /no addresses/],
    ['two of one version', { tunnel: [...REQUEST.tunnel, ...REQUEST.tunnel] }, /one IP version/],
    [
      'two networks',
      { tunnel: [[REQUEST.tunnel[0]![0], { address: '10.9.0.1', length: 30 }]] },
      /not in one network/,
    ],
    [
      'two versions on a path',
      {
        paths: [
          {
            ends: [
              { interfaceName: 'a', address: '::1' },
              { interfaceName: 'b', address: '10.0.0.1' },
            ],
            weight: 1,
          },
        ],
      },
      /two IP versions/,
    ],
  ])('refuses %s', (_name, change, message) => {
    expect(() => planPair({ ...REQUEST, ...change })).toThrow(message);
  });

  it('refuses a path that is named twice, and a command port among the data ports', () => {
    const [first] = REQUEST.paths;
    expect(() => planPair({ ...REQUEST, paths: [first!, { ...first!, weight: 9 }] })).toThrow(/named twice/);
    for (const commandPort of [4754, 4755]) {
      const ports = { port: 4754, commandPort };
      expect(() => planPair({ ...REQUEST, ...ports })).toThrow(/one of the data ports/);
    }
    expect(() => planPair({ ...REQUEST, port: 4754, commandPort: 4753 })).not.toThrow();
  });

  it('is read without errors by both ends, whatever it is', () => {
    const octet = fc.integer({ min: 1, max: 250 });
    const path = fc.record({
      ends: fc.tuple(
        fc.record({
          interfaceName: fc.constantFrom('eth0', 'wlan0'),
          address: fc.tuple(octet, octet).map(([a, b]) => `10.3.${a}.${b}`),
        }),
        fc.record({
          interfaceName: fc.constantFrom('eth0', 'ppp0'),
          address: fc.tuple(octet, octet).map(([a, b]) => `10.4.${a}.${b}`),
        }),
      ),
      weight: fc.integer({ min: 1, max: 10_000 }),
    });
    const request = fc.record({
      paths: fc.uniqueArray(path, {
        minLength: 1,
        maxLength: 20,
        selector: ({ ends }) => ends.map((end) => `${end.interfaceName} ${end.address}`).join(' '),
      }),
      port: fc.integer({ min: 1, max: 65_000 }),
      scheduler: fc.constantFrom(...SCHEDULERS),
      reorderWindow: fc.integer({ min: 0, max: 10_000 }),
      keepaliveS: fc.integer({ min: 0, max: 255 }),
      deadS: fc.integer({ min: 0, max: 65_535 }),
      authType: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    });
    fc.assert(
      fc.property(request, (part) => {
        for (const end of planPair({ ...REQUEST, ...part })) expect(read(end).errors).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

it('makes keys that are as long as the programs use, and never the same', () => {
  const keys = Array.from({ length: 100 }, makeTunnelKey);
  expect(new Set(keys).size).toBe(100);
  for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9]{32}$/);
});
