/**
 * The tunnel's data plane against the kernel: TUN device, both threads and the sockets of two paths, without an engine
 * (support/data-planes.ts). What stands in its way: tunnel-data-obstacles.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { setIntOption } from '../src/native/index.ts';
import {
  content,
  FAR,
  LIMIT_MS,
  MEGABYTES,
  MTU,
  onCleanup,
  openUdp,
  ping,
  receiveAll,
  send,
  start,
  testHosts,
  transfer,
  useDataPlanes,
} from './support/data-planes.ts';

useDataPlanes();

describe('TCP through the tunnel', () => {
  const kinds = [
    { outer: 4, inner: 4, sequenced: true },
    { outer: 4, inner: 6, sequenced: false },
    { outer: 6, inner: 4, sequenced: false },
    { outer: 6, inner: 6, sequenced: true },
  ] as const;

  it.each(kinds)(
    'arrives whole in both directions: IPv$outer paths, IPv$inner inside, numbers $sequenced',
    async ({ outer, inner, sequenced }) => {
      const { a, b } = await start({
        outer,
        inner,
        connection: { isSequenced: sequenced, reorderWindow: sequenced ? 1000 : 0 },
      });
      for (const from of ['a', 'b'] as const) {
        const { received, isEqual } = await transfer(inner, from, MEGABYTES);
        expect(received).toBe(MEGABYTES.length);
        expect(isEqual).toBe(true);
      }
      const [near, far] = await Promise.all([a.counters(), b.counters()]);
      for (const { sent, paths } of [near, far]) {
        expect(sent.packets).toBeGreaterThan(MEGABYTES.length / MTU);
        // Equal weights: packet by packet in turn, whatever super-packets they came in.
        expect(Math.abs(paths[0]!.sent.packets - paths[1]!.sent.packets)).toBeLessThanOrEqual(1);
        expect(paths[0]!.sent.packets + paths[1]!.sent.packets).toBe(sent.packets);
        expect(paths[0]!.sent.dropped + paths[1]!.sent.dropped).toBe(0);
        // Offloads work: many packets a system call.
        expect(paths[0]!.sent.sends).toBeLessThan(paths[0]!.sent.packets);
      }
      expect(far.received.packets).toBe(near.sent.packets);
      expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
      expect(far.totals.received.writeErrors).toBe(0);
      expect(near.totals.sent).toMatchObject({ malformed: 0, noConnection: 0 });
      expect(a.events).toEqual([]);
      expect(b.events).toEqual([]);
    },
    LIMIT_MS,
  );

  it('goes on at 2^32', async () => {
    const { a, b } = await start({
      connection: { isSequenced: true, reorderWindow: 1000, firstSequence: 2 ** 32 - 2000 },
    });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const far = await b.counters();
    expect((await a.counters()).sent.packets).toBeGreaterThan(2000);
    expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
  });

  it('goes on, with its numbers, when the connection is set anew under it', async () => {
    const { a, b } = await start({ connection: { isSequenced: true, reorderWindow: 1000 } });
    const { isEqual } = await transfer(4, 'a', MEGABYTES, async () => {
      for (let i = 0; i < 20; i++) {
        await a.ask({ do: 'set', connection: {} });
        await b.ask({ do: 'set', connection: {} });
      }
    });
    expect(isEqual).toBe(true);
    const [near, far] = await Promise.all([a.counters(), b.counters()]);
    expect(far.received.packets).toBe(near.sent.packets);
    expect(far.received).toMatchObject({ late: 0, duplicate: 0, missing: 0, restarts: 0 });
  });

  it('works where the kernel does not segment', async () => {
    const { a } = await start({ isSegmentationOff: true, connection: { reorderWindow: 1000 } });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const { paths } = await a.counters();
    expect(paths[0]!.sent.dropped).toBe(0);
  });

  it.each([4, 6] as const)('has its MSS lowered in SYN packets, IPv%i', async (version) => {
    await start({ inner: version, connection: { innerBytesMax: 1280 } });
    const { isEqual, mss } = await transfer(version, 'a', MEGABYTES.subarray(0, 100_000));
    expect(isEqual).toBe(true);
    // 12 bytes are for time stamps.
    expect(mss).toBe(1280 - (version === 4 ? 40 : 60) - 12);
  });
});

describe('packets and paths', () => {
  it('go by weight, and only over paths that may be used, from the next packet on', async () => {
    const view = (isUsable: boolean, weight: number) => ({ isUsable, weight });
    const { a } = await start({ views: [view(true, 1), view(true, 3)] });
    const sentBy = async () => (await a.counters()).paths.map(({ sent }) => sent.packets);
    // The kernel may send a packet of its own (of a connection that has ended) among the pings.
    ping(FAR[4], '-c', '40');
    const before = await sentBy();
    const total = before[0]! + before[1]!;
    expect(total).toBeGreaterThanOrEqual(40);
    expect([Math.floor(total / 4), Math.ceil(total / 4)]).toContain(before[0]);
    await a.ask({ do: 'views', views: [view(true, 1), view(false, 3)] });
    ping(FAR[4], '-c', '20');
    const after = await sentBy();
    expect(after[0]).toBeGreaterThanOrEqual(before[0]! + 20);
    expect(after[1]).toBe(before[1]);
    await a.ask({ do: 'views', views: [view(false, 1), view(false, 3)] });
    expect(() => ping(FAR[4], '-c', '5', '-W', '0.1')).toThrow();
    expect((await a.counters()).sent.noPath).toBeGreaterThanOrEqual(5);
    expect(await sentBy()).toEqual(after);
    await a.ask({ do: 'views', views: [view(true, 1), view(true, 3)] });
    ping(FAR[4], '-c', '4');
  });

  it('are copied to all paths, numbered alike, and come out once', async () => {
    const { a, b } = await start({
      connection: { scheduler: 'redundant', isSequenced: true, reorderWindow: 500, dropsCopies: true },
    });
    expect((await transfer(4, 'a', MEGABYTES)).isEqual).toBe(true);
    const [near, far] = await Promise.all([a.counters(), b.counters()]);
    for (const { sent } of near.paths) expect(sent.packets).toBe(near.sent.packets);
    expect(far.received.packets).toBe(2 * near.sent.packets);
    expect(far.received.missing).toBe(0);
  });

  it('that belong to no connection are counted', async () => {
    const { a } = await start();
    const udp = openUdp('a', 6, { address: FAR[6], port: 9 });
    expect(send(udp.fd, content(100))).toBe(100);
    await expect.poll(async () => (await a.counters()).totals.sent.noConnection).toBeGreaterThan(0);
    expect((await a.counters()).paths[0]!.sent.packets).toBe(0);
  });

  it('of networks behind both ends are carried too', async () => {
    testHosts().ipA('address', 'add', '172.16.1.1/32', 'dev', 'lo');
    testHosts().ipB('address', 'add', '172.16.2.1/32', 'dev', 'lo');
    onCleanup(() => {
      testHosts().ipA('address', 'delete', '172.16.1.1/32', 'dev', 'lo');
      testHosts().ipB('address', 'delete', '172.16.2.1/32', 'dev', 'lo');
    });
    const near = { address: '172.16.1.0', length: 24 };
    const far = { address: '172.16.2.0', length: 24 };
    const { a, b } = await start({ connection: { sources: [near], destinations: [far] } });
    await b.ask({ do: 'set', connection: { sources: [far], destinations: [near] } });
    testHosts().ipA('route', 'add', '172.16.2.0/24', 'dev', 'tun0');
    testHosts().ipB('route', 'add', '172.16.1.0/24', 'dev', 'tun0');
    ping('172.16.2.1', '-I', '172.16.1.1', '-c', '3');
    expect((await a.counters()).sent.packets).toBe(3);
  });
});

describe('UDP through the tunnel', () => {
  it.each([4, 6] as const)('arrives as it was sent, every size, IPv%i', async (version) => {
    const { a } = await start({ inner: version, connection: { reorderWindow: 1000 } });
    const to = openUdp('b', version);
    const from = openUdp('a', version, { address: FAR[version], port: to.port });
    const sizes = [0, 1, 2, 3, 63, 64, 500, 1391, 1392, 1393, 1400, 1411, 1412, 1413, 3000, 9001, 60_000];
    for (const size of sizes) expect(send(from.fd, content(size))).toBe(size);
    const arrived = await receiveAll(to.fd, sizes.length);
    expect(arrived.map(({ length }) => length)).toEqual(sizes);
    for (const datagram of arrived) {
      expect(Buffer.compare(datagram, content(datagram.length))).toBe(0);
    }
    expect((await a.counters()).totals.sent.malformed).toBe(0);
  });

  it('arrives when the kernel is to segment it (USO)', async () => {
    await start({ connection: { reorderWindow: 1000 } });
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    const SOL_UDP = 17;
    const UDP_SEGMENT = 103;
    setIntOption(from.fd, SOL_UDP, UDP_SEGMENT, 1000);
    const bytes = content(20_500);
    expect(send(from.fd, bytes)).toBe(bytes.length);
    const arrived = await receiveAll(to.fd, 21);
    expect(arrived.length).toBe(21);
    expect(Buffer.compare(Buffer.concat(arrived), bytes)).toBe(0);
  });
});
