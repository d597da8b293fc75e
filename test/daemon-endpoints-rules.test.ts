/**
 * Rules per interface, and what a user changes while the daemon runs, with live connections. Connections run between
 * the hosts of support/two-hosts.ts.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger, unmapV4 } from '../src/base/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import {
  createServer,
  EndpointFlag,
  listConnections,
  MptcpSocket,
  readCounters,
  type MptcpServer,
} from '../src/mptcp/index.ts';
import { OWNS_NOTHING, PathDaemon } from '../src/pathmanager/index.ts';
import { DaemonHost, NOTIFY } from './support/daemon-host.ts';
import { makeTwoHosts, type TwoHosts } from './support/two-hosts.ts';
import { until } from './support/up-host.ts';

const { backup, signal, subflow } = EndpointFlag;

describe('rules', () => {
  let host: DaemonHost;

  beforeEach(() => {
    host = new DaemonHost('wdu-');
  });
  afterEach(() => host.close());

  /** `10.1.0.2 subflow backup`, sorted. */
  const flags = () =>
    host
      .endpoints()
      .map((line) => line.replace(/ id \d+/, '').replace(/ dev \S+/, ''))
      .sort();

  it('backup that was set for a link stays with it when it is renamed, and is not for another of its name', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    const daemon = await host.run({});
    await daemon.setInterface('c1', { backup: true });
    expect(flags()).toEqual(['10.1.0.2 subflow backup', '10.2.0.2 subflow']);
    for (const [from, to] of [
      ['c1', 'c9'],
      ['c2', 'c1'],
    ]) {
      host.ip(`link set ${from} down`);
      host.ip(`link set ${from} name ${to}`);
      host.ip(`link set ${to} up`);
    }
    await host.placed('c1 10.2.0.2', 'c9 10.1.0.2');
    expect(flags()).toEqual(['10.1.0.2 subflow backup', '10.2.0.2 subflow']);
  });

  it('allow and deny by name and kind', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    host.ip('link add docker0 type bridge');
    host.ip('link set docker0 up');
    host.ip('link set c1 master docker0');
    host.ip('addr add 172.17.0.1/16 dev docker0');
    const seen: string[] = [];
    await host.run({
      rules: [
        { kind: 'bridge', use: false },
        { interface: 'c1', use: false },
      ],
      loadPlugins: ['addr_adv'],
      plugins: [
        {
          name: 'witness',
          init: (context) =>
            context.register({
              newInterface: (event) => void seen.push(event.interface.name),
              newLocalAddress: (event) => void seen.push(event.address.address),
            }),
        },
      ],
    });
    await host.caughtUp();
    expect(host.places()).toEqual(['c2 10.2.0.2']);
    // Plugins do not hear of what is denied.
    expect(seen.filter((text) => !text.startsWith('mark') && !text.startsWith('10.255.'))).toEqual([
      '10.2.0.2',
    ]);
    expect(host.verdict('172.17.0.1')).toBe('skipped because of the rule [kind bridge]');
  });

  it('a list of what is allowed', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    await host.run({
      rules: [
        { interface: 'c[2-9]', use: true },
        { interface: '*', use: false },
      ],
    });
    expect(host.places()).toEqual(['c2 10.2.0.2']);
    host.ip('link set c1 down');
    host.ip('link set c1 name c7');
    host.ip('link set c7 up');
    await host.placed('c2 10.2.0.2', 'c7 10.1.0.2');
  });

  it('flags per interface and per family', async () => {
    host.addUplink(1);
    host.addUplink(2);
    await host.run({
      rules: [
        { interface: 'c1', flags: subflow | backup, flags6: signal },
        { interface: 'c*', flags4: subflow | signal },
      ],
    });
    expect(flags()).toEqual([
      '10.1.0.2 subflow backup',
      '10.2.0.2 signal subflow',
      '2001:db8:1::2 signal',
      '2001:db8:2::2 subflow',
    ]);
  });

  it('by the metric of the default route', async () => {
    host.addUplink(1, { v6: false, metric: 100 });
    host.addUplink(2, { v6: false, metric: 700 });
    await host.run({ rules: [{ metric: { is: '>', value: 600 }, flags: subflow | backup }] });
    expect(flags()).toEqual(['10.1.0.2 subflow', '10.2.0.2 subflow backup']);
    const id = host.idOf('10.2.0.2');
    host.ip('route add default via 10.2.0.1 dev c2 metric 50');
    await until(() => flags()[1] === '10.2.0.2 subflow', 'no backup any more');
    expect(host.idOf('10.2.0.2')).toBe(id);
  });

  it('a reload changes flags in place where the kernel can, and else makes the endpoint anew', async () => {
    host.addUplink(1, { v6: false });
    await host.run();
    const id = host.idOf('10.1.0.2');
    await host.daemon.reload(host.options({ addressFlags: subflow | backup }));
    expect(flags()).toEqual(['10.1.0.2 subflow backup']);
    expect(host.idOf('10.1.0.2')).toBe(id);
    await host.daemon.reload(host.options({ addressFlags: signal }));
    expect(flags()).toEqual(['10.1.0.2 signal']);
    await host.daemon.reload(host.options({ rules: [{ interface: 'c1', use: false }] }));
    expect(flags()).toEqual([]);
    await host.daemon.reload(host.options());
    expect(flags()).toEqual(['10.1.0.2 subflow']);
  });
});

describe('live connections', () => {
  let hosts: TwoHosts;
  let daemon: PathDaemon | undefined;
  let server: MptcpServer;
  const sockets: Socket[] = [];

  beforeEach(() => {
    hosts = makeTwoHosts('weft-rules');
  });
  afterEach(async () => {
    await daemon?.stop();
    const open = sockets.splice(0).filter((socket) => !socket.closed);
    await Promise.all(open.map((socket) => once(socket.destroy(), 'close')));
    await new Promise((resolve) => server.close(resolve));
    hosts.remove();
  });

  it('hear at once that an interface is backup, and is no more', async () => {
    // One subflow from each address of `a`, to the same address of `b`.
    hosts.ipB('mptcp', 'endpoint', 'flush');
    hosts.ipA('route', 'add', '10.9.1.0/24', 'via', '10.9.2.2', 'metric', '10');
    daemon = new PathDaemon({
      logger: silentLogger,
      netns: hosts.netnsA,
      loadPlugins: ['addr_adv'],
      addressFlags: subflow,
      notify: NOTIFY,
      rules: [],
      pluginSettings: new Map(),
      journal: { load: () => OWNS_NOTHING, save: () => {} },
      keepEndpoints: false,
    });
    await daemon.start();
    server = await hosts.onB(() => createServer({}, (socket) => sockets.push(socket)));
    const { port } = server.address() as AddressInfo;
    const socket = new MptcpSocket(await hosts.onA(() => connectFd({ address: '10.9.1.2', port })));
    sockets.push(socket);
    socket.write('x');
    const atB = () =>
      listConnections({ netns: hosts.netnsB }).flatMap((connection) =>
        connection.subflows.map((item) => `${unmapV4(item.remoteAddress)} ${item.backupRemote}`),
      );
    await until(() => atB().length === 2, 'a second subflow');
    const name = daemon
      .status()
      .interfaces.find(({ addresses }) => addresses.some((item) => item.address === '10.9.2.1'))!.name;
    const change = await daemon.setInterface(name, { backup: true });
    expect(change.endpoints.map((item) => item.address)).toContain('10.9.2.1');
    await until(() => atB().includes('10.9.2.1 true'), 'the peer to know');
    expect(atB()).toContain('10.9.1.1 false');
    await daemon.setInterface(name, { backup: false });
    await until(() => atB().includes('10.9.2.1 false'), 'the peer to know again');
    expect(readCounters({ netns: hosts.netnsB }).get('MPPrioRx')).toBe(2);
  });
});
