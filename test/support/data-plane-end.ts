/**
 * One end of a tunnel that consists of a data plane only, with everything said beforehand: no configuration, no
 * keepalives, no engine. `data-plane-end.mjs '{"tunnel": …}'`; options: `EndOptions`. Prints `ready` when it has begun,
 * then one line of JSON for each request on standard input (`EndRequest`) and for what the data plane tells of itself
 * (`{"event": …}`). Ends when its standard input does.
 */
import { createInterface } from 'node:readline';
import { isIpv6, parseIp, silentLogger, type Prefix } from '../../src/base/index.ts';
import { emitSockaddr } from '../../src/native/index.ts';
import { DataPlane } from '../../src/tunnel/data/data-plane.ts';
import { readConnectionCounters, readTotalCounters } from '../../src/tunnel/data/data-counters.ts';
import { newCounterBlock, type DataConnection } from '../../src/tunnel/data/protocol.ts';
import { PathSocket } from '../../src/tunnel/engine/path-socket.ts';
import { TunnelDevice } from '../../src/tunnel/host/tunnel-device.ts';
import type { PathView } from '../../src/tunnel/paths/scheduler.ts';

export interface EndOptions {
  readonly tunnel: {
    readonly name: string;
    readonly mtuBytes: number;
    readonly ipv4?: Prefix;
    readonly ipv6?: Prefix;
  };
  readonly paths: readonly {
    readonly local: string;
    readonly remote: string;
    readonly port: number;
  }[];
  readonly datagramBytesMax?: number;
  readonly local: string;
  readonly remote: string;
  /** Sent without UDP_SEGMENT. */
  readonly isSegmentationOff?: boolean;
  /** Any of the fields of the connection that are plain values. */
  readonly connection: Partial<
    Pick<
      DataConnection,
      | 'isSequenced'
      | 'firstSequence'
      | 'reorderWindow'
      | 'maxDelayMs'
      | 'scheduler'
      | 'dropsCopies'
      | 'innerBytesMax'
      | 'sources'
      | 'destinations'
    >
  >;
  readonly views?: readonly PathView[];
}

export type EndRequest =
  | { readonly do: 'counters' }
  | { readonly do: 'views'; readonly views: readonly PathView[] }
  /** Sets the connection anew, with these fields changed. */
  | { readonly do: 'set'; readonly connection: EndOptions['connection'] };

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

const options = JSON.parse(process.argv[2] ?? '{}') as EndOptions;
const device = TunnelDevice.open(options.tunnel);
const sockets = options.paths.map(({ local, port }) =>
  PathSocket.open({ ipVersion: local.includes(':') ? 6 : 4, localAddress: local, port }, silentLogger),
);
const plane = await DataPlane.start({
  tunFd: device.fd,
  hasVirtioHeader: device.hasVirtioHeader,
  hasTcpOffload: device.hasTcpOffload,
  hasUdpOffload: device.hasUdpOffload,
  onKeepalive: ({ path, datagram }) => say({ event: 'keepalive', path, bytes: datagram.length }),
  onTooLong: (_id, path, bytes) => say({ event: 'too-long', path, bytes }),
  onTrouble: (text) => say({ event: 'trouble', text }),
  onFailure: ({ message }) => say({ event: 'failure', message }),
});

const ipBytes = (address: string): Uint8Array => parseIp(address)!;
const usable: PathView = { isUsable: true, weight: 1 };
let connection: DataConnection = {
  id: 0,
  order: 0,
  ipVersion: options.local.includes(':') ? 6 : 4,
  localAddress: ipBytes(options.local),
  remoteAddress: ipBytes(options.remote),
  sources: [],
  destinations: [],
  isSequenced: true,
  reorderWindow: 0,
  maxDelayMs: 100,
  scheduler: 'weights',
  dropsCopies: false,
  innerBytesMax: 0,
  paths: options.paths.map((path, index) => ({
    fd: sockets[index]!.fd,
    remoteSockaddr: emitSockaddr({ address: path.remote, port: path.port }),
    remoteAddress: ipBytes(isIpv6(path.remote) ? path.remote : `::ffff:${path.remote}`),
    datagramBytesMax: options.datagramBytesMax ?? (path.local.includes(':') ? 1452 : 1472),
    segmentation: sockets[index]!.hasSegmentation && options.isSegmentationOff !== true,
    pinned: { tcpSource: [], tcpDestination: [], udpSource: [], udpDestination: [] },
    view: options.views?.[index] ?? usable,
  })),
  outboundCounters: newCounterBlock(),
  inboundCounters: newCounterBlock(),
  ...options.connection,
};
await plane.setConnection(connection);
console.log('ready');

async function answer(request: EndRequest): Promise<unknown> {
  switch (request.do) {
    case 'counters':
      return {
        ...readConnectionCounters(
          new Float64Array(connection.outboundCounters),
          new Float64Array(connection.inboundCounters),
          connection.paths.length,
        ),
        totals: readTotalCounters(plane.outboundTotals, plane.inboundTotals),
      };
    case 'views':
      plane.setViews(0, request.views);
      return {};
    case 'set':
      connection = { ...connection, ...request.connection };
      await plane.setConnection(connection);
      return {};
    default:
      return { error: 'unknown request' };
  }
}

for await (const line of createInterface({ input: process.stdin }))
  say(await answer(JSON.parse(line) as EndRequest));
await plane.stop();
for (const socket of sockets) socket.close();
device.close();
