/**
 * SOCKS5 datagrams through the far end of a Weft, beside those that go straight.
 *
 *   client ── SOCKS5 UDP ── proxy ──┬── TLS over MPTCP ── far end ── UDP ── name server     all on loopback
 *                                   └── UDP ── name server
 */
import { afterEach, expect, it } from 'vitest';
import { DEFAULT_POLICY, type ProxyPolicy } from '../src/proxy/index.ts';
import { cleanUp, startProxy, until } from './proxy-support.ts';
import { farUpstream, startFar } from './support/far-pair.ts';
import { dnsAnswer, dnsQuestion, SocksUdpClient, startUdpServer } from './support/socks-udp.ts';

afterEach(cleanUp);

/** 127.0.0.1 through the far end, everything else as usual. */
function halfThrough(upstream: ReturnType<typeof farUpstream>): ProxyPolicy {
  const to = {
    names: [{ name: 'localhost', subdomains: false }],
    prefixes: [{ address: '127.0.0.1', length: 32 }],
  };
  return {
    ...DEFAULT_POLICY,
    upstreams: new Map([[upstream.name, upstream]]),
    rules: [{ to, way: { kind: 'upstream', upstream: upstream.name } }],
  };
}

it('each destination by its own way, and by another one when the policy has changed', async () => {
  const [there, here] = [await startUdpServer(dnsAnswer), await startUdpServer(dnsAnswer, '127.0.0.2')];
  const far = await startFar();
  const policy = halfThrough(farUpstream(far.port, far.token));
  const proxy = await startProxy({}, { policy });
  const client = await SocksUdpClient.open(proxy);
  const question = dnsQuestion(7, 'www.example.org');
  expect(await client.ask('127.0.0.1', there.port, question)).toEqual({
    host: '127.0.0.1',
    port: there.port,
    bytes: dnsAnswer(question),
  });
  expect(await client.ask('127.0.0.2', here.port, question)).toMatchObject({
    host: '127.0.0.2',
    port: here.port,
  });
  // What only the far end resolves is told by its name.
  expect(await client.ask('localhost', there.port, question)).toMatchObject({ port: there.port });
  expect(far.server.counters().udpFlowsOpen).toBeGreaterThanOrEqual(1);
  proxy.server.setPolicy(DEFAULT_POLICY);
  const flows = far.server.counters().udpFlowsOpened;
  await client.ask('127.0.0.1', there.port, question);
  expect(far.server.counters().udpFlowsOpened).toBe(flows);
  client.control.destroy();
  await until(() => proxy.server.counters().udpAssociationsOpen === 0, 'the association to end');
  await until(() => far.server.counters().udpFlowsOpen === 0, 'the flows to end with it');
});

it('nothing goes through an upstream proxy that carries no datagrams', async () => {
  const server = await startUdpServer(dnsAnswer);
  const upstream = { name: 'office', kind: 'http', host: '127.0.0.1', port: 9 } as const;
  const policy = {
    ...DEFAULT_POLICY,
    upstreams: new Map([['office', upstream]]),
    rules: [{ way: { kind: 'upstream', upstream: 'office' } }],
  } as const;
  const proxy = await startProxy({}, { policy });
  const client = await SocksUdpClient.open(proxy);
  client.send('127.0.0.1', server.port, Buffer.from('x'));
  await until(() => proxy.server.counters().datagramsDropped === 1, 'it to be dropped');
  expect(proxy.server.counters().datagramsDroppedByReason).toEqual({ 'no-path': 1 });
  expect(server.seen).toEqual([]);
});
