/**
 * A stand-in for the original MPT server, for tests of interoperability: real sockets, a real TUN device, in a node
 * of a lab. Written from the description of the program's behaviour alone, with its habits and faults: one packet a
 * system call, timers of whole seconds, a path's end found by a look at the link at each packet, the wrong path
 * marked under unequal weights, answers cut short.
 *
 * Not a server for anything else: it does not route, it reads no folder and keeps files in memory.
 */
import type { Socket } from 'node:dgram';
import type { LabNode } from '../../src/lab/index.ts';
import {
  closeFd,
  EPOLLIN,
  IFF_NO_PI,
  IFF_TUN,
  libc,
  openSocket,
  openTunTap,
  reactor,
  type Watch,
} from '../../src/native/index.ts';
import { familyOf, unmapV4 } from '../../src/base/index.ts';
import { IFA_F_NODAD, RT_TABLE_MAIN } from '../../src/netlink/index.ts';
import { executeCommand } from './mpt-peer-commands.ts';
import { LiveConnection, type ConnectionHost, type LivePath } from './mpt-peer-connection.ts';
import { makeForPeer } from './mpt-peer-create.ts';
import { Initiating, respond, type ExchangeHost } from './mpt-peer-exchange.ts';
import { readConnection, readIni, writeConnection, type OriginalConnection } from './mpt-peer-text.ts';
import { sixteen, type OriginalMessage } from './mpt-peer-wire.ts';
import { bindUdp } from './tunnel-traffic.ts';

/** The folder `conf` as texts. */
export interface OriginalFiles {
  readonly interface: string;
  readonly template: string;
  /** By file name. */
  readonly connections: Readonly<Record<string, string>>;
}

export interface OriginalOptions {
  /** First sequence number of each connection; the program's own is 0. */
  readonly firstSequence?: number;
  /** What is sent in place of each data packet. */
  readonly mangle?: (datagram: Buffer, path: number) => readonly Buffer[];
  /** The program binds its command port to any address; several of them in one node each need their own. */
  readonly commandAddress?: string;
  /** Sees what is written to the tunnel. */
  readonly onDeliver?: (inner: Buffer) => void;
}

const SIOCGIFFLAGS = 0x8913;
const IFF_UP_AND_RUNNING = 0x1 | 0x40;
const SOCK_DGRAM = 2;
const AF_INET = 2;
/** BOUNDED: lines of the log. */
const LOG_LINES_MAX = 10_000;

export class MptPeer implements ExchangeHost, ConnectionHost {
  readonly node: LabNode;
  readonly connections: LiveConnection[] = [];
  readonly files: Map<string, string>;
  /** What the program would print. */
  readonly lines: string[] = [];
  readonly interfaceName: string;
  readonly mtu: number;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly commandPort: number;
  readonly acceptsRemote: boolean;
  readonly template: OriginalConnection;
  /** Packets written to the tunnel. */
  delivered = 0;
  readonly options: OriginalOptions;
  readonly #command: Socket;
  readonly #tunFd: number;
  readonly #watch: Watch;
  readonly #probeFd: number;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #buffer = new Uint8Array(2048);
  #exchange: Initiating | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  #stopped = false;

  private constructor(node: LabNode, files: OriginalFiles, options: OriginalOptions) {
    this.node = node;
    this.options = options;
    this.files = new Map(Object.entries(files.connections));
    const ini = readIni(files.interface);
    const general = ini.get('general')!;
    const tunnel = ini.get('tun_0')!;
    this.interfaceName = tunnel.get('name') ?? 'tun0';
    this.mtu = Number(tunnel.get('mtu') ?? 1440);
    this.ipv4 = tunnel.get('ipv4_addr')!;
    this.ipv6 = tunnel.get('ipv6_addr')!;
    this.commandPort = Number(general.get('cmdport_local') ?? 65_050);
    this.acceptsRemote = general.get('accept_remote') === '1';
    this.template = readConnection(files.template);
    this.#tunFd = node.inside(() => openTunTap(this.interfaceName, IFF_TUN | IFF_NO_PI));
    this.#probeFd = node.inside(() => openSocket(AF_INET, SOCK_DGRAM, 0));
    this.#configureLink();
    this.#command = bindUdp(node, options.commandAddress ?? '::', this.commandPort);
    this.#command.on('message', (datagram, from) => {
      this.#handleCommand(datagram, unmapV4(from.address), from.port);
    });
    for (const [file, text] of this.files) this.#add(file, readConnection(text));
    this.#watch = reactor.watch(this.#tunFd, EPOLLIN, () => this.#readTun());
    this.#timers.push(
      setInterval(() => this.#checkDead(), 1000),
      setInterval(() => this.#pollReorder(), 2),
    );
  }

  static start(node: LabNode, files: OriginalFiles, options: OriginalOptions = {}): MptPeer {
    return new MptPeer(node, files, options);
  }

  get globalKey(): Uint8Array {
    return this.template.key;
  }

  mangle(datagram: Buffer, path: number): readonly Buffer[] {
    return this.options.mangle?.(datagram, path) ?? [datagram];
  }

  log(line: string): void {
    if (this.lines.length < LOG_LINES_MAX) this.lines.push(line);
  }

  connection(file: string): LiveConnection {
    const found = this.connections.find((each) => each.file === file);
    if (found === undefined) throw new Error(`the stand-in has no connection ${file}`);
    return found;
  }

  /** As SIGTERM does, except that its own sockets and device go with the test's process otherwise. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#exchange?.cancel();
    for (const timer of this.#timers) clearInterval(timer);
    for (const connection of this.connections) connection.stop();
    this.#watch.close();
    closeFd(this.#tunFd);
    closeFd(this.#probeFd);
    await new Promise<void>((resolve) => this.#command.close(resolve));
  }

  #configureLink(): void {
    const { netlink } = this.node;
    const linkIndex = this.node.linkIndex(this.interfaceName);
    for (const text of [this.ipv4, this.ipv6]) {
      const [address = '', length] = text.split('/');
      if (Number(length) > 0)
        netlink.addAddress({
          linkIndex,
          address,
          prefixLength: Number(length),
          ...(address.includes(':') ? { flags: IFA_F_NODAD } : {}),
        });
    }
    // Only the IPv4 address brings the device up.
    if (!this.ipv4.endsWith('/0')) netlink.setLink(linkIndex, { up: true, mtuBytes: this.mtu });
  }

  addRoute(destination: string, length: number, gateway: string | undefined, link: string): void {
    try {
      this.node.netlink.addRoute({
        family: familyOf(destination),
        table: RT_TABLE_MAIN,
        destination: { address: destination, length },
        linkIndex: this.node.linkIndex(link),
        ...(gateway === undefined ? { scope: 253 } : { gateway }),
      });
    } catch (error) {
      this.log(`route: ${(error as Error).message}`);
    }
  }

  #add(file: string, settings: OriginalConnection): LiveConnection {
    // What the interface's file says counts.
    const tunnelAddress = this.ipv4.split('/')[0]!;
    const ipLocal = settings.ipVersion === 4 ? tunnelAddress : settings.ipLocal;
    const connection = new LiveConnection(
      this,
      file,
      { ...settings, ipLocal, localCommandPort: this.commandPort },
      this.options.firstSequence ?? 0,
    );
    this.connections.push(connection);
    connection.start();
    return connection;
  }

  // Data.

  #readTun(): void {
    for (let turn = 0; turn < 64; turn++) {
      const length = libc.read(this.#tunFd, this.#buffer, this.#buffer.length);
      if (length <= 0) return;
      const inner = Buffer.from(this.#buffer.subarray(0, length));
      this.connections.find((connection) => connection.takes(inner))?.sendPacket(inner);
    }
  }

  isRunning(link: string): boolean {
    const request = Buffer.alloc(40);
    request.write(link, 'latin1');
    if (libc.ioctl(this.#probeFd, SIOCGIFFLAGS, request) !== 0) return false;
    return (request.readUInt16LE(16) & IFF_UP_AND_RUNNING) === IFF_UP_AND_RUNNING;
  }

  deliver(inner: Buffer): void {
    this.delivered++;
    this.options.onDeliver?.(inner);
    libc.write(this.#tunFd, inner, inner.length);
  }

  #pollReorder(): void {
    for (const { reorder } of this.connections) {
      if (reorder !== undefined && reorder.waiting > 0) reorder.poll(Date.now());
    }
  }

  #checkDead(): void {
    // The command thread is busy with an exchange and looks at nothing else meanwhile.
    if (this.#exchange !== undefined) return;
    const nowMs = Date.now();
    for (const connection of this.connections) {
      for (const path of connection.paths) {
        if (path.deadS === 0 || path.status !== 0) continue;
        if (path.heardMs === undefined) path.heardMs = nowMs;
        else if (path.heardMs + 1000 * path.deadS < nowMs) {
          this.log('no keepalive received');
          void this.tellPeer(connection, path, 0x80).then(() => {
            if (path.status === 0) path.status = 0x80;
          });
        }
      }
    }
  }

  // Control.

  send(datagram: Buffer, address: string, port: number): void {
    if (this.#stopped) return;
    const isMapped = this.options.commandAddress === undefined && !address.includes(':');
    const to = isMapped ? `::ffff:${address}` : address;
    this.#command.send(datagram, port, to, (error) => {
      if (error !== null) this.log(error.message);
    });
  }

  find(ipLocal: Buffer, ipRemote: Buffer): LiveConnection | undefined {
    return this.connections.find(
      ({ settings }) =>
        sixteen(settings.ipLocal).equals(ipLocal) && sixteen(settings.ipRemote).equals(ipRemote),
    );
  }

  randomToken(): number {
    return Math.imul(Math.floor(Date.now() / 1000), 1_103_515_245) >>> 1;
  }

  execute(message: OriginalMessage, connection: LiveConnection | undefined): { code: number; body: Buffer } {
    if (message.command === 0xa3) return this.#handleCreate(message, connection);
    const changed = connection!.paths.find(
      (path) =>
        sixteen(path.remoteAddress).equals(message.rest.subarray(0, 16)) &&
        sixteen(path.publicAddress).equals(message.rest.subarray(16, 32)),
    );
    if (changed !== undefined) {
      changed.status = message.status;
      if (message.status === 0) changed.heardMs = Date.now();
      this.log(
        `Path status changed to 0x${message.status.toString(16).padStart(2, '0')} ` +
          `(${changed.publicAddress} -> ${changed.remoteAddress}) `,
      );
    }
    return { code: 0, body: Buffer.alloc(0) };
  }

  #handleCreate(
    message: OriginalMessage,
    connection: LiveConnection | undefined,
  ): { code: number; body: Buffer } {
    if (connection !== undefined) return { code: 5, body: Buffer.from([1]) };
    const asked = readConnection(message.rest.subarray(4).toString('latin1'));
    if (asked.ipRemote === '0.0.0.0' || asked.ipRemote === '::') return { code: 4, body: Buffer.alloc(0) };
    const own = (asked.ipVersion === 6 ? this.ipv6 : this.ipv4).split('/')[0]!;
    const made = makeForPeer(this.template, asked, own);
    this.template.localPort++;
    const file = `peer_${asked.ipLocal.replaceAll(/[.:]/g, '_')}.conf`;
    const live = this.#add(file, made);
    live.expected = 3;
    // The length is computed without the field of the authentication.
    const text = Buffer.from(writeConnection(live.settings), 'latin1');
    return { code: 0, body: text.subarray(0, text.length - 36) };
  }

  async exchangeWith(request: Parameters<typeof Initiating.run>[1]) {
    const previous = this.#busy;
    const run = async () => {
      await previous;
      if (this.#stopped) return { code: 1, body: Buffer.alloc(0) };
      const { exchange, outcome } = Initiating.run(this, request);
      this.#exchange = exchange;
      const result = await outcome;
      this.#exchange = undefined;
      return result;
    };
    const mine = run();
    this.#busy = mine;
    return mine;
  }

  /** Marks the path and tells the peer over the first path that is OK. Gives the code of the exchange. */
  async tellPeer(connection: LiveConnection, path: LivePath, status: number): Promise<number> {
    const { settings } = connection;
    const before = path.status;
    path.status = status;
    const over = connection.paths.find((each) => each.status === 0);
    if (status === 0x80) path.status = before;
    if (over === undefined) {
      this.log(`All path down for connection ${settings.name} `);
      return 6;
    }
    const { code } = await this.exchangeWith({
      command: 0xa2,
      status: status === 0 ? 0 : 0x80,
      authType: settings.authType,
      key: settings.key,
      withToken: true,
      ipVersion: settings.ipVersion,
      ipLocal: settings.ipLocal,
      ipRemote: settings.ipRemote,
      body: Buffer.concat([sixteen(path.publicAddress), sixteen(path.remoteAddress)]),
      address: over.remoteAddress,
      port: settings.remoteCommandPort,
    });
    return code;
  }

  handleLinkDown(connection: LiveConnection, path: LivePath): void {
    if (path.status !== 0x81) void this.tellPeer(connection, path, 0x81);
  }

  #handleCommand(datagram: Buffer, address: string, port: number): void {
    if (address === '127.0.0.1' || address === '::1') {
      const text = datagram.subarray(4).toString('latin1').replace(/\0.*$/s, '');
      void executeCommand(this, text).then(({ ok, text: reply }) => {
        const head = ok ? 'CMD_OK:' : 'CMD-ERROR:';
        this.send(Buffer.from(`\xa4\0\0\0${head}${reply}`, 'latin1'), address, port);
        setTimeout(() => this.send(Buffer.from([0xa5, 0, 0, 0]), address, port), 5);
      });
      return;
    }
    if (datagram[0]! < 0xa0) return;
    if (this.#exchange !== undefined) this.#exchange.handleDatagram(datagram);
    else respond(this, datagram, address, port);
  }
}
