/**
 * The tunnel's data plane when packets do not fit, links and devices go away, and sockets stay full
 * (support/data-planes.ts).
 */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { getIntOption, lastErrno, setIntOption, EMSGSIZE } from '../src/native/index.ts';
import {
  content,
  FAR,
  LIMIT_MS,
  MEGABYTES,
  NEAR,
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

const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DO = 2;

useDataPlanes();

describe('packets that fit into no datagram', () => {
  /** 1200 bytes of packet. */
  const NARROW = { datagramBytesMax: 1208 };

  it('are cut if they allow it', async () => {
    const { a } = await start({ ...NARROW, connection: { reorderWindow: 1000 } });
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    const IP_PMTUDISC_DONT = 0;
    setIntOption(from.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    for (const size of [1172, 1173, 1400, 5000]) {
      expect(send(from.fd, content(size))).toBe(size);
      const [datagram] = await receiveAll(to.fd, 1);
      expect(datagram!.length).toBe(size);
      expect(Buffer.compare(datagram!, content(size))).toBe(0);
    }
    expect((await a.counters()).sent.tooBig).toBe(0);
  });

  it('are answered by ICMP if they do not, and the sender learns', async () => {
    const { a } = await start(NARROW);
    const to = openUdp('b', 4);
    const from = openUdp('a', 4, { address: FAR[4], port: to.port });
    setIntOption(from.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    expect(send(from.fd, content(1400))).toBe(1400);
    await expect
      .poll(() => (send(from.fd, content(1400)) < 0 ? lastErrno() : 0), { interval: 5 })
      .toBe(EMSGSIZE);
    const IP_MTU = 14;
    expect(getIntOption(from.fd, IPPROTO_IP, IP_MTU)).toBe(1200);
    expect((await a.counters()).sent.tooBig).toBeGreaterThan(0);
  });

  it.each([4, 6] as const)('do not stop TCP over IPv%i, whose segments become smaller', async (version) => {
    // IPv6 packets of 1280 bytes must go through.
    const { a } = await start({
      inner: version,
      datagramBytesMax: version === 4 ? 1208 : 1308,
      connection: { reorderWindow: 1000 },
    });
    expect((await transfer(version, 'a', MEGABYTES)).isEqual).toBe(true);
    const { sent } = await a.counters();
    expect(sent.tooBig).toBeGreaterThan(0);
    expect(sent.packets).toBeGreaterThan(MEGABYTES.length / 1300);
  });
});

describe('when something is in the way', () => {
  it(
    'a socket stays full: what would go over it is dropped and counted, the other path goes on',
    async () => {
      const { a, b } = await start();
      // 1 Mbit/s, and a queue that is never full: what the socket may have under way is.
      const shape = [
        'qdisc',
        'add',
        'dev',
        'v1',
        'root',
        'tbf',
        'rate',
        '1mbit',
        'burst',
        '64k',
        'limit',
        '1g',
      ];
      execFileSync('ip', ['netns', 'exec', 'dp-a', 'tc', ...shape]);
      onCleanup(() =>
        execFileSync('ip', ['netns', 'exec', 'dp-a', 'tc', 'qdisc', 'delete', 'dev', 'v1', 'root']),
      );
      const from = openUdp('a', 4, { address: FAR[4], port: 9 });
      const datagram = content(1400);
      await expect
        .poll(
          async () => {
            for (let i = 0; i < 5000; i++) send(from.fd, datagram);
            return (await a.counters()).paths[0]!.sent.dropped;
          },
          { interval: 5, timeout: LIMIT_MS },
        )
        .toBeGreaterThan(100);
      const [near, far] = await Promise.all([a.counters(), b.counters()]);
      expect(near.paths[1]!.sent.dropped).toBe(0);
      expect(far.paths[1]!.received.packets).toBeGreaterThan(1000);
      await a.ask({
        do: 'views',
        views: [
          { isUsable: false, weight: 1 },
          { isUsable: true, weight: 1 },
        ],
      });
      ping(FAR[4], '-c', '5');
    },
    LIMIT_MS,
  );

  it('a path takes no datagrams of that length: told, and the rest goes on', async () => {
    const { a } = await start({ datagramBytesMax: 9000, mtuBytes: 4000, paths: [1] });
    expect(() => ping(FAR[4], '-c', '3', '-M', 'do', '-s', '3000', '-W', '0.1')).toThrow();
    ping(FAR[4], '-c', '3');
    await expect.poll(() => a.events.filter(({ event }) => event === 'too-long').length).toBe(1);
    expect((await a.counters()).paths[0]!.sent.dropped).toBe(3);
  });

  it('a link is down: dropped and counted, and it goes on when the link comes back', async () => {
    const { a } = await start({ paths: [1] });
    testHosts().ipA('link', 'set', 'v1', 'down');
    expect(() => ping(FAR[4], '-c', '3', '-W', '0.1')).toThrow();
    expect((await a.counters()).paths[0]!.sent.dropped).toBe(3);
    testHosts().ipA('link', 'set', 'v1', 'up');
    testHosts().ipA('address', 'replace', 'fd09:1::1/64', 'dev', 'v1', 'nodad');
    await expect
      .poll(
        () => {
          try {
            return ping(FAR[4], '-c', '1', '-W', '0.2').includes(' 0% packet loss');
          } catch {
            return false;
          }
        },
        { timeout: LIMIT_MS },
      )
      .toBe(true);
    expect(a.events).toEqual([]);
  });

  it('the device is down for a while: it goes on when it is up', async () => {
    const { a } = await start();
    ping(FAR[4], '-c', '2');
    testHosts().ipA('link', 'set', 'tun0', 'down');
    // The other end still sends to it.
    expect(() =>
      execFileSync('ip', ['netns', 'exec', 'dp-b', 'ping', '-c', '3', '-i', '0.01', '-W', '0.1', NEAR[4]]),
    ).toThrow();
    testHosts().ipA('link', 'set', 'tun0', 'up');
    ping(FAR[4], '-c', '2');
    expect(a.events).toEqual([]);
    expect((await a.counters()).totals.received.writeErrors).toBe(3);
  });

  it('the device is deleted: told, and the end stops in order', async () => {
    const { a } = await start();
    testHosts().ipA('link', 'delete', 'tun0');
    await expect.poll(() => a.events.map(({ text }) => text).join()).toContain('was it deleted?');
    await a.counters();
  });
});
