/** Whose a TCP socket of this host is, by its two ends, as the page's server asks it of the one at the other end. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { SocketDiag, type SocketPair } from '../src/netlink/index.ts';

const SOON = { interval: 5, timeout: 20_000 };

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

function find(pair: SocketPair): ReturnType<SocketDiag['tcpSocket']> {
  const diag = SocketDiag.open();
  try {
    return diag.tcpSocket(pair);
  } finally {
    diag.close();
  }
}

async function listen(host: string): Promise<{ readonly server: Server; readonly port: number }> {
  // Its own side stays open when the client's is closed.
  const server = createServer({ allowHalfOpen: true }).listen(0, host);
  await once(server, 'listening');
  ended.push(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

async function connectTo(host: string): Promise<{ readonly client: Socket; readonly pair: SocketPair }> {
  const { port, server } = await listen(host);
  const client = connect(port, host);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  accepted.on('error', () => {});
  ended.push(() => accepted.destroy());
  ended.push(() => client.destroy());
  const { localPort } = client;
  return {
    client,
    pair: { localAddress: host, localPort: localPort!, remoteAddress: host, remotePort: port },
  };
}

it.each(['127.0.0.1', '::1'])('is the user who made it (%s)', async (host) => {
  const { pair } = await connectTo(host);
  expect(find(pair)).toMatchObject({ ...pair, uid: process.geteuid!() });
});

it('is nobody where there is no such socket, or only a listener on the same port', async () => {
  const { pair } = await connectTo('127.0.0.1');
  expect(find({ ...pair, remotePort: pair.remotePort === 1 ? 2 : 1 })).toBeUndefined();
  const { port } = await listen('127.0.0.1');
  expect(find({ ...pair, localPort: port })).toBeUndefined();
  expect(find({ ...pair, localAddress: '192.0.2.1' })).toBeUndefined();
});

it('is nobody when no process holds it any more', async () => {
  const { client, pair } = await connectTo('127.0.0.1');
  client.destroy();
  await vi.waitFor(() => expect(find(pair)).toBeUndefined(), SOON);
});
