/**
 * `weft up` as a user starts it, on hosts of every kind, and that it leaves each as it was.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { contentSha256, diffSnapshots, LabNode } from '../src/lab/index.ts';
import { PathManager } from '../src/mptcp/index.ts';
import { download } from './support/download.ts';
import { hostState, useTestLabs } from './support/test-labs.ts';
import {
  UNPRIVILEGED,
  RunningWeft,
  runtimeFiles,
  runWeft,
  startWeft,
  weftCommand,
} from './support/weft-program.ts';

const PROXY = 'http://127.0.0.1:13128';

const { buildLab, closers, loneHost } = useTestLabs('up');

/** Starts `weft up` with a module loaded before it, which brings about what cannot be had from outside. */
async function startPrepared(node: LabNode, module: string): Promise<RunningWeft> {
  const url = `data:text/javascript,${encodeURIComponent(module)}`;
  const [program = '', ...args] = weftCommand('up');
  const weft = new RunningWeft(
    node.spawn([program, '--import', url, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await weft.seen(/to stop it/);
  return weft;
}

describe('a host with two uplinks', () => {
  it('is set up, told about, used, and left as it was', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const weft = await startWeft(client);
    expect(weft.stderr).toMatch(/path wifi0 10\.1\.0\.2 via 10\.1\.0\.1 is in use/);
    expect(weft.stderr).toMatch(/path lte0 10\.2\.0\.2 via 10\.2\.0\.1 is in use/);
    expect(weft.stderr).toMatch(/the proxy listens on 127\.0\.0\.1:13128 and \[::1\]:13128/);
    expect(weft.stderr).toMatch(
      /export http_proxy=http:\/\/127\.0\.0\.1:13128 https_proxy=http:\/\/127\.0\.0\.1:13128/,
    );
    expect(weft.stdout).toBe('');
    const added = diffSnapshots(before, hostState(client)).filter((line) => line.startsWith('+ endpoint'));
    expect(added.map((line) => line.split(' ')[3] ?? '').sort()).toEqual([
      '10.1.0.2',
      '10.2.0.2',
      '2001:db8:1::2',
      '2001:db8:2::2',
    ]);
    expect(await download(client, lab.url(1_000_000, 3))).toBe(contentSha256(1_000_000, 3));
    expect(await download(client, lab.url(1_000_000, 4, 6), '--proxytunnel')).toBe(
      contentSha256(1_000_000, 4),
    );
    expect(await weft.stop('SIGTERM')).toBe(0);
    expect(weft.stderr).toMatch(/SIGTERM: stopping/);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(runtimeFiles(client)).toEqual([]);
  });

  it('keeps to the links that the user chose, and says which name no link has', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const weft = await startWeft(client, ['--backup', 'lte0', '--exclude', 'eth7']);
    expect(weft.stderr).toMatch(/WARN.*there is no link "eth7" now/);
    const manager = PathManager.open({ netns: client.path });
    const backups = manager.endpoints().filter(({ flags }) => (flags & 4) !== 0);
    manager.close();
    expect(backups.map(({ address }) => address).sort()).toEqual(['10.2.0.2', '2001:db8:2::2']);
    expect(await weft.stop('SIGINT')).toBe(0);
    const alone = await startWeft(client, ['--interface', 'wifi0']);
    expect(alone.stderr).toMatch(/WARN.*only one way out, wifi0/);
    expect(await alone.stop()).toBe(0);
  });

  it('is cleaned up after a kill by the next one, which takes the dead one’s socket', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const first = await startWeft(client);
    await first.stop('SIGKILL');
    expect(diffSnapshots(before, hostState(client))).not.toEqual([]);
    expect(runtimeFiles(client).some((name) => name.endsWith('.sock'))).toBe(true);
    expect((await runWeft(client, 'status')).code).toBe(1);
    const second = await startWeft(client);
    expect((await runWeft(client, 'status')).code).toBe(0);
    expect(await second.stop()).toBe(0);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(runtimeFiles(client)).toEqual([]);
  });

  it('has one Weft at a time; another network namespace has its own', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const weft = await startWeft(client);
    const second = await runWeft(client, 'up', '--listen', '127.0.0.1:4000');
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`already running here \\(process ${weft.process.pid}\\)`));
    const router = lab.node('router0');
    const killed = await startWeft(router);
    await killed.stop('SIGKILL');
    const controlFiles = () => runtimeFiles(router).filter((path) => path.includes('/control-'));
    expect(controlFiles()).toHaveLength(2);
    // One in a third namespace clears away what that one left, and leaves the client's alone.
    const elsewhere = await startWeft(lab.node('router1'));
    expect(controlFiles()).toEqual([]);
    expect(await elsewhere.stop()).toBe(0);
    expect((await runWeft(client, 'status')).code).toBe(0);
    expect(await weft.stop()).toBe(0);
  });

  it('keeps its proxy when it may change nothing, and says what is missing', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const weft = await startWeft(client, [], UNPRIVILEGED);
    const complaints = weft.stderr.split('\n').filter((line) => line.includes('CAP_NET_ADMIN'));
    expect(complaints.some((line) => /WARN.*sudo weft up/.test(line))).toBe(true);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(await download(client, lab.url(100_000, 5))).toBe(contentSha256(100_000, 5));
    expect(await weft.stop()).toBe(0);
  });

  it('gets plain TCP when MPTCP is switched off, and is told how to switch it on', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    client.setSysctl('mptcp/enabled', 0);
    const weft = await startWeft(client);
    expect(weft.stderr).toMatch(/WARN.*sysctl -w net\.mptcp\.enabled=1/);
    expect(await download(client, lab.url(100_000, 6))).toBe(contentSha256(100_000, 6));
    expect(await weft.stop()).toBe(0);
  });
});

describe('poorer hosts', () => {
  it('one uplink: nothing is changed, the proxy runs, and the reason is said', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    lab.uplink(1).down();
    const before = hostState(client);
    const weft = await startWeft(client);
    expect(weft.stderr).toMatch(/WARN.*only one way out, wifi0.*nothing is changed on this host/);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(await download(client, lab.url(100_000, 7))).toBe(contentSha256(100_000, 7));
    expect(await weft.stop()).toBe(0);
  });

  it('no uplink, no IPv6: still a proxy, for what is on this host', async () => {
    const host = loneHost();
    host.setSysctl('ipv6/conf/lo/disable_ipv6', 1);
    const weft = await startWeft(host);
    expect(weft.stderr).toMatch(/no link has a usable address/);
    expect(weft.stderr).toMatch(/listens on 127\.0\.0\.1:13128$/m);
    const answer = await host.run([
      'curl',
      '-sS',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-x',
      PROXY,
      'http://10.9.9.9/',
    ]);
    expect(answer.stdout).toMatch(/^50[234]$/);
    expect(await weft.stop()).toBe(0);
  });
});

describe('how it starts, tells and ends', () => {
  let host: LabNode;
  beforeEach(() => {
    host = loneHost();
  });

  it('a taken port: one line with the way out, exit code 1, and nothing left', async () => {
    const holder = await startWeft(host);
    const before = runtimeFiles(host);
    const environment = { ...process.env, WEFT_RUNTIME_DIR: '/run/weft-other' };
    const { code, stderr, stdout } = await host.run(weftCommand('up'), { env: environment });
    expect(code).toBe(1);
    const lines = stderr.trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('ERROR'))).toHaveLength(1);
    expect(lines.at(-1)).toMatch(/127\.0\.0\.1:13128.*EADDRINUSE.*weft status.*--listen/);
    expect(stdout).toBe('');
    expect(readdirSync('/run/weft-other')).toEqual([]);
    expect(runtimeFiles(host)).toEqual(before);
    expect(await holder.stop()).toBe(0);
  });

  it('--json: one JSON object a line on standard output, nothing on standard error', async () => {
    const weft = await startWeft(host, ['--json', '--listen', '127.0.0.1:0']);
    expect(await weft.stop()).toBe(0);
    expect(weft.stderr).toBe('');
    const lines = weft.stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({
        level: expect.any(String),
        time: expect.any(String),
        msg: expect.any(String),
      });
    }
  });

  it('a reader of its log that goes away does no harm', async () => {
    const weft = await startWeft(host, ['--json', '--verbose']);
    weft.process.stdout?.destroy();
    weft.process.stderr?.destroy();
    for (let i = 0; i < 20; i++) {
      const answer = await host.run([
        'curl',
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-x',
        PROXY,
        'http://127.0.0.1:1/',
      ]);
      expect(answer.stdout).toMatch(/^[45]\d\d$/);
    }
    expect(await weft.stop()).toBe(0);
  });

  it('a second signal ends it at once, whatever the first one waits for', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const weft = await startPrepared(
      client,
      `
      import net from 'node:net';
      net.Server.prototype.close = function () { return this; };
    `,
    );
    weft.process.kill('SIGTERM');
    await weft.seen(/SIGTERM: stopping/);
    // What was made on the host goes first, so it is gone although the end does not come.
    while (diffSnapshots(before, hostState(client)).length > 0) await client.run(['true']);
    expect(await weft.stop('SIGINT')).toBe(1);
    expect(weft.stderr).toMatch(/second SIGINT/);
  });

  it('an end that does not come is not waited for', async () => {
    const weft = await startPrepared(
      host,
      `
      import net from 'node:net';
      net.Server.prototype.close = function () { return this; };
    `,
    );
    expect(await weft.stop()).toBe(1);
    expect(weft.stderr).toMatch(/stopping took longer than 5 s/);
  });

  it('an error that nobody foresaw is logged, and the host is left as it was', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const weft = await startPrepared(
      client,
      `
      process.on('SIGUSR2', () => { throw new Error('unforeseen'); });
    `,
    );
    expect(await weft.stop('SIGUSR2')).toBe(1);
    expect(weft.stderr).toMatch(/ERROR.*stops error=unforeseen/);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
  });

  it('mistakes in the command line: one line, the nearest match, exit code 1', async () => {
    const wrongOption = await runWeft(host, 'up', '--exlude', 'eth0');
    expect(wrongOption).toMatchObject({ code: 1, stdout: '' });
    expect(wrongOption.stderr).toMatch(/^weft: unknown option '--exlude'\n\(Did you mean --exclude\?\)/);
    const wrongVerb = await runWeft(host, 'statsu');
    expect(wrongVerb.code).toBe(1);
    expect(wrongVerb.stderr).toMatch(/unknown command 'statsu'\n\(Did you mean status\?\)/);
    const wrongAddress = await runWeft(host, 'up', '--listen', '::1:80');
    expect(wrongAddress.code).toBe(1);
    expect(wrongAddress.stderr).toMatch(/brackets: \[::1\]:13128/);
    const wrongLink = await runWeft(host, 'up', '--backup', 'no such link');
    expect(wrongLink.code).toBe(1);
    expect(wrongLink.stderr).toMatch(
      /'--backup <name>' argument 'no such link' is invalid. No link can have/,
    );
    expect((await runWeft(host, '--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('does not use a runtime folder that others can enter', async () => {
    const folder = '/run/weft-open';
    const environment = { ...process.env, WEFT_RUNTIME_DIR: folder };
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    closers.push(() => rmSync(folder, { recursive: true }));
    // With the right to change the host it needs the folder, so that a crash can be cleaned up after.
    const refused = await host.run(weftCommand('up'), { env: environment });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/ERROR.*"\/run\/weft-open" is not safe.*its permissions are 777/);
    // Without, it is a proxy that "weft status" does not find.
    const weft = new RunningWeft(
      host.spawn([...UNPRIVILEGED, ...weftCommand('up')], {
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    await weft.seen(/to stop it/);
    expect(weft.stderr).toMatch(/WARN.*"weft status" will not find this Weft/);
    expect(await weft.stop()).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });
});
