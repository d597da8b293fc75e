/**
 * The http and https agents over MPTCP, on the loopback link: reuse, limits, queues, failures.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import {
  createServer as createHttpServer,
  get,
  type Agent,
  type IncomingMessage,
  type Server,
} from 'node:http';
import { createServer as createHttpsServer, get as getSecure } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MptcpAgent, MptcpHttpsAgent } from '../src/mptcp/agent.ts';
import { listenMultipath } from '../src/mptcp/server.ts';
import { describeSocket, type SocketDescription } from '../src/mptcp/socket-info-describe.ts';
import { localAddressOf } from '../src/native/index.ts';

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

const MPTCP: SocketDescription = { protocol: 'mptcp', descriptorProtocol: 'mptcp' };

const openSockets = () =>
  readdirSync('/proc/self/fd').filter((fd) => localAddressOf(Number(fd)) !== undefined).length;

let server: Server;
let port: number;
/** What each accepted connection speaks. */
let accepted: SocketDescription[];
let agents: Agent[];
let socketsBefore: number;

beforeEach(async () => {
  socketsBefore = openSockets();
  accepted = [];
  agents = [];
  server = createHttpServer((request, response) => response.end(`you asked for ${request.url}`));
  server.on('connection', (socket: Socket) => accepted.push(describeSocket(socket)));
  expect(await listenMultipath(server, { host: '127.0.0.1' })).toEqual({ protocol: 'mptcp' });
  ({ port } = server.address() as AddressInfo);
});

afterEach(async () => {
  for (const agent of agents) agent.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await expect.poll(openSockets, SOON).toBe(socketsBefore);
});

function keep<T extends Agent>(agent: T): T {
  agents.push(agent);
  return agent;
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

/** One GET; resolves with the body. */
function fetchWith(agent: Agent, path: string, toPort = port): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ agent, host: '127.0.0.1', port: toPort, path }, (response) => {
      bodyOf(response).then(resolve, reject);
    }).on('error', reject);
  });
}

/** The next turn of the event loop, in which an agent takes a free connection back. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe('MptcpAgent', () => {
  it('fetches over MPTCP', async () => {
    const spoken: SocketDescription[] = [];
    const agent = keep(new MptcpAgent({ onConnect: (socket) => spoken.push(socket.multipath) }));
    expect(await fetchWith(agent, '/one')).toBe('you asked for /one');
    expect(accepted).toEqual([MPTCP]);
    expect(spoken).toEqual([MPTCP]);
  });

  it('reuses its connection with keepAlive', async () => {
    const agent = keep(new MptcpAgent({ keepAlive: true }));
    for (const path of ['/one', '/two', '/three']) {
      expect(await fetchWith(agent, path)).toBe(`you asked for ${path}`);
      await nextTurn();
    }
    expect(accepted).toEqual([MPTCP]);
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
  });

  it('uses plain TCP when told to', async () => {
    const agent = keep(new MptcpAgent({ multipath: false }));
    await fetchWith(agent, '/');
    expect(accepted).toEqual([{ protocol: 'tcp', descriptorProtocol: 'tcp' }]);
  });

  it('keeps to its limits while connections are being made', async () => {
    for (const limits of [{ maxSockets: 1 }, { maxTotalSockets: 1 }]) {
      accepted.length = 0;
      const agent = keep(new MptcpAgent({ keepAlive: true, ...limits }));
      const paths = ['/1', '/2', '/3', '/4', '/5'];
      const bodies = await Promise.all(paths.map((path) => fetchWith(agent, path)));
      expect(bodies).toEqual(paths.map((path) => `you asked for ${path}`));
      expect(accepted).toEqual([MPTCP]);
    }
  });

  it('fails every queued request once when the server refuses', async () => {
    const agent = keep(new MptcpAgent({ keepAlive: true, maxSockets: 1 }));
    const results = await Promise.allSettled(['/1', '/2', '/3'].map((path) => fetchWith(agent, path, 1)));
    expect(results.map((result) => result.status === 'rejected' && result.reason.code)).toEqual([
      'ECONNREFUSED',
      'ECONNREFUSED',
      'ECONNREFUSED',
    ]);
    expect(agent.sockets).toEqual({});
    expect(agent.requests).toEqual({});
    // It still works afterwards.
    expect(await fetchWith(agent, '/after')).toBe('you asked for /after');
  });

  it('stops what is being connected when it is destroyed', async () => {
    // A resolver that never answers.
    const agent = keep(new MptcpAgent());
    const request = get({ agent, host: 'slow', port, lookup: () => {} });
    const failed = once(request, 'error');
    await nextTurn();
    expect(Object.values(agent.sockets).flat()).toHaveLength(1);
    agent.destroy();
    expect(await failed).toMatchObject([{ code: 'ABORT_ERR' }]);
    expect(agent.sockets).toEqual({});
  });

  it('fails a request whose connection takes longer than its timeout', async () => {
    const agent = keep(new MptcpAgent());
    const request = get({ agent, host: 'slow', port, timeout: 20, lookup: () => {} });
    expect(await once(request, 'error')).toMatchObject([{ code: 'ETIMEDOUT' }]);
  });
});

describe('MptcpHttpsAgent', () => {
  // A shared key instead of a certificate: nothing to make, to sign or to expire.
  const psk = { identity: 'weft', psk: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex') };
  const tls = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

  it('does TLS over MPTCP and reuses the connection', async () => {
    const secureServer = createHttpsServer(
      { ...tls, pskCallback: () => psk.psk, pskIdentityHint: 'weft' },
      (request, response) => response.end(`secret ${request.url}`),
    );
    const connections: SocketDescription[] = [];
    secureServer.on('connection', (socket: Socket) => connections.push(describeSocket(socket)));
    await listenMultipath(secureServer, { host: '127.0.0.1' });
    const securePort = (secureServer.address() as AddressInfo).port;
    const agent = keep(
      new MptcpHttpsAgent({
        ...tls,
        keepAlive: true,
        pskCallback: () => psk,
        checkServerIdentity: () => undefined,
      }),
    );
    for (const path of ['/a', '/b']) {
      const [response] = (await once(
        getSecure({ agent, host: '127.0.0.1', port: securePort, path }),
        'response',
      )) as [IncomingMessage];
      expect(describeSocket(response.socket)).toEqual(MPTCP);
      expect(await bodyOf(response)).toBe(`secret ${path}`);
      await nextTurn();
    }
    expect(connections).toEqual([MPTCP]);
    agent.destroy();
    secureServer.closeAllConnections();
    await new Promise((resolve) => secureServer.close(resolve));
  });

  it('passes the reason on when the server refuses', async () => {
    const agent = keep(new MptcpHttpsAgent());
    const request = getSecure({ agent, host: '127.0.0.1', port: 1 });
    expect(await once(request, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }]);
  });
});
