import { describe, expect, it } from 'vitest';
import type { ApplianceReport, PathReport, StatusReport } from '../../service/index.ts';
import { MPTCPCTL_COMMANDS, MPTCPCTL_USAGE, parseMptcpctl, type MptcpctlExit } from './mptcpctl-grammar.ts';
import {
  describeChanges,
  describeCleaning,
  describeLinks,
  describeStatus,
  formatMessage,
} from './mptcpctl-messages.ts';

const path = (change: Partial<PathReport> = {}): PathReport => ({
  link: 'wifi0',
  address: '10.1.0.2',
  gateway: '10.1.0.1',
  family: 4,
  backup: false,
  state: 'active',
  preferred: true,
  ...change,
});
const lte = (change: Partial<PathReport> = {}) => {
  const { preferred: _, ...rest } = path({ link: 'lte0', address: '10.2.0.2', gateway: '10.2.0.1' });
  return { ...rest, ...change };
};

const report = (change: Partial<StatusReport> = {}): StatusReport => ({
  apiVersion: 1,
  version: '1.2.3',
  pid: 42,
  upForMs: 1000,
  mode: 'multipath',
  reason: 'connections can use wifi0, lte0',
  multipath: {
    inUse: true,
    explanation: ['Multipath is in use: 1 proxied connection uses more than one path at once.'],
    endToEnd: { connections: 2, mptcp: 1, severalPaths: 1 },
  },
  backend: { kind: 'native', why: 'the kernel of this host speaks MPTCP' },
  paths: [path(), lte()],
  ignoredLinks: [
    { link: 'lo', why: 'loopback' },
    { link: 'docker0', why: 'bridge for containers' },
  ],
  endpoints: [],
  actions: {},
  proxy: { addresses: ['127.0.0.1:13128'], allowRemote: false, multipath: true, counters: {} },
  connections: [],
  connectionsOmitted: 0,
  ...change,
});

const APPLIANCE: ApplianceReport = {
  state: 'running',
  pid: 99,
  accelerator: 'tcg',
  links: [
    { link: 'wifi0', guestLink: 'eth1', hostAddresses: [], guestAddresses: [], state: 'active' },
    { link: 'lte0', guestLink: 'eth2', hostAddresses: [], guestAddresses: [], state: 'active' },
  ],
};

const lines = (messages: Parameters<typeof formatMessage>[0][]) =>
  messages.map((message) => formatMessage(message).trimEnd());

describe('what is said of links', () => {
  it('is in the words of the script', () => {
    const down = lte({ state: 'waiting', why: 'it waits for a second path' });
    expect(lines(describeLinks(report({ paths: [path(), down] })))).toEqual([
      '[wifi0] is mapped to itself',
      '[wifi0] is active -> using 10.1.0.2',
      '[wifi0] is the current default interface',
      '[lte0] is inactive: it waits for a second path',
      '[docker0] is left out: bridge for containers',
    ]);
  });

  it('has the mapping into the appliance', () => {
    const mapped = lines(describeLinks(report({ appliance: APPLIANCE })));
    expect(mapped).toContain('[wifi0] is mapped to eth1');
    expect(mapped).toContain('[lte0] is mapped to eth2');
    const early = lines(describeLinks(report({ appliance: { ...APPLIANCE, links: [] } })));
    expect(early).toContain('[lte0] is not mapped yet');
  });

  it('is one line for all addresses of a link', () => {
    const both = [path(), path({ address: '2001:db8:1::2', family: 6, backup: true })];
    expect(lines(describeLinks(report({ paths: both })))).toContain(
      '[wifi0] is active -> using 10.1.0.2, 2001:db8:1::2, as a backup',
    );
  });
});

describe('the status', () => {
  it('says machine, proxy, backend, links and what was really seen', () => {
    const text = lines(describeStatus(report(), true));
    expect(text.slice(0, 3)).toEqual([
      '[global] Virtual machine is not running, and not needed (backend native)',
      '[global] Proxy is alive (127.0.0.1:13128)',
      '[global] backend native: the kernel of this host speaks MPTCP',
    ]);
    expect(text).toContain('[global] MPTCP end to end: 1 of 2 connections, 1 over several paths');
  });

  it('of an appliance, and of a proxy that does not answer', () => {
    const backend = { kind: 'appliance', why: 'this kernel has no MPTCP' } as const;
    const text = lines(describeStatus(report({ appliance: APPLIANCE, backend }), false));
    expect(text[0]).toBe('[global] Virtual machine is running (process 99, tcg)');
    expect(text[1]).toBe('[global] Proxy is dead');
    const failed = { ...APPLIANCE, state: 'failed', why: 'QEMU has ended' } as const;
    expect(lines(describeStatus(report({ appliance: failed, backend }), false))[0]).toBe(
      '[global] Virtual machine is not running: QEMU has ended',
    );
  });

  it('does not say what was not seen', () => {
    const endToEnd = { connections: 0, mptcp: 0, severalPaths: 0 };
    const idle = report({ multipath: { inUse: false, explanation: [], endToEnd } });
    expect(lines(describeStatus(idle, true)).join('\n')).toMatch(/end to end: not seen now/);
  });
});

describe('changes', () => {
  const changes = (before: readonly PathReport[], after: readonly PathReport[]) =>
    lines(describeChanges(report({ paths: before }), report({ paths: after })));

  it('none, none said', () => {
    expect(changes([path(), lte()], [path(), lte()])).toEqual([]);
  });

  it('a link that goes, by its state or altogether', () => {
    const gone = '[lte0] is now down and was used -> cleanup';
    expect(changes([path(), lte()], [path()])).toEqual([gone]);
    expect(changes([path(), lte()], [path(), lte({ state: 'no-carrier' })])).toEqual([gone]);
  });

  it('a link that comes, and one that gets another address', () => {
    expect(changes([path()], [path(), lte()])).toEqual([
      '[lte0] is now up and thus can be used -> setting up 10.2.0.2',
    ]);
    expect(changes([path(), lte()], [path(), lte({ address: '10.2.0.77' })])).toEqual([
      '[lte0] has other addresses now -> setting up 10.2.0.77',
    ]);
  });

  it('another default route, and none', () => {
    const { preferred: _, ...plain } = path();
    expect(changes([path(), lte()], [plain, lte({ preferred: true })])).toEqual([
      '[global] setting up new default route via lte0 10.2.0.1',
    ]);
    expect(changes([path()], [])).toEqual([
      '[wifi0] is now down and was used -> cleanup',
      '[global] there is no default route',
    ]);
  });

  it('cleans up what was in use', () => {
    const paths = [path(), lte({ state: 'waiting' })];
    expect(lines(describeCleaning(report({ paths })))).toEqual(['[wifi0] -> cleaning up']);
  });
});

describe('the command line', () => {
  const parse = (line: string) =>
    parseMptcpctl(
      line.split(' ').filter((word) => word !== ''),
      '1.2.3',
    );

  it('has every command', () => {
    for (const command of MPTCPCTL_COMMANDS) {
      const line = command === 'import' || command === 'export' ? `${command} /tmp/a.ova` : command;
      expect(parse(line)).toMatchObject({ kind: 'run', command, json: false });
      expect(MPTCPCTL_USAGE).toContain(`  ${command}`);
    }
  });

  it('takes its options before and behind the command, and gives the others to start', () => {
    const start = { kind: 'run', command: 'start', json: true, verbose: false };
    expect(parse('--json start --backup lte0')).toEqual({ ...start, words: ['--backup', 'lte0'] });
    expect(parse('start --backup lte0 --json')).toEqual({ ...start, words: ['--backup', 'lte0'] });
  });

  it.each([
    ['strat', /no command "strat"; did you mean "start"\?/],
    ['import', /usage: mptcpctl import FILE/],
    ['export', /usage: mptcpctl export FILE/],
    ['import a b', /"import" takes no "b"/],
    ['stop now', /"stop" takes no "now"/],
    ['stop --now', /"stop" has no option "--now"/],
  ])('%j is wrong', (line, message) => {
    expect(parse(line)).toMatchObject({ kind: 'exit', exitCode: 2, stderr: expect.stringMatching(message) });
  });

  it.each([
    ['--json strat', /no command "strat"/],
    ['stop --json --now', /"stop" has no option "--now"/],
    ['import --json', /usage: mptcpctl import FILE/],
    ['--json', /no command was given/],
  ])('%j is wrong, and one object says so', (line, error) => {
    const { stdout = '' } = parse(line) as MptcpctlExit;
    expect(stdout).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      messages: [],
      error: expect.stringMatching(error),
      code: 'USAGE',
    });
  });

  it('helps', () => {
    expect(parse('')).toMatchObject({ exitCode: 2, stderr: MPTCPCTL_USAGE });
    for (const line of ['--help', '-h', 'help', 'start --help'])
      expect(parse(line)).toEqual({ kind: 'exit', exitCode: 0, stdout: MPTCPCTL_USAGE });
    expect(parse('--version')).toEqual({ kind: 'exit', exitCode: 0, stdout: 'mptcpctl (weft 1.2.3)\n' });
    for (const row of MPTCPCTL_USAGE.split('\n')) expect(row.length, row).toBeLessThanOrEqual(80);
  });
});
