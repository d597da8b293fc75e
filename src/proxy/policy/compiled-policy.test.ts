import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inPrefix, isIpv6, type Prefix } from '../../base/index.ts';
import { CompiledPolicy } from './compiled-policy.ts';
import { DEFAULT_POLICY, type ClientIdentity, type ProxyPolicy, type ProxyRule, type Way } from './types.ts';

const HERE: ClientIdentity = { address: '127.0.0.1', remote: false };
const REFUSE: Way = { kind: 'refuse' };
const DIRECT: Way = { kind: 'direct' };

const prefix = (text: string): Prefix => {
  const [address = '', length] = text.split('/');
  return { address, length: Number(length ?? (isIpv6(address) ? 128 : 32)) };
};
const toName = (name: string, subdomains = false) => ({ names: [{ name, subdomains }], prefixes: [] });
const toPrefix = (...texts: string[]) => ({ names: [], prefixes: texts.map((text) => prefix(text)) });
const policyOf = (rules: readonly ProxyRule[], more: Partial<ProxyPolicy> = {}) =>
  new CompiledPolicy({ ...DEFAULT_POLICY, rules, ...more });
const wayTo = (policy: CompiledPolicy, host: string, port = 443, client = HERE) =>
  policy.decide({ host, port }, client).way.kind;

describe('names', () => {
  const policy = policyOf([
    { to: toName('example.org'), way: REFUSE },
    { to: toName('example.net', true), way: DIRECT },
  ]);

  it.each([
    ['example.org', 'refuse'],
    ['EXAMPLE.org.', 'refuse'],
    ['example.org..', 'refuse'],
    ['www.example.org', 'multipath'],
    ['notexample.org', 'multipath'],
    ['example.net', 'multipath'],
    ['a.example.net', 'direct'],
    ['a.b.example.net.', 'direct'],
    ['aexample.net', 'multipath'],
  ])('%s: %s', (host, way) => expect(wayTo(policy, host)).toBe(way));
});

describe('addresses', () => {
  const policy = policyOf([
    { to: toPrefix('10.1.0.0/16'), way: DIRECT },
    { to: toPrefix('10.0.0.0/8', '127.0.0.0/8', '2001:db8::/33', '::1/128'), way: REFUSE },
  ]);

  it.each([
    ['10.1.2.3', 'direct'],
    ['10.2.2.3', 'refuse'],
    ['::ffff:10.2.2.3', 'refuse'],
    ['64:ff9b::a02:203', 'refuse'],
    ['0.0.0.0', 'refuse'],
    ['::ffff:0.0.0.0', 'refuse'],
    ['::FFFF:7f00:1', 'refuse'],
    ['2001:db8::1%eth0', 'refuse'],
    ['::', 'refuse'],
    ['2001:db8:7fff::1', 'refuse'],
    ['2001:db8:8000::1', 'multipath'],
    ['11.0.0.0', 'multipath'],
  ])('%s: %s', (host, way) => expect(wayTo(policy, host)).toBe(way));
});

describe('a name whose addresses matter', () => {
  const named = { host: 'intern.example', port: 443 };
  const policy = policyOf([
    { to: toName('first.example'), way: DIRECT },
    { to: toPrefix('10.0.0.0/8'), way: REFUSE },
    { to: toName('intern.example'), way: DIRECT },
  ]);

  it('is asked for by address when such a rule stands before its own', () => {
    expect(policy.decide(named, HERE)).toMatchObject({
      way: DIRECT,
      byAddress: true,
      refusesByAddress: true,
    });
    expect(policy.decideAddress(named, HERE, '10.0.0.1').way).toEqual(REFUSE);
    expect(policy.decideAddress(named, HERE, '192.0.2.1').way).toEqual(DIRECT);
    expect(policy.decide({ host: 'first.example', port: 1 }, HERE).byAddress).toBe(false);
  });

  it('is not when the other conditions of those rules are not met', () => {
    const only = policyOf([
      { to: toPrefix('10.0.0.0/8'), ports: [{ first: 22, last: 22 }], users: ['ann'], way: REFUSE },
    ]);
    expect(only.decide({ host: 'a.example', port: 22 }, { ...HERE, user: 'ann' }).byAddress).toBe(true);
    expect(only.decide({ host: 'a.example', port: 23 }, { ...HERE, user: 'ann' }).byAddress).toBe(false);
    expect(only.decide({ host: 'a.example', port: 22 }, { ...HERE, user: 'bob' }).byAddress).toBe(false);
    expect(only.decide({ host: 'a.example', port: 22 }, HERE).byAddress).toBe(false);
  });
});

it('asks who the client is', () => {
  const policy = policyOf([
    { from: [prefix('192.168.1.0/24')], ports: [{ first: 1, last: 1023 }], way: REFUSE },
    { users: ['ann', 'bob'], way: DIRECT },
  ]);
  expect(policy.isClientSpecific).toBe(true);
  const client = (address: string, user?: string): ClientIdentity => ({
    address,
    remote: true,
    ...(user === undefined ? {} : { user }),
  });
  expect(wayTo(policy, 'a', 443, client('192.168.1.7', 'ann'))).toBe('refuse');
  expect(wayTo(policy, 'a', 8080, client('192.168.1.7', 'ann'))).toBe('direct');
  expect(wayTo(policy, 'a', 443, client('192.168.2.7', 'eve'))).toBe('multipath');
  // Whose address is not known is nobody's.
  expect(wayTo(policyOf([{ from: [prefix('127.0.0.0/8')], way: DIRECT }]), 'a', 1, client('0.0.0.0'))).toBe(
    'multipath',
  );
});

it('sends what is near the direct way when the rest goes through an upstream proxy', () => {
  const far = { name: 'far', kind: 'weft', host: 'vps.example', port: 1 } as const;
  const policy = policyOf([{ to: toName('printer.localhost'), way: REFUSE }], {
    upstreams: new Map([['far', far]]),
    defaultWay: { kind: 'upstream', upstream: 'far' },
  });
  for (const host of ['localhost', 'a.localhost.', '127.0.0.1', '192.168.1.1', 'fe80::1', 'fd00::1']) {
    expect(wayTo(policy, host)).toBe('direct');
  }
  expect(wayTo(policy, 'example.org')).toBe('upstream');
  expect(wayTo(policy, '192.0.2.1')).toBe('upstream');
  expect(wayTo(policy, 'printer.localhost')).toBe('refuse');
});

it('refuses a policy that names an upstream proxy it lacks', () => {
  expect(() => policyOf([{ way: { kind: 'upstream', upstream: 'nowhere' } }])).toThrow(
    'there is no upstream proxy "nowhere"',
  );
});

it('looks at few of 10,000 rules', () => {
  const rules: ProxyRule[] = [];
  for (let i = 0; i < 2500; i++) {
    rules.push({ to: toName(`host${i}.example`), way: REFUSE });
    rules.push({ to: toPrefix(`10.${i >> 8}.${i & 255}.0/24`), way: REFUSE });
    rules.push({ users: [`user${i}`], way: REFUSE });
    rules.push({
      from: [prefix(`172.16.${i >> 8}.${i & 255}`)],
      ports: [{ first: 1, last: 9 }],
      way: REFUSE,
    });
  }
  const policy = policyOf(rules);
  expect(wayTo(policy, 'host2499.example')).toBe('refuse');
  expect(wayTo(policy, '10.9.195.77')).toBe('refuse');
  expect(wayTo(policy, 'other.example', 443, { ...HERE, user: 'user2499' })).toBe('refuse');
  expect(wayTo(policy, 'other.example')).toBe('multipath');
  expect(policy.looked).toBeLessThan(20);
});

describe('against asking each rule in turn', () => {
  const names = ['a.x', 'b.x', 'x', 'c.a.x'];
  const addresses = ['10.0.0.1', '10.0.1.1', '10.1.0.1', '2001:db8::1'];
  const prefixes = ['10.0.0.0/24', '10.0.0.0/16', '10.0.0.0/8', '2001:db8::/32', '0.0.0.0/0'].map(prefix);
  const users = ['ann', 'bob'];
  const optional = <T>(key: string, arbitrary: fc.Arbitrary<T>) =>
    fc.option(arbitrary, { nil: undefined }).map((value) => (value === undefined ? {} : { [key]: value }));
  const some = <T>(items: readonly T[]) => fc.subarray([...items], { minLength: 1 });
  const rule = fc
    .tuple(
      optional(
        'to',
        fc.record({
          names: fc.array(fc.record({ name: fc.constantFrom(...names), subdomains: fc.boolean() }), {
            maxLength: 2,
          }),
          prefixes: fc.subarray(prefixes, { maxLength: 2 }),
        }),
      ),
      optional(
        'ports',
        some([
          { first: 80, last: 80 },
          { first: 1, last: 443 },
        ]),
      ),
      optional('from', some(prefixes)),
      optional('users', some(users)),
      fc.constantFrom<Way>(REFUSE, DIRECT, { kind: 'multipath' }),
    )
    .map(([to, ports, from, user, way]) => Object.assign({ way }, to, ports, from, user) as ProxyRule);

  const naive = (
    rules: readonly ProxyRule[],
    name: string | undefined,
    address: string | undefined,
    port: number,
    client: ClientIdentity,
  ) =>
    rules.findIndex(
      ({ to, ports, from, users: wanted }) =>
        (to === undefined ||
          to.names.some((one) =>
            one.subdomains ? name?.endsWith(`.${one.name}`) === true : name === one.name,
          ) ||
          (address !== undefined && to.prefixes.some((one) => inPrefix(address, one)))) &&
        (ports === undefined || ports.some(({ first, last }) => port >= first && port <= last)) &&
        (from === undefined || from.some((one) => inPrefix(client.address, one))) &&
        (wanted === undefined || (client.user !== undefined && wanted.includes(client.user))),
    );

  it('decides the same', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 12 }),
        fc.option(fc.constantFrom(...names), { nil: undefined }),
        fc.constantFrom(...addresses),
        fc.constantFrom(80, 443, 8080),
        fc.constantFrom(...addresses),
        fc.option(fc.constantFrom(...users), { nil: undefined }),
        (rules, name, address, port, clientAddress, user) => {
          const client = { address: clientAddress, remote: true, ...(user === undefined ? {} : { user }) };
          const policy = policyOf(rules);
          const destination = { host: name ?? address, port };
          const decision =
            name === undefined
              ? policy.decide(destination, client)
              : policy.decideAddress(destination, client, address);
          expect(decision.rule).toBe(rules[naive(rules, name, address, port, client)]);
          // A rule on addresses that could count before the name's own is never overlooked.
          if (name === undefined) return;
          const first = policy.decide(destination, client);
          const ofName = naive(rules, name, undefined, port, client);
          const ofAddress = naive(rules, name, address, port, client);
          if (ofAddress !== ofName) expect(first.byAddress).toBe(true);
          if (ofAddress !== ofName && rules[ofAddress]?.way.kind === 'refuse') {
            expect(first.refusesByAddress).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
