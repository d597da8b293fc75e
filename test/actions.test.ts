/**
 * What is changed through the control calls of `weft up` and the daemon, each against the kernel: that it is there, that
 * peers are told, that the owner does not put it back, and that the command which the answer names does the same.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { Lab, LabNode } from '../src/lab/index.ts';
import { countOf, listConnections, readCounters } from '../src/mptcp/index.ts';
import type { ActionAnswer, ObservedEvent, RecentEvents } from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { ObservedNode, startObservedDaemon } from './support/observed.ts';
import { useTestLabs } from './support/test-labs.ts';
import { runWeft, startWeft, UNPRIVILEGED, type RunningWeft } from './support/weft-program.ts';

const ENDLESS_BYTES = 1e12;
const SOON = { interval: 20, timeout: 20_000 };

const { buildLab, closers, startDownload } = useTestLabs('actions', { links: { rateBps: 50e6, delayMs: 2 } });

const ip = (node: LabNode, command: string) =>
  execFileSync('ip', ['-n', node.namespace, ...command.split(' ')], { encoding: 'utf8', stdio: 'pipe' });

const HIGH_LIMITS = 'mptcp limits set subflows 8 add_addr_accepted 8';

const endpoints = (node: LabNode) =>
  ip(node, 'mptcp endpoint show')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

const prioritiesSent = (node: LabNode) => countOf(readCounters({ netns: node.path }), 'MPPrioTx');

/** Of the client's only MPTCP connection, IPv4. A subflow that was closed without its path lingers as it was. */
const backupAddresses = (node: LabNode) =>
  (listConnections({ netns: node.path })[0]?.subflows ?? [])
    .filter(({ backupLocal, state }) => backupLocal && state === 'established')
    .map(({ localAddress }) => localAddress);

/** Types a command as a user would; the words have no quotes here. */
async function type(node: LabNode, command: string): Promise<string> {
  const [program, ...words] = command.split(' ');
  expect(program).toBe('weft');
  const { code, stderr, stdout } = await runWeft(node, ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function actionsOf(observed: ObservedNode): Promise<readonly ObservedEvent[]> {
  const { events } = await observed.get<RecentEvents>('/v1/recent-events');
  return events.filter(({ kind }) => kind === 'action');
}

interface Busy {
  readonly lab: Lab;
  readonly client: LabNode;
  readonly observed: ObservedNode;
  readonly weft: RunningWeft;
}

/** A download that uses both uplinks of a client that somebody looks after. */
async function downloadOverBoth(client: LabNode, url: string): Promise<void> {
  startDownload(client, url, ...THROUGH_TUNNEL);
  await expect.poll(() => listConnections({ netns: client.path })[0]?.subflows.length ?? 0, SOON).toBe(2);
}

async function busyUp(prepare: (client: LabNode) => void = () => {}): Promise<Busy> {
  const lab = await buildLab();
  const client = lab.node('client');
  prepare(client);
  const weft = await startWeft(client);
  await downloadOverBoth(client, lab.url(ENDLESS_BYTES));
  return { lab, client, weft, observed: new ObservedNode(client) };
}

describe('weft up', () => {
  it('makes a path backup and normal again, tells peers, and keeps it so', async () => {
    const { client, lab, observed } = await busyUp();
    const before = prioritiesSent(client);
    const answer = await observed.get<ActionAnswer>('/v1/path', { link: 'lte0', backup: true });
    expect(answer.text).toMatch(/^lte0 is backup: endpoint \d+ \(10\.2\.0\.2\)/);
    expect(answer.command).toBe('weft path lte0 backup');
    await expect.poll(() => backupAddresses(client), SOON).toEqual(['10.2.0.2']);
    await expect.poll(() => prioritiesSent(client), SOON).toBe(before + 1);
    // The supervisor has looked since, and does so again.
    await observed.get('/v1/reconcile', {});
    expect(endpoints(client).filter((line) => line.includes('backup'))).toEqual(
      expect.arrayContaining([expect.stringMatching(/^10\.2\.0\.2 id \d+ subflow backup dev lte0$/)]),
    );
    await expect
      .poll(async () => (await observed.overview()).paths.find(({ link }) => link === 'lte0'), SOON)
      .toMatchObject({ backup: true, state: 'backup' });
    expect(prioritiesSent(client)).toBe(before + 1);
    // Nor is it forgotten when the path is made anew.
    lab.uplink(1).unplug();
    await expect.poll(() => endpoints(client).some((line) => line.includes('lte0')), SOON).toBe(false);
    lab.uplink(1).plug();
    await expect
      .poll(() => endpoints(client).find((line) => line.startsWith('10.2.0.2 ')), SOON)
      .toMatch(/ subflow backup dev lte0$/);
    await expect.poll(() => backupAddresses(client), SOON).toEqual(['10.2.0.2']);
    const sent = prioritiesSent(client);

    expect(await type(client, 'weft path lte0 normal')).toMatch(/^lte0 is normal: /);
    await expect.poll(() => backupAddresses(client), SOON).toEqual([]);
    await expect.poll(() => prioritiesSent(client), SOON).toBe(sent + 1);
    expect(await actionsOf(observed)).toMatchObject([
      { event: 'path-set', fields: { by: 'socket', command: 'weft path lte0 backup' } },
      { event: 'path-set', fields: { by: 'socket', command: 'weft path lte0 normal' } },
    ]);
  });

  it('adds, changes and removes endpoints of others, and not its own', async () => {
    const { client, observed, weft } = await busyUp();
    const own = endpoints(client);
    expect(own.length).toBeGreaterThanOrEqual(2);
    for (const [path, body] of [
      ['/v1/endpoint/remove', { id: 1 }],
      ['/v1/endpoint/change', { id: 1, backup: true }],
    ] as const) {
      const answer = await observed.ask(path, body);
      expect(answer).toMatchObject({ status: 409, body: { code: 'OWN_ENDPOINT' } });
      expect((answer.body as { error: string }).error).toMatch(/make the path backup instead/);
    }
    expect(endpoints(client)).toEqual(own);

    const wanted = { address: '192.0.2.7', link: 'lte0', id: 77, flags: ['signal'] };
    const added = await observed.get<ActionAnswer>('/v1/endpoint/add', wanted);
    expect(added.command).toBe('weft mptcp endpoint add 192.0.2.7 dev lte0 id 77 signal');
    expect(endpoints(client)).toContain('192.0.2.7 id 77 signal dev lte0');
    const refused = await observed.ask('/v1/endpoint/add', wanted);
    expect(refused).toMatchObject({ status: 409, body: { code: 'EBUSY' } });

    const changed = await observed.get<ActionAnswer>('/v1/endpoint/change', { id: 77, backup: true });
    expect(changed.command).toBe('weft mptcp endpoint set 77 +backup');
    expect(endpoints(client)).toContain('192.0.2.7 id 77 signal backup dev lte0');
    await type(client, 'weft mptcp endpoint set 77 -backup');
    expect(endpoints(client)).toContain('192.0.2.7 id 77 signal dev lte0');

    const removed = await observed.get<ActionAnswer>('/v1/endpoint/remove', { id: 77 });
    expect(endpoints(client)).toEqual(own);
    await type(client, added.command);
    expect(endpoints(client)).toContain('192.0.2.7 id 77 signal dev lte0');
    await type(client, removed.command);
    expect(endpoints(client)).toEqual(own);
    expect(await observed.ask('/v1/endpoint/remove', { id: 77 })).toMatchObject({
      status: 404,
      body: { code: 'NO_SUCH_ENDPOINT' },
    });
    expect(await observed.ask('/v1/endpoint/add', { ...wanted, link: 'nolink0' })).toMatchObject({
      status: 404,
      body: { code: 'NO_SUCH_LINK' },
    });
    expect((await actionsOf(observed)).map(({ event }) => event)).toEqual([
      'refused',
      'refused',
      'endpoint-added',
      'refused',
      'endpoint-changed',
      'endpoint-removed',
      'refused',
      'refused',
    ]);
    expect(weft.stderr).toMatch(
      /asked for by the command line: endpoint 77 for 192\.0\.2\.7 on lte0 was added/,
    );
  });

  it('leaves limits at what a user sets', async () => {
    // Higher than Weft needs them, so that it has raised nothing.
    const { client, observed, weft } = await busyUp((node) => ip(node, HIGH_LIMITS));
    const answer = await observed.get<ActionAnswer>('/v1/limits', { subflows: 3, addAddrAccepted: 1 });
    expect(answer.command).toBe('weft mptcp limits set subflows 3 add_addr_accepted 1');
    const limits = () => ip(client, 'mptcp limits show').trim();
    expect(limits()).toBe('add_addr_accepted 1 subflows 3');
    await observed.get('/v1/reconcile', {});
    expect(limits()).toBe('add_addr_accepted 1 subflows 3');
    await observed.get('/v1/limits', { subflows: 0 });
    await observed.get('/v1/reconcile', {});
    expect(limits()).toBe('add_addr_accepted 1 subflows 0');
    await type(client, answer.command);
    await observed.get('/v1/reconcile', {});
    expect(limits()).toBe('add_addr_accepted 1 subflows 3');
    await weft.stop();
    expect(limits()).toBe('add_addr_accepted 1 subflows 3');
  });

  it('says who may, and which links there are', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client, [], UNPRIVILEGED);
    const observed = new ObservedNode(client);
    expect((await observed.overview()).mayChange).toBe(false);
    for (const [path, body] of [
      ['/v1/path', { link: 'lte0', backup: true }],
      ['/v1/limits', { subflows: 1 }],
      ['/v1/endpoint/remove', { id: 1 }],
    ] as const) {
      const answer = await observed.ask(path, body);
      expect(answer).toMatchObject({ status: 403, body: { code: 'EPERM' } });
      expect((answer.body as { error: string }).error).toMatch(/CAP_NET_ADMIN.*run it as root/);
    }
  });

  it('a link that is not there is said, with those that are', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    const { code, stderr } = await runWeft(client, 'path', 'lte9', 'backup');
    expect(code).toBe(1);
    expect(stderr).toBe(
      'weft: the running Weft refused: there is no link "lte9" — links with paths are: wifi0, lte0\n',
    );
    const { stdout } = await runWeft(client, 'path', 'lte9', 'backup', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ code: 'NO_SUCH_LINK' });
  });
});

describe('the daemon', () => {
  it('makes a link backup, and keeps to its own endpoints and the limits that a user sets', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    ip(client, HIGH_LIMITS);
    const observed = await startObservedDaemon(client, closers);
    const backup = () => endpoints(client).filter((line) => line.includes('backup'));
    expect(await type(client, 'weft path lte0 backup')).toMatch(/^lte0 is backup: endpoint \d+ \(/);
    expect(backup()).toEqual(
      expect.arrayContaining([expect.stringMatching(/^10\.2\.0\.2 id \d+ subflow backup dev lte0$/)]),
    );
    const own = /id (\d+)/.exec(backup()[0]!)?.[1];
    expect(await observed.ask('/v1/endpoint/remove', { id: Number(own) })).toMatchObject({
      status: 409,
      body: { code: 'OWN_ENDPOINT' },
    });
    await observed.get('/v1/limits', { subflows: 1 });
    // An address that comes has addr_adv compare everything anew.
    ip(client, 'addr add 10.1.0.77/24 dev wifi0');
    await expect.poll(() => endpoints(client).some((line) => line.startsWith('10.1.0.77 ')), SOON).toBe(true);
    expect(ip(client, 'mptcp limits show')).toMatch(/subflows 1 *$/m);
    expect(backup().length).toBeGreaterThan(0);
    await type(client, 'weft path lte0 normal');
    expect(backup()).toEqual([]);
    expect(await observed.ask('/v1/path', { link: 'lte9', backup: true })).toMatchObject({
      status: 404,
      body: { code: 'NO_INTERFACE' },
    });
  });
});
