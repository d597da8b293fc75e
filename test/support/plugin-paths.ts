/**
 * The hosts of the tests of shipped plugins: `a` has several uplinks, `b` is a server somewhere behind all of them.
 *
 *    ns NAME-a   v1  10.9.1.1/24  fd09:1::1/64 ──── veth ──── v1  10.9.1.2  fd09:1::2    ns NAME-b   lo  10.9.100.1  fd09:100::1
 *                v2  10.9.2.1/24  fd09:2::1/64 ──── veth ──── v2  10.9.2.2  fd09:2::2                    10.9.101.1  fd09:101::1
 *               (v3  10.9.3.1/24  fd09:3::1/64 ──── veth ──── v3  …, in some tests)
 *
 * `a` has a default route over each link, v1 preferred. Both leave subflows to their daemons, if there are any; the
 * kernel of `b` takes all that come and begins none.
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { expect } from 'vitest';
import { formatSocketAddress, type Logger } from '../../src/base/index.ts';
import { connectFd } from '../../src/mptcp/connect.ts';
import {
  countOf,
  createServer,
  listConnections,
  MptcpSocket,
  readCounters,
  writeSysctl,
  type MptcpServer,
  type Subflow,
} from '../../src/mptcp/index.ts';
import { OWNS_NOTHING, PathDaemon, type PathDaemonOptions } from '../../src/pathmanager/index.ts';
import { bundleTypeScript } from './bundle.ts';
import { makeTwoHosts, type TwoHosts } from './two-hosts.ts';

/** For what takes its own time: looks often, gives up only when it will never be. */
export const SOON = { interval: 5, timeout: 20_000 };

/** How soon plugins try again here. */
export const QUICKLY = { 'first-retry': '0.05', 'longest-retry': '0.2' };

export interface EchoConnection {
  readonly socket: MptcpSocket;
  /** The other end. */
  readonly peer: Socket;
  readonly token: number;
}

/** A program with a connection. */
export interface Client {
  readonly child: ChildProcess;
  readonly localPort: number;
  readonly token: number;
}

const ends = ({ localAddress, remoteAddress }: Subflow) => `${localAddress}>${remoteAddress}`;

export class PluginPaths {
  readonly hosts: TwoHosts;
  readonly log: string[] = [];
  readonly #servers: MptcpServer[] = [];
  readonly #daemons: { readonly daemon: PathDaemon; readonly options: PathDaemonOptions }[] = [];
  readonly #sockets: Socket[] = [];
  readonly #accepted: Socket[] = [];
  readonly #children: ChildProcess[] = [];

  private constructor(name: string) {
    const hosts = makeTwoHosts(name);
    this.hosts = hosts;
    for (const link of [1, 2]) this.#addRoutes(link);
    for (const address of ['10.9.100.1/32', '10.9.101.1/32']) hosts.ipB('addr', 'add', address, 'dev', 'lo');
    for (const address of ['fd09:100::1/128', 'fd09:101::1/128']) {
      hosts.ipB('addr', 'add', address, 'dev', 'lo', 'nodad');
    }
    hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '0', 'subflows', '8');
    writeSysctl('path_manager', 'userspace', { netns: hosts.netnsA });
  }

  static async make(name: string): Promise<PluginPaths> {
    const paths = new PluginPaths(name);
    await paths.listen();
    return paths;
  }

  /** @returns the port. Without `host` on `::`, for both families. */
  async listen(host?: string): Promise<number> {
    const options = host === undefined ? {} : { host };
    const server = await this.hosts.onB(() =>
      createServer(options, (socket) => {
        this.#accepted.push(socket);
        socket.on('error', () => {});
      }),
    );
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  get port(): number {
    return (this.#servers[0]!.address() as AddressInfo).port;
  }

  /** Waits until no address is tentative and the links carry. */
  addLink(n: number): void {
    const { ipA, ipB, netnsB } = this.hosts;
    ipA('link', 'add', `v${n}`, 'type', 'veth', 'peer', 'name', `v${n}`, 'netns', netnsB);
    for (const [ip, host] of [
      [ipA, 1],
      [ipB, 2],
    ] as const) {
      ip('link', 'set', `v${n}`, 'up');
      ip('addr', 'add', `10.9.${n}.${host}/24`, 'dev', `v${n}`);
      ip('addr', 'add', `fd09:${n}::${host}/64`, 'dev', `v${n}`, 'nodad');
    }
    while (!ipA('-o', 'link', 'show', `v${n}`).includes(' state UP ')) {
      // Each look is a process of its own, so this does not spin.
    }
    this.#addRoutes(n);
  }

  removeLink(n: number): void {
    this.hosts.ipA('link', 'delete', `v${n}`);
  }

  #addRoutes(n: number): void {
    const to = (via: string) => ['default', 'via', via, 'dev', `v${n}`, 'metric', String(n * 100)];
    this.hosts.ipA('route', 'add', ...to(`10.9.${n}.2`));
    this.hosts.ipA('-6', 'route', 'add', ...to(`fd09:${n}::2`));
  }

  /** The carrier of the link of `a`. */
  plug(n: number, plugged: boolean): void {
    this.hosts.ipB('link', 'set', `v${n}`, plugged ? 'up' : 'down');
    // Setting the link down took them away.
    if (plugged) this.hosts.ipB('addr', 'add', `fd09:${n}::2/64`, 'dev', `v${n}`, 'nodad');
  }

  /** `b` resets what wants to begin from this address; nothing without one. */
  refuse(address?: string): void {
    const rules = [
      'add table ip weft_test',
      'delete table ip weft_test',
      ...(address === undefined
        ? []
        : [
            'add table ip weft_test',
            'add chain ip weft_test input { type filter hook input priority 0; }',
            `add rule ip weft_test input ip saddr ${address} tcp flags syn reject with tcp reset`,
          ]),
    ];
    this.hosts.onB(() => execFileSync('nft', ['-f', '-'], { input: rules.join('\n') }));
  }

  writeSysctl(host: 'a' | 'b', pathManager: 'kernel' | 'userspace'): void {
    const netns = host === 'a' ? this.hosts.netnsA : this.hosts.netnsB;
    writeSysctl('path_manager', pathManager, { netns });
  }

  get #logger(): Logger {
    const note = (level: string) => (_fields: unknown, text: string) => {
      this.log.push(`${level} ${text}`);
    };
    return { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  }

  /** A daemon with one plugin. */
  async start(
    plugin: string,
    settings: Readonly<Record<string, string>> = {},
    options: Partial<PathDaemonOptions> = {},
  ): Promise<PathDaemon> {
    const all: PathDaemonOptions = {
      logger: this.#logger,
      netns: this.hosts.netnsA,
      loadPlugins: [plugin],
      pathManager: plugin,
      addressFlags: 0,
      notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
      rules: [],
      pluginSettings: new Map([[plugin, settings]]),
      journal: { load: () => OWNS_NOTHING, save: () => {} },
      keepEndpoints: false,
      ...options,
    };
    const daemon = new PathDaemon(all);
    await daemon.start();
    this.#daemons.push({ daemon, options: all });
    return daemon;
  }

  async reload(daemon: PathDaemon): Promise<void> {
    await daemon.reload(this.#daemons.find((item) => item.daemon === daemon)!.options);
  }

  async stop(daemon: PathDaemon): Promise<void> {
    const at = this.#daemons.findIndex((item) => item.daemon === daemon);
    this.#daemons.splice(at, 1);
    await daemon.stop();
  }

  /** A connection from `a`, over v1, that has carried data both ways. */
  async connect(address = '10.9.100.1', port = this.port): Promise<EchoConnection> {
    const socket = new MptcpSocket(await this.hosts.onA(() => connectFd({ address, port })));
    socket.on('error', () => {});
    this.#sockets.push(socket);
    const { localPort } = socket;
    const peerOf = () => this.#accepted.find((candidate) => candidate.remotePort === localPort);
    await expect.poll(peerOf, SOON).toBeDefined();
    const peer = peerOf()!;
    const echo = { socket, peer, token: this.tokenOf(localPort!) };
    await this.exchange(echo);
    return echo;
  }

  /** Another program on `a`, with a connection of its own. */
  async startClient(options: SpawnOptions = {}): Promise<Client> {
    const program = await bundleTypeScript(new URL('mptcp-client-child.ts', import.meta.url));
    const child = this.hosts.onA(() =>
      spawn(process.execPath, [program, '10.9.100.1', String(this.port)], {
        ...options,
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    this.#children.push(child);
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    return { child, localPort: Number(line), token: this.tokenOf(Number(line)) };
  }

  /** Of the connection of `a` from this port. */
  tokenOf(localPort: number): number {
    const connections = listConnections({ netns: this.hosts.netnsA });
    return connections.find((item) => item.localPort === localPort)!.token;
  }

  /** Sends a piece to the server and back. */
  async exchange({ socket, peer }: EchoConnection, bytes = 10_000): Promise<void> {
    const piece = Buffer.alloc(bytes, 0x57);
    const arrived = (at: Socket) =>
      new Promise<void>((resolve) => {
        let count = 0;
        const onData = (data: Buffer) => {
          count += data.length;
          if (count < bytes) return;
          at.off('data', onData);
          resolve();
        };
        at.on('data', onData);
      });
    for (const [from, to] of [
      [socket, peer],
      [peer, socket],
    ] as const) {
      const all = arrived(to);
      from.write(piece);
      await all;
    }
  }

  /** Subflows of a connection of `a` that are established. */
  subflows(token: number, netns = this.hosts.netnsA): Subflow[] {
    const connection = listConnections({ netns }).find((item) => item.token === token);
    return (connection?.subflows ?? []).filter((subflow) => subflow.state === 'established');
  }

  /** `LOCAL>REMOTE` of each, sorted. */
  pairs(token: number): string[] {
    return this.subflows(token).map(ends).sort();
  }

  /** Waits until the connection has these subflows, both ends say so, and data still goes through. */
  async expectPairs(connection: EchoConnection, pairs: readonly string[]): Promise<void> {
    await expect.poll(() => this.pairs(connection.token), SOON).toEqual([...pairs].sort());
    await expect.poll(() => this.#peerCount(connection), SOON).toBe(pairs.length);
    await this.exchange(connection);
  }

  /** Subflows of the connection that the other end knows. */
  #peerCount({ socket }: EchoConnection): number {
    const all = listConnections({ netns: this.hosts.netnsB });
    const connection = all.find((item) => item.remotePort === socket.localPort);
    return (connection?.subflows ?? []).filter((subflow) => subflow.state === 'established').length;
  }

  counter(host: 'a' | 'b', name: string): number {
    const netns = host === 'a' ? this.hosts.netnsA : this.hosts.netnsB;
    return countOf(readCounters({ netns }), name);
  }

  /** Breaks one subflow from outside, as an administrator or a firewall does: both ends get a reset. */
  kill(subflow: Subflow): void {
    const { localAddress, localPort, remoteAddress, remotePort } = subflow;
    this.hosts.onA(() =>
      execFileSync('ss', [
        '-tK',
        'src',
        formatSocketAddress(localAddress, localPort),
        'dst',
        formatSocketAddress(remoteAddress, remotePort),
      ]),
    );
  }

  /** Ends what a test began. */
  async reset(): Promise<void> {
    for (const { daemon } of this.#daemons.splice(0)) await daemon.stop();
    for (const child of this.#children.splice(0)) {
      child.stdin!.end();
      if (child.exitCode === null) await once(child, 'exit');
    }
    const sockets = [...this.#sockets.splice(0), ...this.#accepted.splice(0)].filter((one) => !one.closed);
    await Promise.all(sockets.map((socket) => once(socket.destroy(), 'close')));
    this.log.length = 0;
  }

  async remove(): Promise<void> {
    await this.reset();
    await Promise.all(this.#servers.map((server) => once(server.close(), 'close')));
    this.hosts.remove();
  }
}
