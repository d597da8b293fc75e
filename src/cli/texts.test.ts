/** The texts of `weft up`, `weft status` and `weft doctor`: what they say, and that they fit a terminal. */
import { describe, expect, it } from 'vitest';
import type { ConnectionReport, PathReport, StatusReport, SubflowReport } from '../service/index.ts';
import { formatDiagnosis } from './doctor-text.ts';
import { greeting } from './greeting.ts';
import { formatStatus } from './status-text.ts';

const path = (change: Partial<PathReport> = {}): PathReport => ({
  link: 'wifi0',
  address: '10.1.0.2',
  gateway: '10.1.0.1',
  family: 4,
  table: 17_800,
  endpointId: 1,
  backup: false,
  state: 'usable',
  ...change,
});

const subflow = (change: Partial<SubflowReport> = {}): SubflowReport => ({
  localAddress: '10.1.0.2',
  localPort: 43_210,
  remoteAddress: '203.0.113.10',
  remotePort: 443,
  link: 'wifi0',
  state: 'established',
  backup: false,
  rttUs: 12_400,
  bytesSent: 1000,
  bytesReceived: 5_000_000,
  ...change,
});

const connection = (change: Partial<ConnectionReport> = {}): ConnectionReport => ({
  id: 7,
  kind: 'connect',
  client: '127.0.0.1:50000',
  target: 'example.org:443',
  remote: '203.0.113.10:443',
  protocol: 'mptcp',
  token: 1,
  bytesUp: 1000,
  bytesDown: 9_000_000,
  openForMs: 3000,
  subflows: [subflow(), subflow({ link: 'lte0', localAddress: '10.2.0.2', backup: true })],
  ...change,
});

const report = (change: Partial<StatusReport> = {}): StatusReport => ({
  apiVersion: 1,
  version: '1.2.3',
  pid: 42,
  upForMs: 65_000,
  mode: 'multipath',
  reason: '2 paths are in use',
  multipath: {
    inUse: true,
    explanation: ['Multipath is in use.', 'Another sentence.'],
    endToEnd: { connections: 1, mptcp: 1, severalPaths: 1 },
  },
  backend: { kind: 'native', why: 'the kernel of this host speaks MPTCP' },
  paths: [path(), path({ link: 'lte0', address: '10.2.0.2', endpointId: 2, backup: true })],
  ignoredLinks: [
    { link: 'lo', why: 'loopback' },
    { link: 'docker0', why: 'bridge for containers' },
  ],
  endpoints: [{ id: 9, address: '10.3.0.2', port: 0, flags: ['signal'], ours: false }],
  limits: { subflows: 2, addAddrAccepted: 0 },
  proxy: {
    addresses: ['127.0.0.1:13128', '[::1]:13128'],
    allowRemote: false,
    multipath: true,
    counters: { tunnelsOpen: 1, refused: 0, bytesDown: 9_000_000, refusedByReason: {} },
  },
  connections: [connection()],
  connectionsOmitted: 0,
  actions: {},
  ...change,
});

describe('formatStatus', () => {
  const text = formatStatus(report(), 80);

  it('gives the answer first', () => {
    expect(text.split('\n')[0]).toBe('Multipath is in use.');
  });

  it('says whose connections are redirected', () => {
    const { proxy } = report();
    const shown = (transparent: NonNullable<typeof proxy.transparent>) =>
      formatStatus({ ...report(), proxy: { ...proxy, transparent } }, 500);
    expect(text).not.toMatch(/transparent/);
    expect(shown({ fromLinks: [], rejectQuic: false })).toMatch(
      /; transparent: all TCP of this machine's programs;/,
    );
    expect(shown({ fromLinks: ['lan0', 'lan1'], rejectQuic: true })).toMatch(
      /programs and of those behind lan0, lan1, HTTP\/3 refused;/,
    );
  });

  it('shows paths, connections and subflows', () => {
    expect(text).toMatch(/^ {2}lte0 +10\.2\.0\.2 +10\.1\.0\.1 +usable, backup +2 +17800$/m);
    expect(text).toMatch(
      /#7 example\.org:443 at 203\.0\.113\.10:443: MPTCP, 2 subflows; up 1\.0 kB, down\s+9\.0 MB/,
    );
    expect(text).toMatch(/^ {4}wifi0 +10\.1\.0\.2:43210 +12\.4 ms +1\.0 kB +5\.0 MB$/m);
    expect(text).toMatch(/^ {4}lte0 .* backup$/m);
    expect(text).toMatch(/tunnels open 1; bytes\s+down 9\.0 MB/);
    expect(text).toMatch(/Endpoints of others: 10\.3\.0\.2 \(id 9, signal\)/);
    expect(text).toMatch(/docker0 \(bridge for containers\)/);
    expect(text).not.toMatch(/loopback\)/);
  });

  it('fits 80 columns, with the longest addresses too', () => {
    const long = '2001:db8:1111:2222:3333:4444:5555:6666';
    const wide = report({
      paths: [path({ address: long, gateway: long, family: 6, link: 'enp0s31f6u1u2c' })],
      connections: [
        connection({
          target: `${'sub.'.repeat(50)}example.org:443`,
          subflows: [
            subflow({ localAddress: long, remoteAddress: long, remotePort: 8443, link: 'enp0s31f6u1u2c' }),
          ],
        }),
      ],
    });
    for (const line of formatStatus(wide, 80).split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it('shows why a connection is plain TCP, and what is left out', () => {
    const plain = connection({ protocol: 'tcp', fallbackReason: 'the server has none', subflows: [] });
    const shown = formatStatus(report({ connections: [plain], connectionsOmitted: 5 }), 80);
    expect(shown).toMatch(/TCP, because the server has none/);
    expect(shown).toMatch(/and 5 older ones/);
  });

  it('never lets a control character out', () => {
    const bad = report({ connections: [connection({ target: '\u001b[2Jevil:1' })] });
    // eslint-disable-next-line no-control-regex
    expect(formatStatus(bad, 80)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });
});

describe('formatStatus, what carries connections', () => {
  const shown = (change: Partial<StatusReport> = {}) =>
    formatStatus(report(change), 80).replaceAll(/\s+/g, ' ');

  it('says the backend and why, and what was seen end to end', () => {
    expect(shown()).toContain('Backend native: the kernel of this host speaks MPTCP.');
    expect(shown()).toContain('MPTCP end to end: 1 of 1 connection, 1 over several paths.');
    const endToEnd = { connections: 0, mptcp: 0, severalPaths: 0 };
    expect(shown({ multipath: { ...report().multipath, endToEnd } })).not.toContain('end to end');
  });

  it('says that the proxy does not answer, only when that is known', () => {
    expect(shown()).not.toContain('does not answer');
    expect(shown({ proxy: { ...report().proxy, alive: true } })).not.toContain('does not answer');
    expect(shown({ proxy: { ...report().proxy, alive: false } })).toContain('it does not answer');
  });

  it('shows the appliance and how its links are reached, within 80 columns', () => {
    const link = (name: string, guestLink: string, slot: number) => ({
      link: name,
      tap: `weftvm${slot}`,
      guestLink,
      hostAddresses: [`10.99.${slot}.1/30`, 'fd12:3456:789a:bcde::1/64'],
      guestAddresses: [`10.99.${slot}.2/30`, 'fd12:3456:789a:bcde::2/64'],
      state: 'active',
    });
    const appliance = {
      state: 'running',
      pid: 99,
      accelerator: 'tcg',
      memoryMiB: 512,
      cpus: 2,
      bootMs: 5400,
      image: { version: '1.2.3', kernel: '6.1.0-30-cloud-amd64', digest: 'ab' },
      proxy: { address: '10.99.0.2', port: 13_128, alive: true },
      links: [link('wifi0', 'eth1', 1), link('lte0', 'eth2', 2)],
    } as const;
    const backend = { kind: 'appliance', why: 'this kernel has no MPTCP' } as const;
    const text = formatStatus(report({ appliance, backend }), 80);
    expect(text).toMatch(/^ {2}wifi0 +eth1 +weftvm1/m);
    expect(text.replaceAll(/\s+/g, ' ')).toMatch(
      /Appliance: running; QEMU process 99; tcg; 512 MiB; 2 processors; up after 5\.4 s; .*its proxy 10\.99\.0\.2:13128 answers\./,
    );
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    const failed = { ...appliance, state: 'failed', why: 'QEMU has ended' } as const;
    expect(shown({ appliance: failed, backend })).toContain('Appliance: failed (QEMU has ended);');
  });
});

describe('formatStatus, the rules', () => {
  const policy = {
    rules: 0,
    users: 0,
    defaultWay: 'multipath',
    upstreams: [],
    loadedForMs: 1,
  };
  const shown = (change: Partial<NonNullable<StatusReport['proxy']['policy']>>) =>
    formatStatus(report({ proxy: { ...report().proxy, policy: { ...policy, ...change } } }), 80).replaceAll(
      /\s+/g,
      ' ',
    );

  it('are not spoken of when there are none', () => {
    expect(shown({})).not.toContain('Rules');
  });

  it('are counted, with what everything else takes', () => {
    expect(shown({ file: '/etc/weft/rules.toml', rules: 3, users: 2, defaultWay: 'home' })).toContain(
      'Rules of /etc/weft/rules.toml: 3 rules, 2 users; everything else goes "home".',
    );
    expect(shown({ file: '/r', lastReloadFailed: ['/r:3: unknown key "tu"'] })).toContain(
      'The last reload changed nothing: /r:3: unknown key "tu".',
    );
  });

  it('tell how upstream proxies do', () => {
    const home = {
      name: 'home',
      kind: 'weft',
      host: 'vps.example',
      port: 443,
      state: 'down',
      why: 'it refused the token',
      opened: 5,
      failed: 2,
      ready: 0,
    } as const;
    expect(shown({ upstreams: [home] })).toContain(
      'Upstream proxy home (weft, vps.example:443): down (it refused the token); 5 tunnels, 2 failed.',
    );
  });
});

describe('greeting', () => {
  const lines = (change: Partial<StatusReport> = {}) =>
    greeting(report(change)).map(({ level, message }) => `${level}: ${message}`);

  it('says where the proxy is and how to use it', () => {
    const text = lines().join('\n');
    expect(text).toMatch(/listens on 127\.0\.0\.1:13128 and \[::1\]:13128/);
    expect(text).toMatch(
      /export http_proxy=http:\/\/127\.0\.0\.1:13128 https_proxy=http:\/\/127\.0\.0\.1:13128/,
    );
  });

  it('warns when multipath is switched off', () => {
    expect(lines({ proxy: { ...report().proxy, multipath: false } }).join('\n')).toMatch(
      /warn: --no-multipath/,
    );
  });

  it('warns of an open proxy, and of one that only seems open', () => {
    const proxy = { ...report().proxy, addresses: ['0.0.0.0:3128'] };
    expect(lines({ proxy }).join('\n')).toMatch(/warn: clients of other machines are refused/);
    expect(lines({ proxy: { ...proxy, allowRemote: true } }).join('\n')).toMatch(/warn: every machine/);
    expect(lines({ proxy }).join('\n')).toMatch(/http_proxy=http:\/\/127\.0\.0\.1:3128/);
    const inside = { ...report().proxy, allowRemote: true };
    expect(lines({ proxy: inside }).join('\n')).toMatch(/warn: --allow-remote alone changes nothing/);
  });
});

describe('formatDiagnosis', () => {
  const checks = [
    { id: 'kernel', verdict: 'ok', evidence: 'Linux', advice: [] },
    {
      id: 'limits',
      verdict: 'warn',
      evidence: 'few '.repeat(40).trim(),
      advice: ['weft mptcp limits set subflows 4'],
    },
    { id: 'firewall', verdict: 'unknown', evidence: 'could not look', advice: [] },
  ] as const;

  it('shows each check with its advice, within 80 columns', () => {
    const text = formatDiagnosis({ healthy: true, checks }, 80);
    expect(text).toMatch(/^ok {4}kernel {7}Linux$/m);
    expect(text).toMatch(/^WARN {2}limits/m);
    expect(text).toMatch(/^ +> weft mptcp limits set subflows 4$/m);
    expect(text).toMatch(/Nothing failed; 1 point to look at; 1 could not be looked at\./);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('says plainly that something failed', () => {
    const failed = [{ id: 'mptcp', verdict: 'fail', evidence: 'off', advice: [] }] as const;
    expect(formatDiagnosis({ healthy: false, checks: failed }, 80)).toMatch(/1 check failed/);
  });
});
