/**
 * `mptcpd` as a service: what it tells its manager, what a reload changes, and what it leaves behind, or does not,
 * when it is stopped, killed and started again.
 *
 *   client   c1  10.1.0.2/24  ─── veth ───  s1  10.1.0.1/24   server
 *            c2  10.2.0.2/24  ─── veth ───  s2  10.2.0.1/24
 *
 * The client has a default route over each, so that a subflow from either address reaches the server's first.
 * Everything is arranged and read with Debian's ip, so that Weft's own netlink code is not its own witness.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import { diffSnapshots, LabNode, takeSnapshot } from '../src/lab/index.ts';
import { listConnections } from '../src/mptcp/index.ts';
import {
  acceptFrom,
  bindSocket,
  closeFd,
  EPOLLIN,
  IPPROTO_MPTCP,
  libc,
  listenOn,
  openSocket,
  reactor,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  startConnect,
} from '../src/native/index.ts';
import { DatagramReceiver } from './support/datagram-receiver.ts';
import { Configuration, READY, spawnMptcpd, startMptcpd } from './support/mptcpd-program.ts';
import { until } from './support/up-host.ts';
import { runtimeFiles, runWeft, startWeft, UNPRIVILEGED, type RunningWeft } from './support/weft-program.ts';

const PORT = 5000;

let client: LabNode;
let server: LabNode;
let configuration: Configuration;
const closers: (() => void)[] = [];

const ip = (node: LabNode, command: string) =>
  execFileSync('ip', ['-n', node.namespace, ...command.split(' ')], { encoding: 'utf8', stdio: 'pipe' });

beforeEach(() => {
  client = new LabNode('client', 'mptcpd-client');
  server = new LabNode('server', 'mptcpd-server');
  for (const node of [client, server]) {
    for (const which of ['all', 'default']) node.setSysctl(`ipv6/conf/${which}/disable_ipv6`, 1);
  }
  for (const n of ['1', '2']) {
    ip(client, `link add c${n} type veth peer name s${n} netns ${server.namespace}`);
    for (const [node, link, host] of [
      [client, `c${n}`, '2'],
      [server, `s${n}`, '1'],
    ] as const) {
      ip(node, `addr add 10.${n}.0.${host}/24 dev ${link}`);
      ip(node, `link set ${link} up`);
      for (const which of ['all', link]) node.setSysctl(`ipv4/conf/${which}/rp_filter`, 0);
    }
    ip(client, `route add default via 10.${n}.0.1 dev c${n} metric ${n}00`);
  }
  ip(server, 'mptcp limits set subflows 8 add_addr_accepted 8');
  configuration = new Configuration('[core]\naddr-flags=subflow\nnotify-flags=existing,skip_loopback\n');
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) close();
  await Promise.all([client.close(), server.close()]);
  configuration.remove();
});

const start = (...args: string[]) => startMptcpd(client, { args, environment: configuration.environment() });

/** `10.1.0.2 id 1 subflow dev c1`, one for each endpoint. */
const endpoints = () =>
  ip(client, 'mptcp endpoint show')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort();

/** What the kernel holds for the client, and the files there, without the processes that the test runs. */
const hostState = () => [
  ...takeSnapshot({ netns: client.path }).filter((line) => !line.startsWith('process')),
  ...runtimeFiles(client),
];

const WITH_SUBFLOW = ['10.1.0.2 id 1 subflow dev c1', '10.2.0.2 id 2 subflow dev c2'];

describe('sd_notify', () => {
  const startNotified = (name: string, more: Readonly<Record<string, string>> = {}) => {
    const manager = client.inside(() => new DatagramReceiver(name));
    closers.push(() => manager.close());
    const environment = configuration.environment({ NOTIFY_SOCKET: name, ...more });
    return { manager, daemon: spawnMptcpd(client, { environment }) };
  };

  it.each(['/run/mptcpd-notify', '@mptcpd-notify'])('%s: ready, reloading, stopping', async (name) => {
    const { daemon, manager } = startNotified(name);
    await manager.seen(/READY=1/);
    // Whoever waited for it finds everything there.
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    expect(runtimeFiles(client).filter((path) => path.endsWith('.sock'))).toHaveLength(1);
    const before = process.hrtime.bigint() / 1000n;
    daemon.process.kill('SIGHUP');
    await manager.seen(/READY=1/, manager.datagrams.length);
    expect(await daemon.stop()).toBe(0);
    const [ready, reloading = '', again, ...rest] = manager.texts;
    expect(ready).toMatch(/^READY=1\nSTATUS=plugins .*addr_adv.*; connections go to addr_adv$/);
    const [, monotonicUs = '0'] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading) ?? [];
    expect(BigInt(monotonicUs)).toBeGreaterThan(before);
    expect(BigInt(monotonicUs)).toBeLessThan(process.hrtime.bigint() / 1000n);
    expect(again).toBe(ready);
    expect(rest).toEqual(['STOPPING=1\nSTATUS=stopping']);
  });

  it('the watchdog is fed, twice as often as it must be', async () => {
    const { daemon, manager } = startNotified('/run/mptcpd-notify', { WATCHDOG_USEC: '100000' });
    await manager.seen(/READY=1/);
    for (let i = 0; i < 5; i++) await manager.seen(/^WATCHDOG=1$/, manager.datagrams.length);
    expect(await daemon.stop()).toBe(0);
  });

  it('a watchdog for another process is not', async () => {
    const { daemon, manager } = startNotified('/run/mptcpd-notify', {
      WATCHDOG_USEC: '2000',
      WATCHDOG_PID: '1',
    });
    await manager.seen(/READY=1/);
    expect(await daemon.stop()).toBe(0);
    expect(manager.texts.filter((text) => text.includes('WATCHDOG'))).toEqual([]);
  });

  it('a start that fails never says that it is ready', async () => {
    const { daemon, manager } = startNotified('/run/mptcpd-notify');
    await manager.seen(/READY=1/);
    const second = spawnMptcpd(client, {
      environment: configuration.environment({ NOTIFY_SOCKET: '/run/mptcpd-notify' }),
    });
    expect(await second.ended).toBe(1);
    expect(manager.texts.filter((text) => text.includes('READY'))).toHaveLength(1);
    expect(await daemon.stop()).toBe(0);
  });

  it('no manager there: it says so and works', async () => {
    const environment = configuration.environment({ NOTIFY_SOCKET: '/run/nobody' });
    const daemon = await startMptcpd(client, { environment });
    await daemon.seen(/the service manager cannot be told: No such file or directory/);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('as its unit runs it', () => {
  const ONE_RIGHT = [
    '--bounding-set=-all,+net_admin',
    '--inh-caps=-all,+net_admin',
    '--ambient-caps=-all,+net_admin',
  ];
  const USER = 4711;

  it('a user of its own with CAP_NET_ADMIN and a folder behind a link: it works, and root can ask it', async () => {
    mkdirSync('/run/private/mptcpd', { recursive: true, mode: 0o700 });
    symlinkSync('private/mptcpd', '/run/mptcpd');
    closers.push(() => {
      rmSync('/run/mptcpd');
      rmSync('/run/private', { recursive: true });
    });
    const identity: string[] = [];
    try {
      chmodSync('/run/private', 0o755);
      chownSync('/run/private/mptcpd', USER, USER);
      identity.push(`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups');
    } catch {
      // Inside a user namespace of one user there is no other to be; the rights are those all the same.
    }
    // The configuration is root's, as /etc/mptcpd is.
    chmodSync(configuration.folder, 0o755);
    const daemon = await startMptcpd(client, {
      environment: configuration.environment({ RUNTIME_DIRECTORY: '/run/mptcpd' }),
      prefix: ['setpriv', ...identity, ...ONE_RIGHT, '--no-new-privs', '--'],
    });
    expect(daemon.stderr).toMatch(/^mptcpd is ready/);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    expect(
      readdirSync('/run/private/mptcpd').filter((name) => /^mptcpd-\d+\.(lock|json|sock)$/.test(name)),
    ).toHaveLength(3);
    const asked = await runWeft(client, 'daemon', 'status', '--json');
    expect(asked.code, asked.stderr).toBe(0);
    expect(JSON.parse(asked.stdout)).toMatchObject({ pid: daemon.process.pid, defaultPlugin: 'addr_adv' });
    expect(await daemon.stop()).toBe(0);
    expect(readdirSync('/run/private/mptcpd')).toEqual([]);
    expect(endpoints()).toEqual([]);
  });
});

describe('SIGHUP', () => {
  it('changes endpoints that are there, and says what changed', async () => {
    const daemon = await start();
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    configuration.write(
      '[core]\naddr-flags=subflow\nnotify-flags=existing,skip_loopback\n[interface c2]\nflags=subflow,backup\n',
    );
    daemon.process.kill('SIGHUP');
    await daemon.seen(/configuration: rules for interfaces changed/);
    await until(() => endpoints()[1] === '10.2.0.2 id 2 subflow backup dev c2', 'c2 is backup');
    expect(endpoints()[0]).toBe('10.1.0.2 id 1 subflow dev c1');
    configuration.write(
      '[core]\naddr-flags=signal\nnotify-flags=existing,skip_loopback\n[interface c2]\nuse=no\n',
    );
    daemon.process.kill('SIGHUP');
    await daemon.seen(/configuration: addr-flags: subflow → signal/);
    await until(() => endpoints().length === 1, 'c2 is not used');
    expect(endpoints()).toEqual([expect.stringMatching(/^10\.1\.0\.2 id \d+ signal dev c1$/)]);
    expect(await daemon.stop()).toBe(0);
  });

  it('keeps what it had when the file is wrong, and says what is wrong', async () => {
    const daemon = await start();
    const good = '[core]\naddr-flags=subflow\nnotify-flags=existing,skip_loopback\n';
    configuration.write(`${good}log = stdout\n`);
    daemon.process.kill('SIGHUP');
    await daemon.seen(/line 4: log: unknown log destination "stdout".*\nthe configuration stays as it was\n/);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    configuration.remove();
    daemon.process.kill('SIGHUP');
    await daemon.seen(/cannot be read: there is no such file\nthe configuration stays as it was\n/);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    mkdirSync(configuration.folder);
    configuration.write(good);
    daemon.process.kill('SIGHUP');
    await daemon.seen(/configuration: nothing changed/);
    expect(await daemon.stop()).toBe(0);
  });

  it('tells what has to wait for a restart', async () => {
    const daemon = await start();
    configuration.write(
      '[core]\naddr-flags=subflow\nnotify-flags=existing,skip_loopback\nload-plugins=sspi\n',
    );
    daemon.process.kill('SIGHUP');
    await daemon.seen(/configuration: load-plugins: not set → sspi, from the next start on/);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    expect(await daemon.stop()).toBe(0);
  });

  it('does not undo what the command line said', async () => {
    const daemon = await start('--addr-flags=signal');
    expect(endpoints()[0]).toMatch(/ signal dev c1$/);
    configuration.write('[core]\naddr-flags=backup\nnotify-flags=existing,skip_loopback\n');
    daemon.process.kill('SIGHUP');
    await daemon.seen(/configuration: nothing changed/);
    expect(endpoints()[0]).toMatch(/ signal dev c1$/);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('what it leaves', () => {
  it('--addr-flags= takes away the flags of the file', async () => {
    const daemon = await start('--addr-flags=');
    expect(endpoints()).toEqual(['10.1.0.2 id 1 dev c1', '10.2.0.2 id 2 dev c2']);
    expect(await daemon.stop()).toBe(0);
  });

  it('nothing, after 100 starts and stops', async () => {
    ip(client, 'mptcp endpoint add 192.0.2.1 id 200 signal');
    const before = hostState();
    for (let i = 0; i < 100; i++) {
      const daemon = await start();
      if (i === 0) expect(endpoints()).toHaveLength(3);
      expect(await daemon.stop(i % 2 === 0 ? 'SIGTERM' : 'SIGINT')).toBe(0);
    }
    expect(diffSnapshots(before, hostState())).toEqual([]);
    expect(client.processIds).toEqual([]);
  }, 120_000);

  it('its endpoints, where at-exit = keep says so; the next one takes them as its own', async () => {
    const text = '[core]\naddr-flags=subflow\nnotify-flags=existing,skip_loopback\n';
    const before = hostState();
    configuration.write(`${text}at-exit = keep\n`);
    expect(await (await start()).stop()).toBe(0);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    configuration.write(text);
    expect(await (await start()).stop()).toBe(0);
    expect(diffSnapshots(before, hostState())).toEqual([]);
  });

  it('nothing beside "weft up", which has its own record', async () => {
    const before = hostState();
    const up: RunningWeft = await startWeft(client);
    const withUp = hostState();
    const daemon = await start();
    expect(await daemon.stop()).toBe(0);
    expect(diffSnapshots(withUp, hostState())).toEqual([]);
    const again = await start();
    expect(await up.stop()).toBe(0);
    // The addresses are the daemon's to take care of now.
    await until(() => endpoints().length === 2, 'endpoints of the daemon');
    expect(await again.stop()).toBe(0);
    // Limits that one raised over the other's are not traced back to what was before both.
    const changed = diffSnapshots(before, hostState()).filter((line) => !line.includes(' limits '));
    expect(changed).toEqual([]);
  });

  it('nothing of an earlier user’s, when it may not change anything', async () => {
    const before = hostState();
    const daemon = await startMptcpd(client, {
      environment: configuration.environment({ WEFT_RUNTIME_DIR: join(configuration.folder, 'run') }),
      prefix: UNPRIVILEGED,
    });
    expect(await daemon.stop()).toBe(0);
    expect(diffSnapshots(before, hostState())).toEqual([]);
  });
});

describe('kill -9', () => {
  /** Accepts everything, and sends a byte: that is what makes a connection fully established. */
  function listen(): { readonly accepted: number[] } {
    const fd = server.inside(() => openSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP));
    bindSocket(fd, { address: '10.1.0.1', port: PORT });
    listenOn(fd, 4096);
    const accepted: number[] = [];
    const watch = reactor.watch(fd, EPOLLIN, () => {
      for (let next = acceptFrom(fd); next !== undefined; next = acceptFrom(fd)) {
        accepted.push(next);
        libc.send(next, Buffer.from('x'), 1, 0);
      }
    });
    closers.push(() => {
      watch.close();
      for (const socket of [fd, ...accepted]) closeFd(socket);
    });
    return { accepted };
  }

  function connect(): void {
    const fd = client.inside(() => openSocket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_MPTCP));
    closers.push(() => closeFd(fd));
    startConnect(fd, { address: '10.1.0.1', port: PORT });
  }

  /** Subflows that are established, of all connections. */
  const subflows = () =>
    listConnections({ netns: client.path })
      .flatMap((connection) => connection.subflows)
      .filter(({ state }) => state === 'established').length;

  const counter = (name: string) => {
    const text = client.inside(() => execFileSync('cat', ['/proc/self/net/netstat'], { encoding: 'utf8' }));
    const [names = [], values = []] = text
      .split('\n')
      .filter((line) => line.startsWith('MPTcpExt:'))
      .map((line) => line.split(' '));
    return Number(values[names.indexOf(name)]);
  };

  it('in the middle of 1,000 connections: the next one has the same endpoints, and closes no subflow', async () => {
    const before = hostState();
    const { accepted } = listen();
    const first = await start();
    for (let i = 0; i < 1000; i++) {
      connect();
      if (i === 500) first.process.kill('SIGKILL');
    }
    await first.ended;
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    await until(() => accepted.length === 1000, 'all are accepted');
    await until(() => subflows() === 2000, 'each has its second subflow');
    const second = await start();
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    expect(subflows()).toBe(2000);
    expect(counter('RmSubflow')).toBe(0);
    expect(counter('RmAddrTx')).toBe(0);
    expect(await second.stop()).toBe(0);
    expect(endpoints()).toEqual([]);
    for (const close of closers.splice(0).reverse()) close();
    expect(diffSnapshots(before, hostState())).toEqual([]);
  });

  it('and an address that has gone meanwhile: the next one removes what is not wanted any more', async () => {
    const first = await start();
    await first.stop('SIGKILL');
    ip(client, 'addr del 10.2.0.2/24 dev c2');
    ip(client, 'addr add 10.2.0.3/24 dev c2');
    const second = await start();
    await until(() => endpoints().length === 2 && endpoints()[1]!.startsWith('10.2.0.3 '), 'the new address');
    expect(endpoints()[0]).toBe(WITH_SUBFLOW[0]);
    expect(await second.stop()).toBe(0);
    expect(endpoints()).toEqual([]);
  });

  it('a record that cannot be read is told, and nothing of others is touched', async () => {
    const first = await start();
    await first.stop('SIGKILL');
    const record = runtimeFiles(client).find((path) => path.endsWith('.json'));
    expect(record).toBeDefined();
    writeFileSync(record!, '{');
    const second = await start();
    expect(second.stderr).toMatch(/cannot be read as a record of endpoints/);
    expect(second.stderr).toMatch(READY);
    expect(endpoints()).toEqual(WITH_SUBFLOW);
    expect(await second.stop()).toBe(0);
    // They count as somebody else's now.
    expect(endpoints()).toEqual(WITH_SUBFLOW);
  });
});
