/**
 * Two data planes without an engine, for tests and measurements of the threads alone. Both live in this process; their
 * devices and sockets are in two namespaces (two-hosts.ts):
 *
 *   ns NAME-a  tun0 10.0.0.1/24 fd00::1/64      10.9.N.1 ──── veth N = 1, 2 ──── 10.9.N.2      tun0 10.0.0.2/24  NAME-b
 *
 * Connection 0 is that of IPv4 on port 4754, connection 1 that of IPv6 on port 4755.
 */
import { parseIp, type Prefix } from '../../src/base/index.ts';
import { AF_INET } from '../../src/base/ip.ts';
import {
  bindSocket,
  closeFd,
  emitSockaddr,
  inNamespace,
  openSocket,
  setIntOption,
  SO_RCVBUFFORCE,
  SO_SNDBUFFORCE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
} from '../../src/native/index.ts';
import { readConnectionCounters, type ConnectionCounters } from '../../src/tunnel/data/data-counters.ts';
import { DataPlane } from '../../src/tunnel/data/data-plane.ts';
import {
  newCounterBlock,
  type DataConnection,
  type DataPathDescription,
  type KeepaliveArrival,
} from '../../src/tunnel/data/protocol.ts';
import { TunnelDevice } from '../../src/tunnel/host/tunnel-device.ts';
import { makeTwoHosts, type TwoHosts } from './two-hosts.ts';

const BUFFER_BYTES = 16 << 20;
const NONE = { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] };
export const DATA_PORTS = [4754, 4755] as const;

export type ConnectionChanges = Partial<Omit<DataConnection, 'id' | 'paths'>>;

export interface EndsOptions {
  /** Applied to the connections of both ends. */
  readonly connection?: ConnectionChanges;
  /** Whether the ends use the offloads that the kernel has; default yes. */
  readonly offload?: boolean;
  readonly mtuBytes?: number;
  readonly weights?: readonly number[];
}

const prefix = (address: string, length: number): Prefix => ({ address, length });

const mapped = (address: string): Uint8Array => {
  const bytes = new Uint8Array(16).fill(0xff, 10, 12);
  bytes.set(parseIp(address)!, 12);
  return bytes;
};

/** One of the two. */
export class DataPlaneEnd {
  readonly number: 1 | 2;
  readonly netns: string;
  readonly device: TunnelDevice;
  readonly #options: EndsOptions;
  readonly #sockets: number[] = [];
  readonly connections: DataConnection[] = [];
  readonly keepalives: KeepaliveArrival[] = [];
  /** Called for each keepalive. */
  onKeepalive: (arrival: KeepaliveArrival) => void = () => {};
  readonly troubles: string[] = [];
  readonly tooLong: number[] = [];
  readonly failures: Error[] = [];
  #plane: DataPlane | undefined;

  constructor(hosts: TwoHosts, number: 1 | 2, options: EndsOptions) {
    this.number = number;
    this.#options = options;
    this.netns = number === 1 ? hosts.netnsA : hosts.netnsB;
    this.device = TunnelDevice.open({
      name: 'tun0',
      mtuBytes: options.mtuBytes ?? 1440,
      ipv4: prefix(`10.0.0.${number}`, 24),
      ipv6: prefix(`fd00::${number}`, 64),
      netns: this.netns,
    });
    this.connections.push(this.#describe(0), this.#describe(1));
  }

  get plane(): DataPlane {
    if (this.#plane === undefined) throw new Error('not started');
    return this.#plane;
  }

  async start(): Promise<void> {
    const offload = this.#options.offload ?? true;
    const { device } = this;
    this.#plane = await DataPlane.start({
      tunFd: device.fd,
      hasVirtioHeader: device.hasVirtioHeader,
      hasTcpOffload: device.hasTcpOffload && offload,
      hasUdpOffload: device.hasUdpOffload && offload,
      onKeepalive: (arrival) => {
        this.keepalives.push(arrival);
        this.onKeepalive(arrival);
      },
      onTooLong: (_id, _path, bytes) => this.tooLong.push(bytes),
      onTrouble: (text) => this.troubles.push(text),
      onFailure: (error) => this.failures.push(error),
    });
    for (const connection of this.connections) await this.#plane.setConnection(connection);
  }

  /** Changes a connection; descriptors stay. */
  async change(id: number, changes: ConnectionChanges): Promise<void> {
    const changed = { ...this.connections[id]!, ...changes };
    this.connections[id] = changed;
    await this.plane.setConnection(changed);
  }

  counters(id: number): ConnectionCounters {
    const { outboundCounters, inboundCounters, paths } = this.connections[id]!;
    return readConnectionCounters(
      new Float64Array(outboundCounters),
      new Float64Array(inboundCounters),
      paths.length,
    );
  }

  async close(): Promise<void> {
    await this.#plane?.stop();
    for (const fd of this.#sockets) closeFd(fd);
    this.device.close();
  }

  #describe(id: 0 | 1): DataConnection {
    const other = 3 - this.number;
    const [local, remote] =
      id === 0 ? [`10.0.0.${this.number}`, `10.0.0.${other}`] : [`fd00::${this.number}`, `fd00::${other}`];
    return {
      id,
      order: id,
      ipVersion: id === 0 ? 4 : 6,
      localAddress: parseIp(local)!,
      remoteAddress: parseIp(remote)!,
      sources: [],
      destinations: [],
      isSequenced: true,
      reorderWindow: 1000,
      maxDelayMs: 100,
      scheduler: 'weights',
      dropsCopies: false,
      innerBytesMax: 0,
      ...this.#options.connection,
      paths: [0, 1].map((path) => this.#describePath(path, DATA_PORTS[id])),
      outboundCounters: newCounterBlock(),
      inboundCounters: newCounterBlock(),
    };
  }

  #describePath(path: number, port: number): DataPathDescription {
    const net = path + 1;
    const remote = `10.9.${net}.${3 - this.number}`;
    const fd = inNamespace(this.netns, () => openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    this.#sockets.push(fd);
    bindSocket(fd, { address: `10.9.${net}.${this.number}`, port });
    setIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
    setIntOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES);
    if (this.#options.offload ?? true) setIntOption(fd, SOL_UDP, UDP_GRO, 1);
    return {
      fd,
      remoteSockaddr: emitSockaddr({ address: remote, port }),
      remoteAddress: mapped(remote),
      datagramBytesMax: 1472,
      segmentation: this.#options.offload ?? true,
      pinned: NONE,
      view: { isUsable: true, weight: this.#options.weights?.[path] ?? 1 },
    };
  }
}

export interface DataPlaneEnds {
  readonly hosts: TwoHosts;
  readonly a: DataPlaneEnd;
  readonly b: DataPlaneEnd;
  close(): Promise<void>;
}

/** Both ends started. */
export async function makeDataPlaneEnds(name: string, options: EndsOptions = {}): Promise<DataPlaneEnds> {
  const hosts = makeTwoHosts(name);
  const a = new DataPlaneEnd(hosts, 1, options);
  const b = new DataPlaneEnd(hosts, 2, options);
  await a.start();
  await b.start();
  return {
    hosts,
    a,
    b,
    close: async () => {
      await a.close();
      await b.close();
      hosts.remove();
    },
  };
}
