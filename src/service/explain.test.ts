import { describe, expect, it } from 'vitest';
import type { ConnectionReport, PathReport, SubflowReport } from './control-api.ts';
import { explainMultipath, type MultipathFacts } from './explain.ts';

const WIFI: PathReport = {
  link: 'wifi0',
  address: '10.1.0.2',
  gateway: '10.1.0.1',
  family: 4,
  backup: false,
  state: 'active',
  endpointId: 1,
};
const LTE: PathReport = { ...WIFI, link: 'lte0', address: '10.2.0.2', gateway: '10.2.0.1', endpointId: 2 };

const endpoint = (id: number, address: string) => ({ id, address, port: 0, flags: ['subflow'], ours: true });

const READY: MultipathFacts = {
  wanted: true,
  mode: 'multipath',
  reason: 'two paths',
  paths: [WIFI, LTE],
  endpoints: [endpoint(1, WIFI.address), endpoint(2, LTE.address)],
  limits: { subflows: 2, addAddrAccepted: 0 },
  connections: [],
  connectionsOmitted: 0,
};

const subflow = (localAddress: string, change: Partial<SubflowReport> = {}): SubflowReport => ({
  localAddress,
  localPort: 1,
  remoteAddress: '203.0.113.1',
  remotePort: 443,
  state: 'established',
  backup: false,
  ...change,
});

const connection = (change: Partial<ConnectionReport> = {}): ConnectionReport => ({
  id: 1,
  kind: 'connect',
  client: '127.0.0.1:5000',
  target: 'example.org:443',
  remote: '203.0.113.1:443',
  protocol: 'mptcp',
  token: 7,
  bytesUp: 1,
  bytesDown: 2,
  openForMs: 3,
  subflows: [subflow('10.1.0.2'), subflow('10.2.0.2')],
  subflowsMax: 2,
  ...change,
});

const alone = connection({ id: 2, target: 'one.example:443', subflows: [subflow('10.1.0.2')] });
const plain = connection({ id: 3, target: 'old.example:80', protocol: 'tcp', subflows: [], subflowsMax: 0 });

const answer = (change: Partial<MultipathFacts>) => {
  const { inUse, explanation } = explainMultipath({ ...READY, ...change });
  return { inUse, first: explanation[0] ?? '', all: explanation.join('\n') };
};

describe('in use', () => {
  it('says so', () => {
    expect(answer({ connections: [connection()] })).toMatchObject({
      inUse: true,
      first: 'Multipath is in use: 1 proxied connection uses more than one path at once.',
    });
  });

  it('says of how many, and why not of the others', () => {
    const { first, all } = answer({ connections: [connection(), alone, plain] });
    expect(first).toBe('Multipath is in use: 1 of 3 proxied connections uses more than one path at once.');
    expect(all).toMatch(/old\.example:80\) is plain TCP over one path: the server does not speak MPTCP/);
    expect(all).toMatch(/one\.example:443\) has one subflow only/);
  });

  it('tells speed from safety', () => {
    const subflows = [subflow('10.1.0.2'), subflow('10.2.0.2', { backup: true })];
    const { inUse, first } = answer({ connections: [connection({ subflows })] });
    expect(inUse).toBe(true);
    expect(first).toMatch(/for safety, not for speed/);
  });

  it('names a connection so that no other is meant', () => {
    const twins = [alone, connection({ ...alone, id: 5, token: 0xab })];
    expect(answer({ connections: twins }).all).toContain('"weft explain 0x7" looks closer');
  });

  it('does not count a path through which nothing comes', () => {
    const stale = [{ link: 'wifi0', address: '10.1.0.2', why: 'silent although it carried data' }];
    const { all, first, inUse } = answer({ connections: [connection()], stale });
    expect(inUse).toBe(true);
    expect(first).toBe(
      'Multipath keeps connections going: 1 proxied connection goes on over what is left of its paths.',
    );
    expect(all).toContain('Nothing comes through wifi0 (10.1.0.2): silent although it carried data.');
    const three = [subflow('10.1.0.2'), subflow('10.2.0.2'), subflow('10.3.0.2')];
    expect(answer({ connections: [connection({ subflows: three })], stale }).first).toMatch(/is in use/);
  });

  it('does not count a subflow that is not there yet', () => {
    const subflows = [subflow('10.1.0.2'), subflow('10.2.0.2', { state: 'syn-sent' })];
    expect(answer({ connections: [connection({ subflows })] }).inUse).toBe(false);
  });
});

describe('not in use, because', () => {
  it.each<[string, Partial<MultipathFacts>, RegExp]>([
    [
      'nobody asks',
      {},
      /ready and not in use: no connection goes through the proxy now; the next may use 2 paths/,
    ],
    ['it is not wanted', { wanted: false }, /switched off with --no-multipath/],
    [
      'the kernel has none',
      { mode: 'no-mptcp', reason: 'the kernel has no MPTCP' },
      /not in use: the kernel has no MPTCP/,
    ],
    [
      'rights are missing',
      { mode: 'unprivileged', reason: 'CAP_NET_ADMIN is missing' },
      /CAP_NET_ADMIN is missing/,
    ],
    [
      'there is one way out',
      { mode: 'single-path', reason: 'only one way out, wifi0' },
      /not in use: only one way out, wifi0/,
    ],
    ['the limit is 0', { limits: { subflows: 0, addAddrAccepted: 0 } }, /limit of subflows is 0/],
    [
      'there is no endpoint',
      {
        endpoints: [],
        paths: [WIFI, LTE].map((path) => Object.assign({}, path, { state: 'waiting', why: 'refused' })),
      },
      /no endpoint for wifi0 \(10\.1\.0\.2\), lte0 \(10\.2\.0\.2\) \(refused\)/,
    ],
    ['the server has none', { connections: [plain] }, /no proxied connection has a second path/],
  ])('%s', (_what, change, expected) => {
    const { inUse, first } = answer(change);
    expect(inUse).toBe(false);
    expect(first).toMatch(expected);
  });

  it('the fallback, with its own reason and the servers by name', () => {
    const targets = ['a:1', 'b:2', 'c:3', 'd:4', 'e:5'];
    const connections = targets.map((target, id) => Object.assign({}, plain, { id, target }));
    expect(answer({ connections }).all).toMatch(/5 connections \(a:1, b:2, c:3 and 2 more\) are plain TCP/);
    const fallbackReason = 'MPTCP is switched off';
    expect(answer({ connections: [{ ...plain, fallbackReason }] }).all).toMatch(/: MPTCP is switched off\./);
  });

  it('the limit of a connection that began too early', () => {
    expect(answer({ connections: [{ ...alone, subflowsMax: 0 }] }).all).toMatch(/limit was 0 when it began/);
  });

  it('a limit that keeps a path idle', () => {
    const wired = { ...WIFI, link: 'eth0', address: '10.3.0.2' };
    const connections = [connection({ subflowsMax: 1 })];
    expect(answer({ paths: [WIFI, LTE, wired], connections }).all).toMatch(
      /as many subflows as the kernel's limit allows, and 3 links could be used: weft mptcp limits set subflows 2/,
    );
    expect(answer({ connections }).all).not.toMatch(/limit/);
  });

  it('a path that is not ready, in its own words', () => {
    const waiting = { ...LTE, state: 'waiting', why: 'the link has no default route' };
    expect(answer({ paths: [WIFI, waiting] }).all).toMatch(
      /lte0 \(10\.2\.0\.2\) is waiting: the link has no default route/,
    );
  });
});

it('what is a backup is said', () => {
  expect(answer({ paths: [WIFI, { ...LTE, backup: true }] }).all).toMatch(/lte0 \(10\.2\.0\.2\) is a backup/);
});

it('paths of the same fate share a sentence, which names some of them', () => {
  const why = 'the kernel takes 8 endpoints';
  const spare = Array.from({ length: 240 }, (_, i) => ({
    ...WIFI,
    address: `10.1.9.${i}`,
    state: 'waiting',
    why,
  }));
  const { explanation } = explainMultipath({ ...READY, paths: [WIFI, LTE, ...spare] });
  expect(explanation).toHaveLength(2);
  expect(explanation[1]).toMatch(
    /^Paths wifi0 \(10\.1\.9\.0\), .* and 232 more are waiting: the kernel takes 8 endpoints\.$/,
  );
});
