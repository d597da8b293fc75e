/**
 * `weft explain` as a user types it: with a Weft that runs and is asked, with none, and what it says when it cannot.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Socket } from 'node:net';
import type { LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import type { WhyReport } from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { echoServer, type EchoOptions } from './support/echo-server.ts';
import { Configuration, READY, spawnMptcpd } from './support/mptcpd-program.ts';
import { useTestLabs } from './support/test-labs.ts';
import { readStatus, runWeft, startWeft, UNPRIVILEGED, weftCommand } from './support/weft-program.ts';

const SERVER = '203.0.113.10:80';
const ENDLESS_BYTES = 1e12;
/** For what happens in its own time: asks often, gives up only when it will never be. */
const SOON = { interval: 100, timeout: 30_000 };

const { buildLab, closers, startDownload } = useTestLabs('explain-command', {
  links: { rateBps: 50e6, delayMs: 2 },
});

const serveEchoes = (node: LabNode, options: EchoOptions) => closers.push(echoServer(node, options));

/** A tunnel of the proxy's that has carried data both ways and stays open until the test ends. */
async function openTunnel(node: LabNode, target: string): Promise<void> {
  const { fd } = await node.inside(() =>
    connectFd({ address: '127.0.0.1', port: 13128, multipath: false, timeoutMs: 10_000 }),
  );
  const socket = new Socket({ fd }).setEncoding('latin1').on('error', () => {});
  closers.push(() => void socket.destroy());
  for (const [question, answer] of [
    [`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`, /^HTTP\/1\.1 200 /],
    ['x'.repeat(1000), /^x/],
  ] as const) {
    const answered = once(socket, 'data');
    socket.write(question);
    expect((await answered)[0]).toMatch(answer);
  }
}

async function explain(node: LabNode, ...args: string[]): Promise<WhyReport> {
  const { stdout } = await runWeft(node, 'explain', '--json', ...args);
  return JSON.parse(stdout) as WhyReport;
}

const idsOf = ({ findings = [] }: Partial<WhyReport>) => findings.map(({ id }) => id);

/** Of each connection that the name means; none while there is none. */
async function explainAll(node: LabNode, name: string): Promise<Partial<WhyReport>[]> {
  const { stdout } = await runWeft(node, 'explain', '--json', name);
  const answer = JSON.parse(stdout) as Partial<WhyReport> & { readonly error?: string };
  if (answer.error === undefined) return [answer];
  const ids = [...answer.error.matchAll(/\b([mp][0-9a-f]+) \(/g)].map(([, id]) => id!);
  return Promise.all(ids.map((id) => explain(node, id)));
}

describe('of a Weft that runs', () => {
  it('a connection by its target, and the host', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('several-paths');
    const { code, stderr, stdout } = await runWeft(client, 'explain', SERVER);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^It uses 2 paths at once: wifi0 \(10\.1\.0\.2\), lte0 \(10\.2\.0\.2\)/);
    expect(stdout).toMatch(/^ok {4}it uses 2 paths at once/m);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(code).toBe(0);

    const host = await explain(client);
    expect(host.findings.filter(({ verdict }) => verdict === 'fail')).toEqual([]);
    expect(host.summary).toMatch(
      /^Nothing on this host limits multipath; now 1 MPTCP connection with several/,
    );
    expect(idsOf(host)).toEqual(expect.arrayContaining(['limits', 'routes', 'endpoints', 'rp-filter']));
  });

  it('says what it cannot: no such connection, and several that are meant', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    const none = await runWeft(client, 'explain', 'example.org:443');
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/^weft: .*there is no connection "example\.org:443" — name it by its id/);
    expect(none.stdout).toBe('');
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    const ask = async () => (await runWeft(client, 'explain', '--json', SERVER)).stdout;
    await expect.poll(ask, SOON).toMatch(/means 2 connections — name one by its id: m[0-9a-f]+ \(/);
    const text = await ask();
    expect(JSON.parse(text)).toMatchObject({ code: 'AMBIGUOUS' });
    const [, id = ''] = /its id: (m[0-9a-f]+)/.exec(text) ?? [];
    expect(idsOf(await explain(client, id)).length).toBeGreaterThan(0);
  });

  it('a backup path, and the command that is advised makes it carry data', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client, ['--backup', 'lte0']);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('path-backup');
    const { findings } = await explain(client, SERVER);
    const [command = ''] = findings.find(({ id }) => id === 'path-backup')?.advice ?? [];
    expect(command).toBe('weft path lte0 normal');
    const { code, stderr } = await runWeft(client, ...command.split(' ').slice(1));
    expect(stderr).toBe('');
    expect(code).toBe(0);
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('several-paths');
  });

  it('a path through which nothing comes, and when it does again', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('several-paths');
    lab.uplink(1).cut();
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('path-stale');
    // What is said of the host does not contradict it.
    await expect.poll(async () => idsOf(await explain(client)), SOON).toContain('paths-stale');
    const doctor = async () => (await runWeft(client, 'doctor')).stdout;
    await expect.poll(doctor, SOON).toMatch(/^WARN {2}paths +nothing comes through lte0/m);
    const said = async () => (await readStatus(client)).multipath.explanation[0];
    await expect.poll(said, SOON).toMatch(/^Multipath keeps connections going/);
    lab.uplink(1).restore();
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('several-paths');
  });

  it('one that was started without multipath', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client, ['--no-multipath']);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    await expect.poll(async () => idsOf(await explain(client, SERVER)), SOON).toContain('tcp-wanted');
    expect(idsOf(await explain(client))).toContain('multipath-off');
  });
});

describe('of servers that do not speak MPTCP', () => {
  it('the first connection and the ones after, for which the proxy asks no more', async () => {
    const lab = await buildLab();
    const [client, server] = [lab.node('client'), lab.node('server')];
    serveEchoes(server, { port: 7000, multipath: false });
    await startWeft(client);
    const target = '203.0.113.10:7000';
    for (const opened of [1, 2]) {
      await openTunnel(client, target);
      let rows: Partial<WhyReport>[] = [];
      const ask = async () => (rows = await explainAll(client, target)).length;
      // One row for each, although the kernel's list and the proxy's both have it.
      await expect.poll(ask, SOON).toBe(opened);
      for (const row of rows) expect(idsOf(row)).toEqual(['peer-plain']);
    }
  });

  it('a way that strips the option is told from a server without it', async () => {
    const lab = await buildLab();
    const [client, server] = [lab.node('client'), lab.node('server')];
    serveEchoes(server, { port: 7000 });
    await startWeft(client);
    const target = '203.0.113.10:7000';
    // It goes over wifi0, and speaks MPTCP.
    await openTunnel(client, target);
    await expect.poll(async () => idsOf(await explain(client, target)), SOON).toContain('several-paths');
    const { stdout } = await runWeft(client, 'explain', '--json', target);
    expect((JSON.parse(stdout) as WhyReport).healthy).toBe(true);
    for (const line of [
      'add table inet guard',
      'add chain inet guard pass { type filter hook forward priority 0; }',
      'add rule inet guard pass tcp flags syn / syn,ack reset tcp option mptcp',
    ]) {
      expect((await lab.node('router0').run(['nft', line])).stderr).toBe('');
    }
    await openTunnel(client, target);
    const ask = async () => (await explainAll(client, target)).flatMap(idsOf);
    await expect.poll(ask, SOON).toContain('option-stripped');
  });
});

describe('of the daemon', () => {
  it('is asked where no Weft runs: it knows the C flag, and whether somebody opens subflows', async () => {
    const lab = await buildLab();
    const [client, server] = [lab.node('client'), lab.node('server')];
    server.setSysctl('mptcp/allow_join_initial_addr_port', 0);
    serveEchoes(server, { port: 7000 });
    const configuration = new Configuration(
      '[core]\naddr-flags=subflow\nnotify-flags=existing,skip_link_local\n',
    );
    closers.push(() => configuration.remove());
    const daemon = spawnMptcpd(client, { environment: configuration.environment() });
    closers.push(() => daemon.stop());
    await daemon.seen(READY);
    // It begins to look a moment after it is ready; what is asked before waits for that.
    expect(idsOf(await explain(client))).toContain('endpoints');
    const { fd } = await client.inside(() =>
      connectFd({ address: '203.0.113.10', port: 7000, timeoutMs: 10_000 }),
    );
    const socket = new Socket({ fd }).on('error', () => {});
    closers.push(() => void socket.destroy());
    const answered = once(socket, 'data');
    socket.write('x');
    await answered;
    const ask = async () => idsOf(await explain(client, '203.0.113.10:7000'));
    await expect.poll(ask, SOON).toContain('c-flag');
    client.setSysctl('mptcp/pm_type', 1);
    // The host is not looked at anew for each question.
    const text = async () => {
      const { findings } = await explain(client);
      return findings.find(({ id }) => id === 'path-manager-userspace')?.text ?? '';
    };
    await expect.poll(text, SOON).toMatch(/the daemon's plugin "addr_adv" opens no subflows/);
  });
});

describe('without one', () => {
  it('looks by itself, at the host and at a connection, as root and as an ordinary user', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    startDownload(client, lab.url(ENDLESS_BYTES));
    for (const prefix of [[], UNPRIVILEGED]) {
      const { code, stderr, stdout } = await client.run([...prefix, ...weftCommand('explain', '--json')]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(idsOf(JSON.parse(stdout) as WhyReport)).toContain('no-endpoint');
    }
    // curl itself speaks plain TCP, so there is no connection of MPTCP to find.
    const { code, stderr } = await runWeft(client, 'explain', SERVER);
    expect(code).toBe(1);
    expect(stderr).toMatch(/there is no connection/);
    const wrapped = client.spawn(
      [...weftCommand('run', 'curl', '-sS', '-o', '/dev/null', lab.url(ENDLESS_BYTES))],
      {
        stdio: 'ignore',
      },
    );
    closers.push(async () => {
      if (wrapped.exitCode !== null) return;
      wrapped.kill('SIGKILL');
      await once(wrapped, 'exit');
    });
    for (const prefix of [[], UNPRIVILEGED]) {
      const ask = async () => {
        const { stdout } = await client.run([...prefix, ...weftCommand('explain', '--json', SERVER)]);
        return idsOf(JSON.parse(stdout) as Partial<WhyReport>);
      };
      await expect.poll(ask, SOON).toContain('path-no-endpoint');
    }
  });
});
