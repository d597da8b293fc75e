import { describe, expect, it } from 'vitest';
import type { PathReading } from '../observe/model.ts';
import { aPath } from '../observe/test-readings.ts';
import type { CheckResult, HostFacts, LookupFact, PathFact } from './facts.ts';
import { explainHost } from './explain-host.ts';
import { FINDING_IDS } from './finding-ids.ts';
import { judge } from './judge.ts';
import { addressFact, HEALTHY, LTE, rightLookup, UNKNOWN_HOST, WIFI } from './test-facts.ts';

function find(changes: Partial<HostFacts>, id: string): CheckResult {
  const found = judge({ ...HEALTHY, ...changes }).checks.find((check) => check.id === id);
  if (found === undefined) throw new Error(`no check "${id}"`);
  return found;
}

const withSysctl = (name: string, value: string): Partial<HostFacts> => ({
  sysctls: new Map([...HEALTHY.sysctls, [name, value]]),
});

it('a healthy host has nothing to do', () => {
  const { healthy, checks } = judge(HEALTHY);
  expect(healthy).toBe(true);
  for (const check of checks) expect(check, check.id).toMatchObject({ verdict: 'ok', advice: [] });
});

describe('kernel', () => {
  it('fails on another system, and names what helps', () => {
    const result = find({ platform: 'darwin' }, 'platform');
    expect(result.verdict).toBe('fail');
    expect(result.advice.join()).toMatch(/Linux/);
  });

  it('tells a kernel without MPTCP from one in which it is switched off', () => {
    const broken = { mptcpSocket: { ok: false, reason: 'x' } } as const;
    expect(find({ ...broken, sysctls: new Map() }, 'mptcp').evidence).toMatch(/no MPTCP in this kernel/);
    const off = find({ ...broken, ...withSysctl('net.mptcp.enabled', '0') }, 'mptcp');
    expect(off.verdict).toBe('fail');
    expect(off.advice).toContain('sysctl -w net.mptcp.enabled=1');
    expect(find(broken, 'mptcp').advice.join()).toMatch(/seccomp/);
  });

  it('calls an old kernel old only when it has no MPTCP', () => {
    const broken = { mptcpSocket: { ok: false, reason: 'x' } } as const;
    expect(find({ ...broken, kernelRelease: '5.4.0-1' }, 'kernel').verdict).toBe('fail');
    expect(find({ kernelRelease: '4.18.0-553.el8' }, 'kernel').verdict).toBe('warn');
    expect(find({ kernelRelease: '5.10.0' }, 'kernel').verdict).toBe('warn');
    expect(find({ kernelRelease: '7.0.0-rc1' }, 'kernel').verdict).toBe('ok');
  });

  it('sees the other path manager, in its new and its old setting', () => {
    expect(find(withSysctl('net.mptcp.path_manager', 'userspace'), 'path-manager').verdict).toBe('fail');
    const old = new Map([['net.mptcp.pm_type', '1']]);
    expect(find({ sysctls: old }, 'path-manager').verdict).toBe('fail');
  });

  it('warns without the right to set things up', () => {
    expect(find({ netAdmin: false }, 'privilege')).toMatchObject({
      verdict: 'warn',
      advice: ['sudo weft up'],
    });
  });
});

describe('uplinks', () => {
  it('says why links are left out', () => {
    const ignoredLinks = [{ link: 'eth1', why: 'no global address' }];
    const one = find({ paths: [WIFI], uplinkCount: 1, ignoredLinks }, 'uplinks');
    expect(one.verdict).toBe('warn');
    expect(one.evidence).toMatch(/wifi0 10\.1\.0\.2.*eth1 is left out: no global address/);
    expect(find({ paths: [], uplinkCount: 0 }, 'uplinks').verdict).toBe('fail');
  });

  it('says that a VPN keeps Weft away', () => {
    expect(find({ tunnel: 'wg0' }, 'uplinks').evidence).toMatch(/VPN "wg0"/);
  });
});

describe('endpoints', () => {
  it.each([
    ['an address that no link has', { address: '10.9.0.9' }, 'fail', /names an address that no link has/],
    ['the wrong link', { linkIndex: 3 }, 'fail', /bound to lte0, but the address is on wifi0/],
    ['no useful flag', { flags: 4 }, 'warn', /does nothing/],
  ])('finds %s', (_what, change, verdict, text) => {
    const [first, second] = HEALTHY.endpoints ?? [];
    const result = find({ endpoints: [{ ...first!, ...change }, second!] }, 'endpoints');
    expect(result.verdict).toBe(verdict);
    expect(result.evidence).toMatch(text);
    expect(result.advice.join()).toContain('weft mptcp endpoint delete id 1');
  });

  it("takes no offence at an address that is only announced, and is a translator's", () => {
    const announced = { address: '198.51.100.9', port: 0, id: 9, flags: 1, linkIndex: 0 };
    expect(find({ endpoints: [...(HEALTHY.endpoints ?? []), announced] }, 'endpoints').verdict).toBe('ok');
  });

  it('takes no offence at the notes that the kernel makes for itself', () => {
    const implicit = { address: '10.9.0.9', port: 0, id: 9, flags: 16, linkIndex: 0 };
    expect(find({ endpoints: [...(HEALTHY.endpoints ?? []), implicit] }, 'endpoints').verdict).toBe('ok');
  });

  it('names the command for a missing one; that is a failure only while Weft should have made it', () => {
    const endpoints = HEALTHY.endpoints?.slice(0, 1) ?? [];
    const idle = find({ endpoints }, 'endpoints');
    expect(idle.verdict).toBe('warn');
    expect(idle.advice).toContain('weft mptcp endpoint add 10.2.0.2 dev lte0 subflow');
    expect(find({ endpoints, running: { pid: 1, mode: 'multipath' } }, 'endpoints').verdict).toBe('fail');
  });

  it('advises no more than the kernel takes', () => {
    const paths = Array.from({ length: 10 }, (_, n) => Object.assign({}, LTE, { address: `10.3.0.${n}` }));
    const endpoints = paths
      .slice(0, 8)
      .map(({ address: text }, n) => ({ address: text, port: 0, id: n + 1, flags: 2, linkIndex: 2 }));
    const many = {
      paths,
      uplinkCount: 10,
      addresses: paths.map(({ address: text }) => addressFact(2, text)),
    };
    const full = find({ ...many, endpoints, running: { pid: 1, mode: 'multipath' } }, 'endpoints');
    expect(full).toMatchObject({ verdict: 'warn', cause: 'endpoints-full' });
    expect(full.evidence).toMatch(/no endpoint for 10\.3\.0\.8 \(lte0\), 10\.3\.0\.9 \(lte0\): there are 8/);
    expect(full.advice.join()).not.toMatch(/endpoint add/);
    const few = find({ ...many, endpoints: endpoints.slice(0, 6) }, 'endpoints');
    expect(few.advice.filter((line) => line.startsWith('weft mptcp endpoint add'))).toHaveLength(2);
  });

  it('asks for none where one uplink is all there is', () => {
    expect(find({ endpoints: [], paths: [WIFI], uplinkCount: 1 }, 'endpoints').verdict).toBe('ok');
  });

  it('sees a duplicate or unfinished address', () => {
    const addresses = [addressFact(2, '10.1.0.2', 0x40), addressFact(3, '10.2.0.2')];
    expect(find({ addresses }, 'endpoints').evidence).toMatch(/duplicate address detection/);
  });
});

it('counts what was answered as joined, not what was asked for', () => {
  const counters = new Map([
    ['MPCapableSYNTX', 1],
    ['MPJoinSynTx', 7],
    ['MPJoinSynAckRx', 2],
  ]);
  expect(find({ counters }, 'counters').evidence).toBe(
    '1 connection asked for MPTCP, 0 of the servers did not speak it, 2 of 7 subflows joined',
  );
});

it('says through which paths nothing comes', () => {
  const path = (name: string, state: PathReading['state']) =>
    aPath(`${name} 10.1.0.2`, { gateway: '10.1.0.1', state, why: 'silent although it carried data' });
  const observedPaths = [path('wifi0', 'stale'), path('lte0', 'active')];
  const report = explainHost({ ...HEALTHY, observedPaths });
  expect(report.healthy).toBe(false);
  expect(report.summary).toBe(
    'Multipath is limited here: nothing comes through wifi0 10.1.0.2: silent although it carried data.',
  );
  expect(report.findings[0]).toMatchObject({
    id: 'paths-stale',
    advice: ['to see whether its gateway answers: ping -I wifi0 10.1.0.1'],
  });
  expect(explainHost({ ...HEALTHY, observedPaths: [path('lte0', 'active')] }).healthy).toBe(true);
});

describe('limits', () => {
  it('fails at 0, warns when there are fewer than uplinks', () => {
    const none = find({ limits: { subflows: 0, addAddrAccepted: 0 } }, 'limits');
    expect(none).toMatchObject({ verdict: 'fail', advice: ['weft mptcp limits set subflows 2'] });
    const few = find({ limits: { subflows: 2, addAddrAccepted: 0 }, uplinkCount: 5 }, 'limits');
    expect(few).toMatchObject({ verdict: 'warn', advice: ['weft mptcp limits set subflows 4'] });
    // The kernel takes no higher one.
    const most = { subflows: 8, addAddrAccepted: 8 };
    expect(find({ limits: most, uplinkCount: 16 }, 'limits').verdict).toBe('ok');
    const many = find({ limits: { subflows: 2, addAddrAccepted: 0 }, uplinkCount: 16 }, 'limits');
    expect(many.advice).toEqual(['weft mptcp limits set subflows 8']);
  });
});

describe('routes', () => {
  const wrong: LookupFact = { ...rightLookup(LTE), bySource: { linkIndex: 2, gateway: '10.1.0.1' } };
  const lookups = [rightLookup(WIFI), wrong];

  it('finds packets that leave by the wrong link, and gives the commands', () => {
    const result = find({ lookups, endpoints: [] }, 'routes');
    expect(result.verdict).toBe('warn');
    expect(result.evidence).toBe('packets from 10.2.0.2 (lte0) leave by wifi0');
    expect(result.advice).toContain('ip route add default via 10.2.0.1 dev lte0 table 1001');
    expect(result.advice).toContain('ip rule add from 10.2.0.2 table 1001');
  });

  it('fails where an endpoint counts on the route', () => {
    expect(find({ lookups }, 'routes').verdict).toBe('fail');
  });

  it('sees that the kernel would take every destination for a neighbour', () => {
    const guess: LookupFact = { ...rightLookup(LTE), byLink: { linkIndex: 3 } };
    expect(find({ lookups: [rightLookup(WIFI), guess] }, 'routes').evidence).toMatch(/without a gateway/);
    const none: LookupFact = { ...rightLookup(LTE), byLink: { error: 'ENETUNREACH' } };
    expect(find({ lookups: [rightLookup(WIFI), none] }, 'routes').evidence).toMatch(/ENETUNREACH/);
  });

  it('a strict reverse path filter matters where the route is wrong', () => {
    const strict = withSysctl('net.ipv4.conf.all.rp_filter', '1');
    // 2 on lte0 is larger than 1 on all, and the kernel takes the larger.
    expect(find({ ...strict, lookups }, 'rp-filter').verdict).toBe('ok');
    const onLte = withSysctl('net.ipv4.conf.lte0.rp_filter', '1');
    expect(find(onLte, 'rp-filter').verdict).toBe('ok');
    const result = find({ ...onLte, lookups, endpoints: [] }, 'rp-filter');
    expect(result.verdict).toBe('warn');
    expect(result.advice).toContain('sysctl -w net.ipv4.conf.lte0.rp_filter=2');
  });

  it('finds rules that a killed Weft left', () => {
    const rule = { family: 2, priority: 17_800, table: 17_800, action: 1, protocol: 178 } as const;
    expect(find({ rules: [rule] }, 'rules').verdict).toBe('warn');
    expect(find({ rules: [rule], netAdmin: false }, 'rules').verdict).toBe('ok');
    expect(find({ rules: [rule], running: { pid: 1, mode: 'multipath' } }, 'rules').verdict).toBe('ok');
  });
});

describe('counters', () => {
  it.each(['Blackhole', 'MPCapableSYNTXDrop', 'MPJoinSynTxBindErr', 'MPJoinSynTxConnectErr'])(
    'warns of %s',
    (name) => {
      const result = find({ counters: new Map([[name, 3]]) }, 'counters');
      expect(result.verdict).toBe('warn');
      expect(result.evidence).toContain(`(${name} 3)`);
      expect(result.advice).toHaveLength(1);
    },
  );

  it('warns when no server ever spoke MPTCP, but not after a few', () => {
    const all = (count: number) => ({
      counters: new Map([
        ['MPCapableSYNTX', count],
        ['MPCapableFallbackSYNACK', count],
      ]),
    });
    expect(find(all(4), 'counters').verdict).toBe('ok');
    expect(find(all(5), 'counters').verdict).toBe('warn');
  });
});

it('the firewall: a finding fails, not having looked is said', () => {
  const finding = {
    kind: 'strips',
    rule: 'inet t c handle 3',
    remedy: 'nft delete rule inet t c handle 3',
  } as const;
  expect(find({ firewall: { looked: true, findings: [finding] } }, 'firewall')).toMatchObject({
    verdict: 'fail',
    advice: [finding.remedy],
  });
  const blind = find({ firewall: { looked: false, why: 'that needs CAP_NET_ADMIN' } }, 'firewall');
  expect(blind.verdict).toBe('unknown');
  expect(blind.evidence).toMatch(/could not look/);
});

it('every name of a check and of what it finds has its line of meaning', () => {
  const known = Object.keys(FINDING_IDS.host);
  const broken: Partial<HostFacts>[] = [
    {},
    { platform: 'darwin' },
    { mptcpSocket: { ok: false, reason: 'x' }, kernelRelease: '5.4.0' },
    { endpoints: [], limits: { subflows: 0, addAddrAccepted: 0 }, paths: [WIFI], uplinkCount: 1 },
    { running: { pid: 1, mode: 'multipath', multipath: false, backend: 'appliance' } },
    { counters: new Map([['Blackhole', 1]]), firewall: { looked: false, why: 'x' }, rules: [] },
  ];
  for (const changes of broken) {
    for (const { cause, id } of judge({ ...HEALTHY, ...changes }).checks)
      expect(known).toContain(cause ?? id);
  }
});

describe('what the doctor tells for a backup', () => {
  const endpoints = HEALTHY.endpoints!.map((endpoint, i) =>
    i === 0 ? endpoint : Object.assign({}, endpoint, { flags: 6 }),
  );

  it('says that speed is not had, and how', () => {
    expect(find({ endpoints }, 'backup')).toMatchObject({
      verdict: 'warn',
      cause: 'backup-only',
      advice: ['weft path lte0 normal'],
      facts: [{ name: 'endpoint 2', value: '10.2.0.2 subflow,backup dev lte0' }],
    });
  });

  it('is content while two others carry data', () => {
    const wired: PathFact = { link: 'eth0', linkIndex: 4, address: '10.3.0.2' };
    expect(find({ endpoints, paths: [WIFI, LTE, wired] }, 'backup').verdict).toBe('ok');
  });
});

describe('why, for the host', () => {
  it('the answer is one sentence, and the worst comes first', () => {
    const { healthy, summary } = explainHost({
      ...HEALTHY,
      tally: { mptcp: 3, fallbacks: 1, several: 2, atLimit: 0 },
    });
    expect(healthy).toBe(true);
    expect(summary).toBe(
      'Nothing on this host limits multipath; now 3 MPTCP connections, 2 of them with several subflows.',
    );
    const worse = explainHost({ ...HEALTHY, limits: { subflows: 0, addAddrAccepted: 0 }, netAdmin: false });
    expect(worse.healthy).toBe(false);
    expect(worse.findings[0]).toMatchObject({ id: 'limits-zero', verdict: 'fail' });
    expect(worse.summary).toMatch(
      /^Multipath does not work here: .*stays on one path \(and 1 more point\)\.$/,
    );
    expect(worse.time).toBe(HEALTHY.time);
  });

  it('limits that connections have reached are told from those that are only low', () => {
    const low: Partial<HostFacts> = { limits: { subflows: 1, addAddrAccepted: 0 }, uplinkCount: 3 };
    const idOf = (tally?: HostFacts['tally']) =>
      explainHost({ ...HEALTHY, ...low, ...(tally === undefined ? {} : { tally }) }).findings[0]?.id;
    expect(idOf()).toBe('limits-few');
    expect(idOf({ mptcp: 2, fallbacks: 0, several: 2, atLimit: 2 })).toBe('limits-reached');
  });

  it('each kind of trouble that counters tell of is a finding of its own', () => {
    const counters = new Map([
      ['Blackhole', 2],
      ['DSSCorruptionFallback', 1],
      ['DSSCorruptionReset', 4],
    ]);
    const trouble = explainHost({ ...HEALTHY, counters }).findings.filter(
      ({ verdict }) => verdict === 'warn',
    );
    expect(trouble.map(({ id }) => id)).toEqual(['blackhole', 'data-changed']);
    expect(trouble[1]).toMatchObject({
      evidence: [
        { name: 'DSSCorruptionFallback', value: '1' },
        { name: 'DSSCorruptionReset', value: '4' },
      ],
    });
    expect(trouble[1]?.advice).toHaveLength(1);
  });

  it('a userspace path manager is well when a daemon opens subflows, and not when it does not', () => {
    const userspace = withSysctl('net.mptcp.path_manager', 'userspace');
    const daemon = { pid: 9, plugin: 'fullmesh', opensSubflows: true };
    expect(find({ ...userspace, daemon }, 'path-manager').verdict).toBe('ok');
    const other = { pid: 9, plugin: 'addr_adv', opensSubflows: false };
    expect(find({ ...userspace, daemon: other }, 'path-manager').evidence).toMatch(
      /plugin "addr_adv" opens no/,
    );
  });
});

it('a host of which nothing could be read gets a diagnosis all the same', () => {
  const { checks } = judge(UNKNOWN_HOST);
  expect(checks.filter(({ verdict }) => verdict === 'unknown').length).toBeGreaterThan(4);
});
