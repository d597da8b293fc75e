import { describe, expect, it } from 'vitest';
import type { Finding } from '../observe/api.ts';
import type { ConnectionDetail, ObservedEvent, SubflowReading } from '../observe/model.ts';
import { aPath } from '../observe/test-readings.ts';
import { explainConnection } from './explain-connection.ts';
import type { HostFacts, LookupFact, PathFact } from './facts.ts';
import { FINDING_IDS } from './finding-ids.ts';
import type { PeerFacts } from './peer-facts.ts';
import { HEALTHY, linkFact, LTE, rightLookup, UNKNOWN_HOST, WIFI } from './test-facts.ts';

const SERVER = '203.0.113.10';

const lookup = (path: PathFact) => rightLookup(path, SERVER);

const PEER: PeerFacts = {
  address: SERVER,
  port: 443,
  lookups: [lookup(WIFI), lookup(LTE)],
  kernel: {
    fallback: false,
    remoteKeyReceived: true,
    subflows: 0,
    subflowsMax: 2,
    addressesAccepted: 0,
    addressesAcceptedMax: 0,
    bytesAcked: 5000,
    bytesReceived: 9000,
  },
  speaksMptcpFrom: [],
  events: [],
};

/** Weft runs, and connections have been opened. */
const HOST: HostFacts = {
  ...HEALTHY,
  lookups: [lookup(WIFI), lookup(LTE)],
  counters: new Map([...HEALTHY.counters!, ['MPJoinSynTx', 7], ['MPJoinSynAckRx', 6]]),
  running: { pid: 1, mode: 'multipath', multipath: true, backend: 'native' },
};

const subflow = (path: PathFact, change: Partial<SubflowReading> = {}): SubflowReading => ({
  localAddress: path.address,
  localPort: 40_000,
  remoteAddress: SERVER,
  remotePort: 443,
  link: path.link,
  initial: path === WIFI,
  backup: false,
  state: 'active',
  tcpState: 'established',
  ...change,
});

/** An MPTCP connection over wifi0 only, a minute old. */
const ALONE: ConnectionDetail = {
  id: 'm7',
  token: 7,
  owner: 'program',
  program: 'curl',
  localAddress: WIFI.address,
  localPort: 40_000,
  remoteAddress: SERVER,
  remotePort: 443,
  protocol: 'mptcp',
  state: 'established',
  subflowCount: 1,
  links: ['wifi0'],
  sentBytes: 5000,
  receivedBytes: 9000,
  sentBitsPerSecond: 0,
  receivedBitsPerSecond: 0,
  retransmittedSegments: 0,
  openForMs: 60_000,
  subflows: [subflow(WIFI)],
  subflowsMax: 2,
};

interface Change {
  readonly facts?: Partial<HostFacts>;
  readonly peer?: Partial<PeerFacts>;
  readonly kernel?: Partial<NonNullable<PeerFacts['kernel']>>;
  readonly detail?: Partial<ConnectionDetail>;
}

function explain({ detail, facts, kernel, peer }: Change = {}) {
  const changedPeer: PeerFacts = {
    ...PEER,
    kernel: { fallback: false, ...PEER.kernel, ...kernel },
    ...peer,
  };
  return explainConnection({ ...HOST, peer: changedPeer, ...facts }, { ...ALONE, ...detail });
}

function find(change: Change, id: string): Finding {
  const { findings } = explain(change);
  const found = findings.find((finding) => finding.id === id);
  if (found === undefined) throw new Error(`no "${id}" among ${findings.map((one) => one.id).join(', ')}`);
  return found;
}

const valueOf = ({ evidence }: Finding, name: string) => evidence.find((item) => item.name === name)?.value;

const PLAIN: Partial<ConnectionDetail> = { protocol: 'tcp', subflows: [subflow(WIFI)] };
const PEER_ANSWERED = 'the other end, or something on the path to it, does not speak MPTCP';

describe('several paths', () => {
  const both = { subflows: [subflow(WIFI), subflow(LTE)], links: ['wifi0', 'lte0'], subflowCount: 2 };

  it('are said, and nothing is wrong', () => {
    const { findings, healthy, summary } = explain({ detail: both, kernel: { subflows: 1 } });
    expect(summary).toBe('It uses 2 paths at once: wifi0 (10.1.0.2), lte0 (10.2.0.2).');
    expect(healthy).toBe(true);
    expect(findings.map(({ id }) => id)).toEqual(['several-paths']);
  });

  it('a third one that the limit keeps away is said too', () => {
    const wired: PathFact = { link: 'eth0', linkIndex: 4, address: '10.3.0.2', gateway: '10.3.0.1' };
    const endpoints = [
      ...HOST.endpoints!,
      { address: wired.address, port: 0, id: 3, flags: 2, linkIndex: 4 },
    ];
    const change: Change = {
      facts: { paths: [WIFI, LTE, wired], uplinkCount: 3, endpoints },
      peer: { lookups: [lookup(WIFI), lookup(LTE), lookup(wired)] },
      detail: both,
    };
    const limited = {
      ...change,
      peer: { ...change.peer, kernel: { fallback: false, subflows: 1, subflowsMax: 1 } },
    };
    expect(find(limited, 'limit-reached')).toMatchObject({
      verdict: 'warn',
      advice: ['weft mptcp limits set subflows 2'],
    });
    expect(explain(limited).summary).toMatch(/^It uses 2 paths at once: .*; it has as many subflows/);
  });
});

describe('one path, because', () => {
  it('it is young', () => {
    const { healthy, summary } = explain({ detail: { openForMs: 500 } });
    expect(summary).toMatch(/^It uses one path only, wifi0 \(10\.1\.0\.2\): it has just begun/);
    expect(healthy).toBe(true);
    const silent = find({ kernel: { bytesAcked: 0, bytesReceived: 0 } }, 'young');
    expect(silent.text).toMatch(/no data has gone over it yet/);
    expect(valueOf(silent, 'mptcpi_bytes_acked')).toBe('0');
  });

  it('the limit is 0', () => {
    const found = find({ kernel: { subflowsMax: 0 } }, 'limit-zero');
    expect(found).toMatchObject({ verdict: 'fail' });
    expect(found.advice).toContain('weft mptcp limits set subflows 2');
    expect(valueOf(found, 'mptcpi_subflows_max')).toBe('0');
  });

  it('the limit is reached by subflows that lead nowhere else', () => {
    const second = subflow(WIFI, { localPort: 40_001, initial: false, state: 'backup', backup: true });
    const change: Change = {
      detail: { subflows: [subflow(WIFI), second] },
      kernel: { subflows: 1, subflowsMax: 1 },
    };
    expect(find(change, 'limit-reached').text).toMatch(/\(1 beside the first\), and lte0 could be used too/);
  });

  it('the C flag', () => {
    const found = find({ detail: { denyJoinId0: true } }, 'c-flag');
    expect(found.text).toMatch(/203\.0\.113\.10:443 lets nobody join at this address \(the C flag\)/);
    expect(valueOf(found, 'deny_join_id0')).toBe('true');
    // It has announced another, which is used.
    const { findings } = explain({ detail: { denyJoinId0: true }, kernel: { addressesAccepted: 1 } });
    expect(findings.map(({ id }) => id)).not.toContain('c-flag');
  });

  it('an announced address is not used, by the limit of this host', () => {
    const announced: ObservedEvent = {
      time: 1,
      kind: 'mptcp',
      event: 'announced',
      text: 'the other end of m7 announces its address 203.0.113.11:443',
      fields: { token: '0x7', daddr4: '203.0.113.11' },
    };
    const change: Change = { detail: { denyJoinId0: true }, peer: { events: [announced] } };
    expect(find(change, 'announced-unused').advice).toEqual(['weft mptcp limits set add_addr_accepted 2']);
    expect(
      explain({ ...change, kernel: { addressesAcceptedMax: 2 } }).findings.map(({ id }) => id),
    ).not.toContain('announced-unused');
  });

  it('the host has one way out, and the other end announced nothing', () => {
    const facts: Partial<HostFacts> = { paths: [WIFI], uplinkCount: 1, endpoints: [] };
    const change: Change = { facts, peer: { lookups: [lookup(WIFI)] } };
    expect(find(change, 'peer-announced-nothing').text).toMatch(
      /would need a second address of 203\.0\.113\.10:443/,
    );
    expect(find(change, 'one-uplink').verdict).toBe('warn');
  });

  it('an address has no endpoint', () => {
    const found = find({ facts: { endpoints: [HOST.endpoints![0]!] } }, 'path-no-endpoint');
    expect(found).toMatchObject({
      verdict: 'fail',
      advice: ['weft mptcp endpoint add 10.2.0.2 dev lte0 subflow'],
      evidence: [{ name: 'endpoint 1', value: '10.1.0.2 subflow dev wifi0' }],
    });
    // A signal endpoint announces the address, and opens nothing.
    const signal = HOST.endpoints!.map((endpoint) => Object.assign({}, endpoint, { flags: 1 }));
    expect(find({ facts: { endpoints: signal } }, 'path-no-endpoint').verdict).toBe('fail');
  });

  it('a path does not lead to this very peer', () => {
    const none: LookupFact = { ...lookup(LTE), byLink: { error: 'ENETUNREACH' } };
    const found = find({ peer: { lookups: [lookup(WIFI), none] } }, 'path-no-route');
    expect(found.text).toBe('lte0 (10.2.0.2) does not lead to 203.0.113.10:443: no route (ENETUNREACH)');
    expect(valueOf(found, 'ip route get 203.0.113.10 from 10.2.0.2 oif lte0')).toBe('ENETUNREACH');
    expect(found.advice).toContain('ip rule add from 10.2.0.2 table 1001');
  });

  it('an endpoint without a link follows the rules, which lead elsewhere', () => {
    const elsewhere: LookupFact = { ...lookup(LTE), bySource: { linkIndex: 2, gateway: '10.1.0.1' } };
    const peer = { lookups: [lookup(WIFI), elsewhere] };
    const unbound = HOST.endpoints!.map((endpoint) => Object.assign({}, endpoint, { linkIndex: 0 }));
    expect(find({ peer, facts: { endpoints: unbound } }, 'path-no-route').text).toMatch(
      /packets leave by wifi0/,
    );
    // Bound to its link it is right, until the reverse path filter asks.
    expect(explain({ peer }).findings.map(({ id }) => id)).toEqual(['unexplained']);
    const sysctls = new Map([...HOST.sysctls, ['net.ipv4.conf.lte0.rp_filter', '1'] as const]);
    const found = find({ peer, facts: { sysctls } }, 'path-rp-filter');
    expect(found.verdict).toBe('fail');
    expect(valueOf(found, 'net.ipv4.conf.lte0.rp_filter')).toBe('1');
    expect(found.advice[0]).toBe('sysctl -w net.ipv4.conf.lte0.rp_filter=2');
  });

  it('the other path has the other IP version only', () => {
    const six: PathFact = { link: 'lte0', linkIndex: 3, address: '2001:db8:2::2', gateway: 'fe80::1' };
    const found = find(
      { facts: { paths: [WIFI, six] }, peer: { lookups: [lookup(WIFI)] } },
      'family-mismatch',
    );
    expect(found.text).toMatch(/reached by IPv4, and lte0 has IPv6 only/);
  });

  it('the other path is down', () => {
    const down = aPath('lte0 10.2.0.2', { state: 'down', why: 'the link has no carrier', subflows: 0 });
    const found = find({ facts: { paths: [WIFI], observedPaths: [down] } }, 'path-not-ready');
    expect(found.text).toBe('the path lte0 (10.2.0.2) is down: the link has no carrier');
  });

  it('the other subflow is backup', () => {
    const backup = subflow(LTE, { state: 'backup', backup: true });
    const found = find({ detail: { subflows: [subflow(WIFI), backup] } }, 'path-backup');
    expect(found).toMatchObject({ verdict: 'warn', advice: ['weft path lte0 normal'] });
  });

  it('the other subflow is silent', () => {
    const stale = subflow(LTE, {
      state: 'stale',
      why: 'nothing has come for 3.1 s',
      retransmittedSegments: 4,
    });
    const found = find({ detail: { subflows: [subflow(WIFI), stale] } }, 'path-stale');
    expect(found.text).toMatch(
      /over lte0 \(10\.2\.0\.2\) is there, and nothing .* comes through: nothing has come/,
    );
    expect(valueOf(found, 'retransmitted segments')).toBe('4');
    // The second path is there already, whatever it is good for now.
    const all = explain({ detail: { subflows: [subflow(WIFI), stale] } }).findings;
    expect(all.map(({ id }) => id)).not.toContain('peer-announced-nothing');
  });

  it('nobody answers the join', () => {
    const waiting = subflow(LTE, { state: 'waiting', tcpState: 'syn-sent', retransmittedSegments: 2 });
    const found = find({ detail: { subflows: [subflow(WIFI), waiting] } }, 'join-unanswered');
    expect(valueOf(found, 'MPJoinSynTx')).toBe('7');
    expect(valueOf(found, 'MPJoinSynAckRx')).toBe('6');
  });

  it('the join was refused', () => {
    const closed: ObservedEvent = {
      time: 1,
      kind: 'mptcp',
      event: 'subflow-closed',
      text: 'm7 has lost its subflow from 10.2.0.2:1 to 203.0.113.10:443 over lte0, reset: administratively prohibited',
      fields: { token: '0x7', saddr4: '10.2.0.2', reset_reason: 3 },
    };
    const found = find({ peer: { events: [closed] } }, 'join-refused');
    expect(valueOf(found, 'reset_reason')).toBe('3');
    expect(found.advice).toContain('weft mptcp endpoint delete id 2');
    expect(found.text).toMatch(/administratively prohibited/);
  });

  it('the other end began it', () => {
    const found = find({ detail: { serverSide: true, addressesAnnounced: 0 } }, 'server-side');
    expect(found).toMatchObject({
      verdict: 'warn',
      advice: ['weft mptcp endpoint add 10.2.0.2 dev lte0 signal'],
    });
    const announced = find({ detail: { serverSide: true, addressesAnnounced: 1 } }, 'server-side');
    expect(announced).toMatchObject({ verdict: 'unknown', advice: [] });
  });

  it('the host leaves subflows to a program that is not there', () => {
    const sysctls = new Map([...HOST.sysctls, ['net.mptcp.path_manager', 'userspace'] as const]);
    expect(find({ facts: { sysctls } }, 'path-manager-userspace').verdict).toBe('fail');
  });

  it('it stays on this host', () => {
    const { healthy, findings } = explain({ detail: { remoteAddress: '127.0.0.1' } });
    expect(findings.map(({ id }) => id)).toEqual(['local']);
    expect(healthy).toBe(true);
  });

  it('nothing that can be seen from here, which is said', () => {
    const { findings, summary } = explain();
    expect(findings).toMatchObject([{ id: 'unexplained', verdict: 'unknown' }]);
    expect(summary).toMatch(
      /^It uses one path only, wifi0 \(10\.1\.0\.2\): nothing on this host keeps it from/,
    );
  });
});

describe('plain TCP, because', () => {
  it('nobody wanted MPTCP', () => {
    const { kernel: _kernel, ...peer } = PEER;
    const change: Change = { facts: { peer }, detail: { ...PLAIN, owner: 'program' } };
    expect(find(change, 'tcp-wanted')).toMatchObject({
      verdict: 'warn',
      advice: ['the next time: weft run curl'],
    });
    const off: Change = {
      facts: { peer, running: { pid: 1, mode: 'single-path', multipath: false } },
      detail: { ...PLAIN, owner: 'proxy' },
    };
    expect(valueOf(find(off, 'tcp-wanted'), 'option')).toBe('--no-multipath');
  });

  it('the other end answered without it', () => {
    const fallbackReason = PEER_ANSWERED;
    const found = find(
      { detail: { ...PLAIN, fallbackReason }, kernel: { fallback: true, remoteKeyReceived: false } },
      'peer-plain',
    );
    expect(found.text).toMatch(
      /answered without MPTCP; it does not speak it, or something on the way takes it out/,
    );
    expect(valueOf(found, 'MPCapableFallbackSYNACK')).toBe('2');
  });

  it('something on the way strips it, because the server speaks it elsewhere', () => {
    const found = find(
      {
        detail: { ...PLAIN, fallbackReason: PEER_ANSWERED },
        peer: { kernel: { fallback: true, remoteKeyReceived: false }, speaksMptcpFrom: [LTE.address] },
      },
      'option-stripped',
    );
    expect(found.text).toMatch(/speaks MPTCP on other connections \(from 10\.2\.0\.2\)/);
    expect(valueOf(found, 'MPTCP to the same server now')).toBe('from 10.2.0.2');
  });

  it('a rule of this host strips it', () => {
    const rule = {
      kind: 'strips',
      rule: 'inet t c handle 3',
      remedy: 'nft delete rule inet t c handle 3',
    } as const;
    const found = find(
      {
        detail: { ...PLAIN, fallbackReason: PEER_ANSWERED },
        kernel: { fallback: true, remoteKeyReceived: false },
        facts: {
          firewall: { looked: true, findings: [rule] },
          peer: { ...PEER, kernel: { fallback: true } },
        },
      },
      'option-stripped',
    );
    expect(found).toMatchObject({ verdict: 'fail', advice: [rule.remedy] });
  });

  it('it fell back later', () => {
    const found = find(
      {
        detail: PLAIN,
        kernel: { fallback: true, remoteKeyReceived: true },
        facts: {
          counters: new Map([['DSSCorruptionFallback', 1]]),
          peer: { ...PEER, kernel: { fallback: true, remoteKeyReceived: true } },
        },
      },
      'fell-back',
    );
    expect(valueOf(found, 'mptcpi_flags')).toBe('fallback, remote key received');
    expect(valueOf(found, 'DSSCorruptionFallback')).toBe('1');
  });

  it('this host has none', () => {
    const { kernel: _kernel, ...peer } = PEER;
    const fallbackReason = 'MPTCP is switched off (sysctl net.mptcp.enabled=1 switches it on) (ENOPROTOOPT)';
    const sysctls = new Map([['net.mptcp.enabled', '0']]);
    const mptcpSocket = { ok: false, reason: 'ENOPROTOOPT' } as const;
    const change: Change = { facts: { peer, sysctls, mptcpSocket }, detail: { ...PLAIN, fallbackReason } };
    expect(find(change, 'tcp-local')).toMatchObject({
      verdict: 'fail',
      advice: ['sysctl -w net.mptcp.enabled=1'],
    });
    expect(find(change, 'mptcp-off').verdict).toBe('fail');
  });

  it('a black hole was found before', () => {
    const { kernel: _kernel, ...peer } = PEER;
    const counters = new Map([
      ['Blackhole', 1],
      ['MPCapableSYNTXDisabled', 3],
    ]);
    const change: Change = {
      facts: { peer, counters },
      detail: { ...PLAIN, fallbackReason: PEER_ANSWERED },
    };
    expect(find(change, 'blackhole').advice.join()).toMatch(/net\.mptcp\.blackhole_timeout/);
    expect(valueOf(find(change, 'peer-plain'), 'MPCapableSYNTXDisabled')).toBe('3');
  });
});

it('names from elsewhere cannot become commands of their own', () => {
  const hostile: PathFact = { ...LTE, link: 'x;reboot' };
  const facts: Partial<HostFacts> = { paths: [WIFI, hostile], endpoints: [], links: [linkFact(2, 'wifi0')] };
  const found = find({ facts, peer: { lookups: [lookup(WIFI), lookup(hostile)] } }, 'path-no-endpoint');
  expect(found.advice).toEqual(["weft mptcp endpoint add 10.2.0.2 dev 'x;reboot' subflow"]);
  const { kernel: _kernel, ...peer } = PEER;
  const detail = { ...PLAIN, program: "$(rm -rf '/')" };
  expect(find({ facts: { peer }, detail }, 'tcp-wanted').advice).toEqual([
    String.raw`the next time: weft run '$(rm -rf '\''/'\'')'`,
  ]);
});

it('of a connection that a virtual machine has, this host’s endpoints are no reason', () => {
  const running = { pid: 1, mode: 'multipath', backend: 'appliance' };
  const firewall = { looked: true, findings: [] } as const;
  const { findings } = explain({ facts: { running, endpoints: [], firewall }, detail: { id: 'g17' } });
  expect(findings.map(({ id }) => id)).toEqual(['in-appliance']);
});

it('what could not be read is no reason: fewer facts give fewer answers, and never an error', () => {
  const known = new Set([...Object.keys(FINDING_IDS.host), ...Object.keys(FINDING_IDS.connection)]);
  const cases: readonly ConnectionDetail[] = [ALONE, { ...ALONE, ...PLAIN }, { ...ALONE, subflows: [] }];
  for (const detail of cases) {
    const { findings, summary } = explainConnection(UNKNOWN_HOST, detail);
    expect(summary.length).toBeGreaterThan(10);
    for (const { id } of findings) expect(known).toContain(id);
  }
});
