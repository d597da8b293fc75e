/**
 * `weft up --background` and `weft down`: what they start and stop, say and leave, however often and after whatever.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { contentSha256, diffSnapshots } from '../src/lab/index.ts';
import { readProcessIdentity } from '../src/native/index.ts';
import { endBackground, pidIn, recordIn } from './support/background.ts';
import { download } from './support/download.ts';
import { hostState, useTestLabs } from './support/test-labs.ts';
import { eventually } from './support/tunnel-lab.ts';
import { RunningWeft, runtimeFiles, runWeft, startWeft, weftCommand } from './support/weft-program.ts';

const { buildLab, loneHost } = useTestLabs('background', { endHost: endBackground });

const kill = (pid: number) =>
  eventually(`the end of process ${pid}`, () => {
    const runs = readProcessIdentity(pid) !== undefined;
    if (runs) process.kill(pid, 'SIGKILL');
    return !runs || undefined;
  });

describe('weft up --background', () => {
  it('returns when Weft is ready; weft down leaves the host as it was', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const up = await runWeft(client, 'up', '--background');
    expect(up).toMatchObject({ code: 0, stderr: '' });
    expect(up.stdout).toMatch(
      /^Weft runs in the background, process \d+; its log is \/run\/weft\/up-\d+\.log\.\n/,
    );
    expect(up.stdout).toMatch(/the proxy listens on 127\.0\.0\.1:13128 and \[::1\]:13128/);
    expect(up.stdout).toMatch(/to stop it: weft down$/m);
    // Ready means ready: nothing has to be waited for.
    expect(await download(client, lab.url(1_000_000, 3))).toBe(contentSha256(1_000_000, 3));
    expect(diffSnapshots(before, hostState(client))).not.toEqual([]);
    const { log = '', pid } = recordIn(client)!;
    expect(statSync(log).mode & 0o777).toBe(0o600);
    expect(readFileSync(log, 'utf8')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO: Weft /);
    expect(readFileSync(log, 'utf8')).toMatch(/backend native: the kernel of this host speaks MPTCP/);
    const down = await runWeft(client, 'down');
    expect(down).toMatchObject({
      code: 0,
      stdout: 'Weft has stopped; this machine is as it was.\n',
      stderr: '',
    });
    expect(readProcessIdentity(pid)).toBeUndefined();
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(runtimeFiles(client)).toEqual([]);
  });

  it('lives in a session of its own, without the folder and the terminal of who started it', async () => {
    const host = loneHost();
    expect((await runWeft(host, 'up', '--background')).code).toBe(0);
    const pid = pidIn(host);
    const [, , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    expect(Number(session)).toBe(pid);
    const root = statSync('/');
    expect(statSync(`/proc/${pid}/cwd`).ino).toBe(root.ino);
  });

  it('twice is once; with other options it is a mistake', async () => {
    const host = loneHost();
    expect((await runWeft(host, 'up', '--background', '--exclude', 'eth9')).code).toBe(0);
    const pid = pidIn(host);
    const again = await runWeft(host, 'up', '--exclude', 'eth9', '--background', '--json');
    expect(again.code).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({ started: false, alreadyRunning: true, pid });
    const other = await runWeft(host, 'up', '--background', '--no-multipath');
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(
      new RegExp(`already running here \\(process ${pid}\\), with --exclude eth9 — "weft down" stops it`),
    );
    expect(pidIn(host)).toBe(pid);
  });

  it('two at the same time: one starts, and both are told of it', async () => {
    const host = loneHost();
    const both = await Promise.all([1, 2, 3].map(() => runWeft(host, 'up', '--background', '--json')));
    expect(both.map(({ code }) => code)).toEqual([0, 0, 0]);
    const reports = both.map(({ stdout }) => JSON.parse(stdout) as { pid: number; started: boolean });
    expect(new Set(reports.map(({ pid }) => pid))).toEqual(new Set([pidIn(host)]));
    expect(reports.filter(({ started }) => started)).toHaveLength(1);
  });

  it('a start that fails says why, and leaves nothing', async () => {
    const host = loneHost();
    const holder = new RunningWeft(
      host.spawn(weftCommand('up'), {
        env: { ...process.env, WEFT_RUNTIME_DIR: '/run/weft-holder' },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    await holder.seen(/to stop it/);
    const { code, stderr, stdout } = await runWeft(host, 'up', '--background');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^weft: listen on 127\.0\.0\.1:13128: .*EADDRINUSE.*--listen/);
    expect(stdout).toBe('');
    expect(recordIn(host)).toBeUndefined();
    expect(runtimeFiles(host).filter((file) => !file.endsWith('.log'))).toEqual([]);
    expect(await holder.stop()).toBe(0);
    expect((await runWeft(host, 'up', '--background', '--backend', 'applience')).stderr).toMatch(
      /did you mean "appliance"/,
    );
  });

  it('a backend that cannot be had says what is missing', async () => {
    const host = loneHost();
    const env = {
      ...process.env,
      PATH: '/nowhere',
      XDG_DATA_HOME: '/nowhere',
      WEFT_APPLIANCE_DIR: '/nowhere',
    };
    const { code, stderr } = await host.run(weftCommand('up', '--background', '--backend', 'appliance'), {
      env,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/the appliance cannot be started: there is no QEMU.*install QEMU/);
    expect(recordIn(host)).toBeUndefined();
  });

  it('one that is given up with Ctrl-C while it starts is undone', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    // It never gets ready, because the proxy's end of the start never comes.
    const never = `
      import net from 'node:net';
      if (process.env.WEFT_BACKGROUND_LOG !== undefined) {
        net.Server.prototype.listen = function () { return this; };
        setInterval(() => {}, 1000);
      }`;
    const [program = '', ...args] = weftCommand('up', '--background');
    const starting = new RunningWeft(
      client.spawn([program, '--import', `data:text/javascript,${encodeURIComponent(never)}`, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    const pid = await eventually('a record', () => recordIn(client)?.pid);
    expect(await starting.stop('SIGINT')).toBe(130);
    expect(starting.stderr).toMatch(/the start was given up, and undone/);
    expect(readProcessIdentity(pid)).toBeUndefined();
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
  });
});

describe('weft down', () => {
  it('twice, and without anything to stop, ends well', async () => {
    const host = loneHost();
    const expected = { code: 0, stdout: 'Weft was not running here.\n', stderr: '' };
    expect(await runWeft(host, 'down')).toMatchObject(expected);
    expect((await runWeft(host, 'up', '--background')).code).toBe(0);
    expect((await runWeft(host, 'down')).code).toBe(0);
    expect(await runWeft(host, 'down')).toMatchObject(expected);
    const json = await runWeft(host, 'down', '--json');
    expect(JSON.parse(json.stdout)).toEqual({ outcome: 'not-running', removed: [], failures: [] });
  });

  it('stops one in the foreground too', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    const weft = await startWeft(client);
    expect((await runWeft(client, 'down')).code).toBe(0);
    expect(await weft.ended).toBe(0);
    expect(weft.stderr).toMatch(/asked to stop: stopping[^]*stopped; this machine is as it was/);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
  });

  it('undoes what a killed one has left', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    expect((await runWeft(client, 'up', '--background')).code).toBe(0);
    await kill(pidIn(client));
    expect(diffSnapshots(before, hostState(client))).not.toEqual([]);
    const down = await runWeft(client, 'down');
    expect(down.code).toBe(0);
    expect(down.stdout).toMatch(
      /not running here\. Removed what a killed one had left: .*4 endpoints.*rules and routes/,
    );
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    // Its log stays, because it may say why.
    expect(runtimeFiles(client).every((file) => file.endsWith('.log'))).toBe(true);
  });

  it('after a kill a start takes over, and its stop leaves nothing', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = hostState(client);
    expect((await runWeft(client, 'up', '--background')).code).toBe(0);
    await kill(pidIn(client));
    expect((await runWeft(client, 'up', '--background')).code).toBe(0);
    expect(await download(client, lab.url(100_000, 5))).toBe(contentSha256(100_000, 5));
    expect((await runWeft(client, 'down')).code).toBe(0);
    expect(diffSnapshots(before, hostState(client))).toEqual([]);
    expect(runtimeFiles(client)).toEqual([]);
  });

  it('ends one that does not answer', async () => {
    const host = loneHost();
    expect((await runWeft(host, 'up', '--background')).code).toBe(0);
    const pid = pidIn(host);
    // The socket is gone: nobody can be asked, and the record tells whom to signal.
    const socket = runtimeFiles(host).find((file) => file.endsWith('.sock'))!;
    unlinkSync(socket);
    const down = await runWeft(host, 'down');
    expect(down).toMatchObject({ code: 0, stderr: '' });
    expect(readProcessIdentity(pid)).toBeUndefined();
    expect(existsSync(socket)).toBe(false);
  });

  it('never takes a stranger for the Weft whose number it has', async () => {
    const host = loneHost();
    expect((await runWeft(host, 'up', '--background')).code).toBe(0);
    const record = recordIn(host)!;
    await kill(record.pid);
    const stranger = host.spawn(['sleep', '1000']);
    const path = runtimeFiles(host).find((file) => /\/up-\d+\.json$/.test(file))!;
    writeFileSync(path, `${JSON.stringify({ version: 1, ...record, pid: stranger.pid })}\n`);
    expect((await runWeft(host, 'down')).code).toBe(0);
    expect(stranger.exitCode).toBeNull();
    expect(readProcessIdentity(stranger.pid!)).toBeDefined();
  });
});
