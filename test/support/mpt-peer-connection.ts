/**
 * One connection of the stand-in for the original program: its paths' sockets, keepalives, sending vector, reordering.
 */
import type { Socket } from 'node:dgram';
import { unmapV4 } from '../../src/base/index.ts';
import type { LabNode } from '../../src/lab/index.ts';
import type { ExchangeConnection } from './mpt-peer-exchange.ts';
import { OriginalReorder } from './mpt-peer-reorder.ts';
import type { OriginalConnection, OriginalPath } from './mpt-peer-text.ts';
import { dataPacket, keepaliveMessage, readDataPort, sendingVector, sixteen } from './mpt-peer-wire.ts';
import { bindUdp } from './tunnel-traffic.ts';

/** What a connection needs of the program around it. */
export interface ConnectionHost {
  readonly node: LabNode;
  readonly interfaceName: string;
  log(line: string): void;
  deliver(inner: Buffer): void;
  addRoute(destination: string, length: number, gateway: string | undefined, link: string): void;
  isRunning(link: string): boolean;
  /** What is sent in place of a data packet; a test's bad network. */
  mangle(datagram: Buffer, path: number): readonly Buffer[];
  /** A path whose link went down, as far as the program gets the path right. */
  handleLinkDown(connection: LiveConnection, path: LivePath): void;
}

export interface LivePath extends OriginalPath {
  socket: Socket | undefined;
  heardMs: number | undefined;
  keepaliveTimer: NodeJS.Timeout | undefined;
  sentPackets: number;
  receivedPackets: number;
  receivedKeepalives: number;
}

export class LiveConnection implements ExchangeConnection {
  readonly file: string;
  settings: OriginalConnection;
  paths: LivePath[] = [];
  token = 0;
  expected = 0;
  sequence: number;
  packetsSent = 0;
  position = 0;
  vector: number[] = [];
  reorder: OriginalReorder | undefined;

  readonly #host: ConnectionHost;
  droppedNoPath = 0;

  constructor(host: ConnectionHost, file: string, settings: OriginalConnection, firstSequence: number) {
    this.#host = host;
    this.file = file;
    this.settings = settings;
    this.sequence = firstSequence;
  }

  get authType(): number {
    return this.settings.authType;
  }

  get key(): Buffer {
    return this.settings.key;
  }

  start(): void {
    const { settings } = this;
    this.vector = sendingVector(settings.paths.map((path) => path.weightOut));
    this.position = 0;
    this.reorder =
      settings.reorderWindow === 0
        ? undefined
        : new OriginalReorder(
            settings.reorderWindow,
            settings.maxDelayMs,
            (inner) => this.#host.deliver(inner),
            (line) => this.#host.log(line),
          );
    this.paths = settings.paths.map((path) => ({
      ...path,
      socket: undefined,
      heardMs: undefined,
      keepaliveTimer: undefined,
      sentPackets: 0,
      receivedPackets: 0,
      receivedKeepalives: 0,
    }));
    for (const path of this.paths) {
      const own = [path.publicAddress, path.privateAddress].includes(path.gatewayAddress);
      const none = path.gatewayAddress === '0.0.0.0' || path.gatewayAddress === '::';
      const gateway = own || none ? undefined : path.gatewayAddress;
      const length = path.ipVersion === 4 ? 32 : 128;
      this.#host.addRoute(path.remoteAddress, length, gateway, path.interfaceName);
      path.socket = bindUdp(this.#host.node, path.privateAddress, settings.localPort);
      path.socket.on('message', (datagram, from) => {
        this.#handleData(path, datagram.subarray(0, 1600), unmapV4(from.address));
      });
      path.socket.on('error', (error) => this.#host.log(error.message));
      if (path.keepaliveS === 0) continue;
      const keepalive = () => this.#sendKeepalive(path);
      keepalive();
      path.keepaliveTimer = setInterval(keepalive, 1000 * path.keepaliveS);
    }
    const own = settings.ipVersion === 4 ? 32 : 128;
    this.#host.addRoute(settings.ipRemote, own, undefined, this.#host.interfaceName);
    for (const { destination } of settings.networks) {
      const [address = '', length] = destination.split('/');
      this.#host.addRoute(address, Number(length), settings.ipRemote, this.#host.interfaceName);
    }
  }

  stop(): void {
    for (const path of this.paths) {
      clearInterval(path.keepaliveTimer);
      path.socket?.close();
      path.socket = undefined;
    }
  }

  #sendKeepalive(path: LivePath): void {
    if (path.status !== 0 && path.status !== 0x80) return;
    const { ipVersion, ipLocal, ipRemote } = this.settings;
    this.#sendData(path, keepaliveMessage(ipVersion, ipLocal, ipRemote));
  }

  #sendData(path: LivePath, datagram: Buffer): void {
    path.socket?.send(datagram, this.settings.remotePort, path.remoteAddress, (error) => {
      if (error !== null) this.#host.log(error.message);
    });
  }

  sendPacket(inner: Buffer): void {
    const { vector, paths, settings } = this;
    for (let step = 0; step < 2 * vector.length; step++) {
      const position = this.position;
      this.position = (position + 1) % vector.length;
      const path = paths[vector[position]!]!;
      if (path.status !== 0) continue;
      // The position in the vector, not the path's index, is what gets marked.
      if (!this.#host.isRunning(path.interfaceName)) {
        const marked = paths[position];
        this.#host.log(`Interface ${path.interfaceName} is down`);
        if (marked !== undefined) this.#host.handleLinkDown(this, marked);
      }
      const sequence = settings.reorderWindow > 0 ? this.sequence : undefined;
      this.sequence = (this.sequence + 1) >>> 0;
      this.packetsSent++;
      path.sentPackets++;
      const datagram = dataPacket(settings.ipVersion, sequence, inner);
      for (const each of this.#host.mangle(datagram, paths.indexOf(path))) this.#sendData(path, each);
      return;
    }
    this.droppedNoPath++;
    this.#host.log('Packet can not be sent out from tunnel interface - no path has STAT_OK');
  }

  /** Whether a packet from the tunnel is this connection's. */
  takes(inner: Buffer): boolean {
    const { settings } = this;
    const isV6 = inner[0]! >>> 4 === 6;
    if ((settings.ipVersion === 6) !== isV6) return false;
    const source = isV6 ? inner.subarray(8, 24) : Buffer.concat([MAPPED, inner.subarray(12, 16)]);
    const destination = isV6 ? inner.subarray(24, 40) : Buffer.concat([MAPPED, inner.subarray(16, 20)]);
    const isOf = (address: Buffer, own: string, which: 'source' | 'destination') =>
      address.equals(sixteen(own)) || settings.networks.some((network) => isWithin(address, network[which]));
    return isOf(source, settings.ipLocal, 'source') && isOf(destination, settings.ipRemote, 'destination');
  }

  #handleData(path: LivePath, datagram: Buffer, from: string): void {
    if (!sixteen(from).equals(sixteen(path.remoteAddress))) {
      this.#host.log(`Got UDP ${datagram.length} bytes from bad client. IP6: ${from}`);
      return;
    }
    const arrival = readDataPort(datagram);
    if (arrival.kind === 'keepalive') {
      path.receivedKeepalives++;
      path.heardMs = Date.now();
      if (path.status === 0x80) path.status = 0;
    } else if (arrival.kind === 'command') this.#host.log('Got command from a data socket.');
    else if (arrival.kind === 'data') {
      path.receivedPackets++;
      if (arrival.sequence === undefined || this.reorder === undefined) this.#host.deliver(arrival.inner);
      else this.reorder.push(arrival.sequence, arrival.inner, Date.now());
    }
  }
}

const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Masks as the program does: a network whose address is not masked itself never matches. */
function isWithin(address: Buffer, network: string): boolean {
  const [base = '', lengthText] = network.split('/');
  const length = Number(lengthText) + (base.includes(':') ? 0 : 96);
  const wanted = sixteen(base);
  return address.every((byte, index) => {
    const bits = Math.max(0, Math.min(8, length - 8 * index));
    return (byte & (0xff00 >> bits) & 0xff) === wanted[index]!;
  });
}
