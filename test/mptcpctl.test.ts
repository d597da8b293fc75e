/**
 * `mptcpctl` with the kernel's own MPTCP: every command, what each says, and that each tells the truth when it ends.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { readFileSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { diffSnapshots, LabNode } from '../src/lab/index.ts';
import { readProcessIdentity } from '../src/native/index.ts';
import type { StatusReport } from '../src/service/index.ts';
import { endBackground, mptcpctlCommand, pidIn, recordIn, runMptcpctl } from './support/background.ts';
import { hostState, useTestLabs } from './support/test-labs.ts';
import { eventually } from './support/tunnel-lab.ts';
import { RunningWeft, runtimeFiles, runWeft, weftCommand } from './support/weft-program.ts';

const { buildLab, closers, loneHost } = useTestLabs('mptcpctl', { endHost: endBackground });

const linesOf = (text: string) => text.trimEnd().split('\n');

/** As in mptcp-virtual's README, with the variable before the command. */
const curlThroughProxy = (node: LabNode, url: string, ...args: string[]) =>
  node.spawn(['env', 'http_proxy=127.0.0.1:13128', 'curl', '-sS', '--max-time', '50', ...args, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

function startMonitor(node: LabNode, ...options: string[]): RunningWeft {
  return new RunningWeft(
    node.spawn(mptcpctlCommand('monitor', ...options), { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
}

describe('start, status, stop', () => {
  it('says what it does with every link, is used over both, and leaves the host as it was', async () => {
    const lab = await buildLab({ rateBps: 20e6, delayMs: 2 });
    const client = lab.node('client');
    const before = hostState(client);
    const start = await runMptcpctl(client, 'start');
    expect(start).toMatchObject({ code: 0, stderr: '' });
    expect(linesOf(start.stdout)).toEqual([
      '[global] not yet running! -> warming up',
      '[global] Waiting for the proxy to start',
      '[global] backend native: the kernel of this host speaks MPTCP',
      '[wifi0] is mapped to itself',
      '[wifi0] is active -> using 10.1.0.2, 2001:db8:1::2',
      '[wifi0] is the current default interface',
      '[lte0] is mapped to itself',
      '[lte0] is active -> using 10.2.0.2, 2001:db8:2::2',
      '[global] Proxy is alive -> http_proxy=http://127.0.0.1:13128',
    ]);
    // While a download runs, MPTCP is seen end to end, on that very connection.
    const curl = curlThroughProxy(client, lab.url(400_000_000), '-o', '/dev/null');
    const seen = await eventually('a connection over both paths', async () => {
      const { stdout } = await runMptcpctl(client, 'status', '--json');
      const { alive, status } = JSON.parse(stdout) as { alive: boolean; status: StatusReport };
      return status.multipath.endToEnd.severalPaths === 1 && { alive, status };
    });
    expect(seen.alive).toBe(true);
    expect(seen.status.multipath).toMatchObject({ inUse: true, endToEnd: { connections: 1, mptcp: 1 } });
    const during = await runMptcpctl(client, 'status');
    expect(during).toMatchObject({ code: 0, stderr: '' });
    expect(linesOf(during.stdout)).toEqual(
      expect.arrayContaining([
        '[global] Virtual machine is not running, and not needed (backend native)',
        '[global] Proxy is alive (127.0.0.1:13128, [::1]:13128)',
        '[wifi0] is the current default interface',
        '[global] MPTCP end to end: 1 of 1 connection, 1 over several paths',
      ]),
    );
    curl.kill();
    const stop = await runMptcpctl(client, 'stop');
    expect(stop).toMatchObject({ code: 0, stderr: '' });
    expect(linesOf(stop.stdout)).toEqual([
      '[wifi0] -> cleaning up',
      '[lte0] -> cleaning up',
      '[global] stopping the proxy',
      '[global] this machine is as it was',
    ]);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(runtimeFiles(client)).toEqual([]);
  });

  it('twice each, and stop after a crash: all end well', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    expect((await runMptcpctl(client, 'stop')).code).toBe(0);
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const pid = pidIn(client);
    const again = await runMptcpctl(client, 'start');
    expect(again.code).toBe(0);
    expect(linesOf(again.stdout)[0]).toBe(`[global] already running (process ${pid})`);
    process.kill(pid, 'SIGKILL');
    await eventually('the end', async () => (await runMptcpctl(client, 'status')).code === 1);
    expect(diffSnapshots(before, hostState(client))).not.toEqual([]);
    const stop = await runMptcpctl(client, 'stop');
    expect(stop.code).toBe(0);
    expect(stop.stdout).toMatch(
      /^\[global\] not running\n\[global\] -> cleaning up after a crash: .*4 endpoints/,
    );
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(linesOf((await runMptcpctl(client, 'stop')).stdout)).toEqual([
      '[global] not running',
      '[global] this machine is as it was',
    ]);
  });

  it('start takes the options of "weft up", and stands by them', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const start = await runMptcpctl(client, 'start', '--backup', 'lte0', '--listen', '127.0.0.1:4000');
    expect(start.code).toBe(0);
    expect(start.stdout).toMatch(/^\[lte0\] is active -> using .*, as a backup$/m);
    expect(start.stdout).toMatch(/http_proxy=http:\/\/127\.0\.0\.1:4000$/m);
    const other = await runMptcpctl(client, 'start');
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/^\[global\] Weft is already running here .*with --backup lte0/);
    const wrong = await runMptcpctl(client, 'start', '--bakup', 'lte0');
    expect(wrong).toMatchObject({ code: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^\[global\] unknown option '--bakup'/);
  });

  it('start --background is start', async () => {
    const host = loneHost();
    const start = await runMptcpctl(host, 'start', '--background');
    expect(start).toMatchObject({ code: 0, stderr: '' });
    expect((await runMptcpctl(host, 'start')).stdout).toMatch(/^\[global\] already running/);
  });

  it('stop ends one whose answers make no sense', async () => {
    const host = loneHost();
    expect((await runMptcpctl(host, 'start')).code).toBe(0);
    const pid = pidIn(host);
    const socket = runtimeFiles(host).find((file) => file.endsWith('.sock'))!;
    unlinkSync(socket);
    const nonsense = createServer((_request, response) => response.end('what?'));
    closers.push(() => void nonsense.close());
    await new Promise<void>((resolve) => {
      nonsense.listen(socket, resolve);
    });
    expect((await runMptcpctl(host, 'status')).code).toBe(1);
    expect(await runMptcpctl(host, 'stop')).toMatchObject({ code: 0, stderr: '' });
    expect(readProcessIdentity(pid)).toBeUndefined();
  });

  it('start that is stopped meanwhile says so', async () => {
    const host = loneHost();
    const start = runMptcpctl(host, 'start', '--json');
    await eventually('a process', () => recordIn(host)?.pid);
    await runMptcpctl(host, 'stop');
    const { code, stdout } = await start;
    // The stop may have come when it was ready.
    if (code === 0) return;
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: expect.any(String) });
    expect(stdout).not.toContain('exit code 0');
  });

  it('what cannot be written is told in a line, and by the exit code', async () => {
    const host = loneHost();
    expect((await runMptcpctl(host, 'start')).code).toBe(0);
    for (const command of [
      mptcpctlCommand('stop'),
      mptcpctlCommand('stop', '--json'),
      weftCommand('down', '--json'),
    ]) {
      const { code, stderr } = await host.run(['sh', '-c', 'exec "$@" > /dev/full', 'sh', ...command]);
      expect(code).toBe(1);
      expect(linesOf(stderr)).toEqual([expect.stringMatching(/no space left on device/)]);
      // It was done all the same.
      expect(runtimeFiles(host)).toEqual([]);
    }
  });

  it('one of another user is told from none', async () => {
    const host = loneHost();
    expect((await runMptcpctl(host, 'start')).code).toBe(0);
    const other = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const ask = (...args: string[]) => host.run([...other, ...mptcpctlCommand(...args)]);
    expect(await ask('status')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/run by another user/),
    });
    for (const command of ['update', 'monitor'])
      expect(await ask(command), command).toMatchObject({
        code: 1,
        stdout: `[global] run by another user -> sudo mptcpctl ${command}\n`,
      });
  });

  it('exit codes tell when it does not run, or cannot', async () => {
    const host = loneHost();
    const status = await runMptcpctl(host, 'status');
    expect(status).toMatchObject({
      code: 1,
      stdout: '[global] Virtual machine is not running\n[global] Proxy is dead\n',
    });
    for (const command of ['update', 'monitor'])
      expect(await runMptcpctl(host, command)).toMatchObject({
        code: 1,
        stdout: '[global] not running -> no update possible\n',
      });
    const taken = await runWeft(host, 'up', '--background');
    expect(taken.code).toBe(0);
    const env = { ...process.env, WEFT_RUNTIME_DIR: '/run/weft-mptcpctl' };
    const start = await host.run(mptcpctlCommand('start', '--json'), { env });
    expect(start.code).toBe(1);
    expect(JSON.parse(start.stdout)).toMatchObject({
      command: 'start',
      ok: false,
      error: expect.any(String),
    });
    expect(start.stderr).toMatch(/EADDRINUSE/);
  });

  it('says that the proxy is dead when it is, whatever the process does', async () => {
    const host = loneHost();
    expect((await runMptcpctl(host, 'start')).code).toBe(0);
    // It runs, and nobody reaches it.
    expect((await host.run(['ip', 'link', 'set', 'lo', 'down'])).code).toBe(0);
    const status = await runMptcpctl(host, 'status');
    expect(status.code).toBe(1);
    expect(status.stdout).toMatch(/^\[global\] Proxy is dead$/m);
  });

  it('--json: one object with everything that is said', async () => {
    const host = loneHost();
    for (const command of ['start', 'update', 'update-ifaces', 'status', 'stop']) {
      const { code, stdout } = await runMptcpctl(host, command, '--json');
      expect(code, command).toBe(0);
      expect(JSON.parse(stdout), command).toMatchObject({ command, ok: true, messages: expect.any(Array) });
      expect(linesOf(stdout), command).toHaveLength(1);
    }
  });
});

describe('mobility', () => {
  it('monitor prints what changes, until Ctrl-C', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const monitor = startMonitor(client);
    await monitor.seen(/monitoring the links/);
    lab.uplink(1).down();
    await monitor.seen(/^\[lte0\] is now down and was used -> cleanup$/m);
    expect(monitor.stdout).toMatch(/^\[global\] route changes might have occurred -> check$/m);
    lab.uplink(1).up();
    await monitor.seen(/^\[lte0\] is now up and thus can be used -> setting up .*10\.2\.0\.2/m);
    lab.uplink(0).down();
    await monitor.seen(/^\[wifi0\] is now down and was used -> cleanup$/m);
    await monitor.seen(/^\[global\] setting up new default route via lte0 10\.2\.0\.1$/m);
    expect(await monitor.stop('SIGINT')).toBe(0);
    expect(monitor.stderr).toBe('');
  });

  it('monitor ends with the Weft that it follows, and tells a crash from a stop', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const stopped = startMonitor(client);
    await stopped.seen(/monitoring/);
    expect((await runMptcpctl(client, 'stop')).code).toBe(0);
    expect(await stopped.ended).toBe(0);
    expect(stopped.stdout).toMatch(/\[global\] the proxy was stopped/);
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const crashed = startMonitor(client, '--json');
    await crashed.seen(/monitoring/);
    process.kill(pidIn(client), 'SIGKILL');
    expect(await crashed.ended).toBe(1);
    const last = JSON.parse(
      linesOf(crashed.stdout).findLast((line) => line.includes('crashed')) ?? '{}',
    ) as unknown;
    expect(last).toMatchObject({
      messages: [{ about: 'global', text: expect.stringMatching(/has crashed/) }],
    });
  });

  it('update looks once, and says so when there is nothing', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const nothing = await runMptcpctl(client, 'update');
    expect(nothing.code).toBe(0);
    expect(linesOf(nothing.stdout)).toEqual([
      '[global] route changes might have occurred -> check',
      '[global] no changes detected',
    ]);
  });

  it('update-ifaces lists the links that are taken, with and without a running one', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const idle = await runMptcpctl(client, 'update-ifaces');
    expect(idle.code).toBe(0);
    expect(idle.stdout).toMatch(/^\[wifi0\] is active -> using 10\.1\.0\.2/m);
    expect(idle.stdout).toMatch(/^\[lte0\] is active -> using 10\.2\.0\.2/m);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect((await runMptcpctl(client, 'start')).code).toBe(0);
    const running = await runMptcpctl(client, 'update-ifaces');
    expect(running.stdout).toMatch(/^\[wifi0\] is mapped to itself$/m);
  });
});

it('the page about it has its help as it is printed', async () => {
  const host = loneHost();
  const { stdout } = await runMptcpctl(host, '--help');
  const page = readFileSync(fileURLToPath(new URL('../docs/mptcpctl.md', import.meta.url)), 'utf8');
  expect(page).toContain(stdout.trimEnd());
});
