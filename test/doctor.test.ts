/**
 * `weft doctor` on hosts with one thing wrong each: the thing is found, what to do is said, and doing it helps.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { afterEach, describe, expect, it } from 'vitest';
import { Lab, LabNode } from '../src/lab/index.ts';
import { PathManager } from '../src/mptcp/index.ts';
import type { CheckResult, Diagnosis } from '../src/service/index.ts';
import { UNPRIVILEGED, runWeft, startWeft, weftCommand } from './support/weft-program.ts';

const closers: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function buildClient(): Promise<LabNode> {
  const lab = await Lab.twoUplinks({ rateBps: 1e9, delayMs: 1, web: false });
  closers.push(() => lab.close());
  const client = lab.node('client');
  // Namespaces take these over from the machine that the tests run on.
  for (const link of ['all', 'default', 'wifi0', 'lte0']) client.setSysctl(`ipv4/conf/${link}/rp_filter`, 0);
  return client;
}

interface Examination {
  readonly code: number | null;
  readonly healthy: boolean;
  readonly find: (id: string) => CheckResult;
}

async function examine(node: LabNode, prefix: readonly string[] = []): Promise<Examination> {
  const { code, stdout } = await node.run([...prefix, ...weftCommand('doctor', '--json')]);
  const { checks, healthy } = JSON.parse(stdout) as Diagnosis;
  const find = (id: string) => {
    const found = checks.find((check) => check.id === id);
    if (found === undefined) throw new Error(`no check "${id}" in ${stdout}`);
    return found;
  };
  return { code, healthy, find };
}

const inManager = (node: LabNode, work: (manager: PathManager) => void) => {
  const manager = PathManager.open({ netns: node.path });
  try {
    work(manager);
  } finally {
    manager.close();
  }
};

describe('a host that Weft serves', () => {
  it('is healthy, in every point', async () => {
    const client = await buildClient();
    await startWeft(client);
    const { code, stdout, stderr } = await runWeft(client, 'doctor');
    expect(stdout).toMatch(/All is well\.\n$/);
    expect(stdout).not.toMatch(/^(WARN|FAIL|\?)/m);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it('is warned about what a killed Weft left', async () => {
    const client = await buildClient();
    const weft = await startWeft(client);
    await weft.stop('SIGKILL');
    expect((await examine(client)).find('rules')).toMatchObject({ verdict: 'warn' });
  });
});

describe('a fresh host with two uplinks', () => {
  it('has nothing that fails, and is told what weft up would do', async () => {
    const client = await buildClient();
    const { code, find } = await examine(client);
    expect(code).toBe(0);
    expect(find('uplinks')).toMatchObject({ verdict: 'ok' });
    expect(find('endpoints').advice).toContain('weft mptcp endpoint add 10.2.0.2 dev lte0 subflow');
    expect(find('routes')).toMatchObject({ verdict: 'warn' });
    expect(find('routes').evidence).toMatch(/packets from 10\.2\.0\.2 \(lte0\) leave by wifi0/);
  });

  it('can follow the advice about routes by hand', async () => {
    const client = await buildClient();
    const commands = (await examine(client)).find('routes').advice.filter((line) => line.startsWith('ip '));
    expect(commands.length).toBeGreaterThan(3);
    for (const command of commands) expect((await client.run(command.split(' '))).stderr).toBe('');
    const routes = (await examine(client)).find('routes');
    expect(routes, routes.evidence).toMatchObject({ verdict: 'ok' });
  });
});

describe('one thing wrong', () => {
  it('MPTCP switched off', async () => {
    const client = await buildClient();
    client.setSysctl('mptcp/enabled', 0);
    const { code, healthy, find } = await examine(client);
    expect(code).toBe(1);
    expect(healthy).toBe(false);
    expect(find('mptcp')).toMatchObject({ verdict: 'fail' });
    expect(find('mptcp').advice).toContain('sysctl -w net.mptcp.enabled=1');
    const { code: textCode, stdout } = await runWeft(client, 'doctor');
    expect(textCode).toBe(1);
    expect(stdout).toMatch(/^FAIL {2}mptcp .*net\.mptcp\.enabled is 0/m);
  });

  it('the userspace path manager', async () => {
    const client = await buildClient();
    client.setSysctl('mptcp/pm_type', 1);
    expect((await examine(client)).find('path-manager')).toMatchObject({ verdict: 'fail' });
  });

  it('limits of 0', async () => {
    const client = await buildClient();
    inManager(client, (manager) => manager.setLimits({ subflows: 0 }));
    const { code, find } = await examine(client);
    expect(code).toBe(1);
    expect(find('limits')).toMatchObject({ verdict: 'fail', advice: ['weft mptcp limits set subflows 2'] });
  });

  it('an endpoint whose address is gone, and one on the wrong link', async () => {
    const client = await buildClient();
    inManager(client, (manager) => {
      manager.addEndpoint({ address: '10.77.0.1', flags: 2 });
      manager.addEndpoint({ address: '10.1.0.2', flags: 2, linkIndex: client.linkIndex('lte0') });
    });
    const { code, find } = await examine(client);
    expect(code).toBe(1);
    expect(find('endpoints').evidence).toMatch(/10\.77\.0\.1\) names an address that no link has/);
    expect(find('endpoints').evidence).toMatch(/10\.1\.0\.2\) is bound to lte0, but the address is on wifi0/);
  });

  it('a strict reverse path filter', async () => {
    const client = await buildClient();
    client.setSysctl('ipv4/conf/all/rp_filter', 1);
    const { find } = await examine(client);
    expect(find('rp-filter')).toMatchObject({ verdict: 'warn' });
    expect(find('rp-filter').evidence).toMatch(
      /strict on wifi0, lte0, and answers to 10\.2\.0\.2 are dropped/,
    );
    expect(find('rp-filter').advice).toContain('sysctl -w net.ipv4.conf.lte0.rp_filter=2');
    // With Weft's rules in place the filter finds the right link.
    await startWeft(client);
    expect((await examine(client)).find('rp-filter')).toMatchObject({ verdict: 'ok' });
  });

  it('a packet filter that takes the option out of packets; the remedy works', async () => {
    const client = await buildClient();
    const nft = async (...args: string[]) => {
      expect((await client.run(['nft', ...args])).stderr).toBe('');
    };
    expect((await examine(client)).find('firewall')).toMatchObject({ verdict: 'ok' });
    await nft('add', 'table', 'inet', 'guard');
    await nft('add', 'chain', 'inet', 'guard', 'out', '{ type filter hook output priority 0; }');
    await nft(
      'add',
      'rule',
      'inet',
      'guard',
      'out',
      'tcp',
      'dport',
      '443',
      'reset',
      'tcp',
      'option',
      'mptcp',
    );
    const { code, find } = await examine(client);
    expect(code).toBe(1);
    expect(find('firewall').evidence).toMatch(
      /"inet guard out handle \d+" takes the MPTCP option out of packets/,
    );
    const [remedy = ''] = find('firewall').advice;
    expect((await client.run(remedy.split(' '))).stderr).toBe('');
    expect((await examine(client)).find('firewall')).toMatchObject({ verdict: 'ok' });
  });

  it('no network at all', async () => {
    const node = new LabNode('lone', 'doctor-lone');
    closers.push(() => node.close());
    const { code, find } = await examine(node);
    expect(code).toBe(1);
    expect(find('uplinks')).toMatchObject({ verdict: 'fail' });
  });

  it('no rights: says what it could not look at', async () => {
    const client = await buildClient();
    const { code, find } = await examine(client, UNPRIVILEGED);
    expect(code).toBe(0);
    expect(find('privilege')).toMatchObject({ verdict: 'warn' });
    expect(find('firewall')).toMatchObject({ verdict: 'unknown' });
    expect(find('firewall').evidence).toMatch(/could not look.*CAP_NET_ADMIN/);
  });
});
