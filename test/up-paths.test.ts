/**
 * The supervisor against the kernel: what it makes for a host's paths, and that it follows what happens to them.
 * The host is drawn in support/up-host.ts; what is expected is what Debian's ip prints.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pathStates, until, UpHost } from './support/up-host.ts';

let host: UpHost;

beforeEach(() => {
  host = new UpHost();
});

afterEach(async () => {
  await host.close();
});

const FOUR_RULES = [
  '17800: from 10.1.0.2 lookup 17800 proto 178',
  '17800: from 10.2.0.2 lookup 17802 proto 178',
  '17800: from 2001:db8:1::2 lookup 17801 proto 178',
  '17800: from 2001:db8:2::2 lookup 17803 proto 178',
];

const FOUR_ENDPOINTS = [
  '10.1.0.2 id 1 subflow dev c1',
  '2001:db8:1::2 id 2 subflow dev c1',
  '10.2.0.2 id 3 subflow dev c2',
  '2001:db8:2::2 id 4 subflow dev c2',
];

describe('what is made for two uplinks', () => {
  it('is one table, rule and endpoint for each address, raised limits, and nothing else', async () => {
    host.addUplink(1);
    host.addUplink(2);
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();

    expect(host.rules()).toEqual(FOUR_RULES);
    expect(host.table(17_800)).toEqual([
      '10.1.0.0/24 dev c1 proto 178 scope link',
      'default via 10.1.0.1 dev c1 proto 178',
      'throw 10.2.0.0/24 proto 178',
    ]);
    expect(host.table(17_803)).toEqual([
      '2001:db8:2::/64 dev c2 proto 178 metric 1024 pref medium',
      'default via fe80::1 dev c2 proto 178 metric 1024 pref medium',
      'fe80::/64 dev c2 proto 178 metric 1024 pref medium',
      'throw 2001:db8:1::/64 dev lo proto 178 metric 1024 pref medium',
    ]);
    expect(host.endpoints()).toEqual(FOUR_ENDPOINTS);
    expect(host.limits()).toBe('add_addr_accepted 2 subflows 4');

    const status = supervisor.status();
    expect(status).toMatchObject({ mode: 'multipath', limits: { addAddrAccepted: 2, subflows: 4 } });
    expect(status.paths[0]).toEqual({
      link: 'c1',
      address: '10.1.0.2',
      family: 4,
      gateway: '10.1.0.1',
      table: 17_800,
      endpointId: 1,
      backup: false,
      preferred: true,
      state: 'active',
    });
    expect(status.ignoredLinks).toEqual([{ link: 'lo', why: 'loopback' }]);
    expect(status.endpoints.every((endpoint) => endpoint.ours)).toBe(true);
    expect(host.log).toContain('info path c1 10.1.0.2 via 10.1.0.1 is in use (table 17800, endpoint 1)');

    const added = host.changesSince(before);
    expect(added.filter((line) => line.startsWith('-'))).toEqual(['- limits add_addr_accepted 0 subflows 2']);
    expect(
      added.filter((line) => line.startsWith('+ route')).every((line) => line.includes('proto 178')),
    ).toBe(true);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
    expect(host.stateFiles()).toEqual([]);
  });

  it('sends each address out by its own link, and everything else as before', async () => {
    host.addUplink(1);
    host.addUplink(2);
    host.ip('link add docker0 type bridge');
    host.ip('link set docker0 up');
    host.ip('addr add 172.17.0.1/16 dev docker0');
    await host.start();
    const way = (to: string, from?: string) => {
      const [, link] =
        /dev (\S+)/.exec(host.ip(`route get ${to}${from === undefined ? '' : ` from ${from}`}`)) ?? [];
      return link;
    };
    expect(way('203.0.113.1', '10.1.0.2')).toBe('c1');
    expect(way('203.0.113.1', '10.2.0.2')).toBe('c2');
    expect(way('2001:db8:9::1', '2001:db8:2::2')).toBe('c2');
    expect(way('203.0.113.1')).toBe('c1');
    expect(way('172.17.0.9', '10.2.0.2')).toBe('docker0');
    expect(way('10.1.0.77', '10.2.0.2')).toBe('c1');
  });

  it('gives --backup links backup endpoints, and obeys --interface and --exclude', async () => {
    for (const n of [1, 2, 3, 4]) host.addUplink(n, { v6: false });
    const supervisor = await host.start({
      interfaces: ['c1', 'c2', 'c3', 'nowhere'],
      exclude: ['c3'],
      backup: ['c2'],
    });
    expect(host.endpoints()).toEqual(['10.1.0.2 id 1 subflow dev c1', '10.2.0.2 id 2 subflow backup dev c2']);
    expect(supervisor.status().paths.map((path) => [path.link, path.backup])).toEqual([
      ['c1', false],
      ['c2', true],
    ]);
    expect(supervisor.status().ignoredLinks).toEqual([
      { link: 'lo', why: 'loopback' },
      { link: 'c3', why: 'left out by --exclude' },
      { link: 'c4', why: 'not among --interface' },
      { link: 'nowhere', why: 'no link has this name at present' },
    ]);
  });

  it('raises the limits as far as the kernel allows, and uses the excess addresses as places come free', async () => {
    // Ten addresses: five on each link. This kernel's bounds are read, not assumed.
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    for (const n of [1, 2]) for (let i = 3; i <= 6; i++) host.ip(`addr add 10.${n}.0.${i}/24 dev c${n}`);
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    const { limits, limitsMaximum } = supervisor.status();
    const places = host.endpoints().length;
    expect(host.rules()).toHaveLength(10);
    if (places === 10) {
      // Linux 7: room for all.
      expect(limits).toEqual({ addAddrAccepted: 10, subflows: 20 });
      return;
    }
    expect(places).toBe(8);
    expect(limits).toEqual({ addAddrAccepted: 8, subflows: 8 });
    expect(limitsMaximum).toBe(8);
    const waiting = () => supervisor.status().paths.filter((path) => path.state === 'waiting');
    expect(waiting().map((path) => path.why)).toEqual(
      Array.from({ length: 2 }, () => expect.stringContaining('takes 8 endpoints') as string),
    );
    // The first addresses of both links are among the chosen.
    expect(host.endpoints().join('\n')).toMatch(/10\.1\.0\.2 .*[^]*10\.2\.0\.2 /);
    expect(host.log.filter((line) => line.includes('takes 8 MPTCP endpoints'))).toHaveLength(1);

    const [next] = waiting();
    host.ip('addr del 10.1.0.3/24 dev c1');
    await until(() => waiting().length < 2, 'a waiting address to get a place');
    expect(host.endpoints().join('\n')).toContain(`${next?.address} `);
    expect(host.endpoints()).toHaveLength(8);
    await host.stop(supervisor);
    host.ip('addr add 10.1.0.3/24 dev c1');
    expect(host.changesSince(before)).toEqual([]);
  });
});

describe('with fewer than two ways out', () => {
  it('changes nothing on the host, says why, and begins with the second one', async () => {
    host.addUplink(1);
    host.addLink(2);
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    expect(host.changesSince(before)).toEqual([]);
    expect(supervisor.status()).toMatchObject({ mode: 'single-path' });
    expect(supervisor.status().reason).toContain('only one way out, c1');
    expect(pathStates(supervisor.status())).toEqual(['c1 10.1.0.2 active', 'c1 2001:db8:1::2 active']);

    host.addAddresses(2);
    host.addRoutes(2);
    await until(() => supervisor.status().mode === 'multipath', 'the second path');
    await until(() => host.endpoints().length === 4, 'its endpoints');
    expect(host.rules()).toHaveLength(4);
  });

  it('keeps the last path when the second one goes, and removes it at the end', async () => {
    host.addUplink(1, { v6: false });
    await host.settle();
    const before = host.snapshot();
    host.addUplink(2, { v6: false });
    const supervisor = await host.start();
    host.ip('link del c2');
    await until(() => host.endpoints().length === 1, 'the endpoint to go');
    await until(() => supervisor.status().mode === 'single-path', 'the mode');
    expect(host.endpoints()).toEqual(['10.1.0.2 id 1 subflow dev c1']);
    expect(host.rules()).toEqual(['17800: from 10.1.0.2 lookup 17800 proto 178']);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });

  it('does not count IPv4 on one link and IPv6 on another as two', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v4: false });
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    expect(host.changesSince(before)).toEqual([]);
    expect(supervisor.status().reason).toContain('one connection cannot use both');
  });

  it('stays away from a host whose traffic a VPN carries', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    const supervisor = await host.start();
    expect(host.endpoints()).toHaveLength(2);
    host.ip('tuntap add tun9 mode tun');
    host.ip('link set tun9 up');
    host.ip('route add 0.0.0.0/1 dev tun9');
    await until(() => host.endpoints().length === 0, 'the endpoints to go');
    expect(supervisor.status().reason).toContain('the VPN "tun9"');
    expect(host.rules()).toEqual([]);
    host.ip('link del tun9');
    await until(() => host.endpoints().length === 2, 'the endpoints to come back');
  });

  it.each([
    ['enabled', '0', '1', 'switched off'],
    ['pm_type', '1', '0', 'userspace path manager'],
  ])('changes nothing while net.mptcp.%s is %s', async (name, off, on, why) => {
    host.addUplink(1);
    host.addUplink(2);
    await host.settle();
    const before = host.snapshot();
    host.node.setSysctl(`mptcp/${name}`, off);
    const supervisor = await host.start();
    expect(host.changesSince(before)).toEqual([]);
    expect(supervisor.status()).toMatchObject({
      mode: 'no-mptcp',
      reason: expect.stringContaining(why) as string,
    });
    await host.stop(supervisor);
    host.node.setSysctl(`mptcp/${name}`, on);
    await host.start();
    expect(host.endpoints()).toHaveLength(4);
  });
});

describe('what happens to the links', () => {
  it('carrier lost: the endpoint goes, table and rule stay; carrier back: the endpoint too', async () => {
    host.addUplink(1);
    host.addUplink(2);
    const supervisor = await host.start();
    host.plug(2, false);
    await until(() => host.endpoints().length === 2, 'the endpoints to go');
    expect(host.endpoints()).toEqual(FOUR_ENDPOINTS.slice(0, 2));
    expect(host.rules()).toEqual(FOUR_RULES);
    expect(supervisor.status().paths.find((path) => path.address === '10.2.0.2')).toMatchObject({
      state: 'down',
      why: expect.stringContaining('no carrier') as string,
    });
    host.plug(2, true);
    await until(() => host.endpoints().length === 4, 'the endpoints to come back');
    expect(host.rules()).toEqual(FOUR_RULES);
    expect(host.endpoints().map((line) => line.split(' ')[0])).toEqual(
      expect.arrayContaining(['10.2.0.2', '2001:db8:2::2']),
    );
  });

  it('switched off and on again, with the route some time later', async () => {
    host.addUplink(1);
    host.addUplink(2);
    const supervisor = await host.start();
    host.ip('link set c2 down');
    await until(() => host.endpoints().length === 2 && host.rules().length === 2, 'the path to go');
    expect(host.table(17_802)).toEqual([]);
    expect(host.table(17_803)).toEqual([]);

    host.ip('link set c2 up');
    const state = () => supervisor.status().paths.find((path) => path.address === '10.2.0.2');
    await until(() => state()?.state === 'waiting', 'the path to wait');
    expect(state()?.why).toBe('the link has no default route');
    expect(host.endpoints()).toHaveLength(2);
    host.addAddresses(2, { v4: false });
    host.addRoutes(2);
    await until(() => host.endpoints().length === 4 && host.rules().length === 4, 'the path to come back');
  });

  it('deleted, and made again with the same name', async () => {
    host.addUplink(1);
    host.addUplink(2);
    const supervisor = await host.start();
    host.ip('link del c2');
    await until(() => host.endpoints().length === 2 && host.rules().length === 2, 'the path to go');
    host.addUplink(2);
    await until(() => host.endpoints().length === 4 && host.rules().length === 4, 'the path to come back');
    expect(pathStates(supervisor.status()).every((text) => text.endsWith('active'))).toBe(true);
  });

  it('renamed: what the user named by its new name is used', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    const supervisor = await host.start({ interfaces: ['c1', 'wlan0'] });
    expect(host.endpoints()).toEqual([]);
    const rename = (from: string, to: string) => {
      host.ip(`link set ${from} down`);
      host.ip(`link set ${from} name ${to}`);
      host.ip(`link set ${to} up`);
      host.ip(`route add default via 10.2.0.1 dev ${to} metric 200`);
    };
    rename('c2', 'wlan0');
    await until(() => host.endpoints().length === 2, 'the renamed link to be used');
    expect(pathStates(supervisor.status())).toEqual(['c1 10.1.0.2 active', 'wlan0 10.2.0.2 active']);
    rename('wlan0', 'c2');
    await until(() => host.endpoints().length === 1, 'the link to be left out');
    expect(host.rules()).toHaveLength(1);
  });

  it('a new uplink while running', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    await host.start();
    host.addUplink(3, { v6: false });
    await until(() => host.endpoints().length === 3, 'the third endpoint');
    expect(host.limits()).toBe('add_addr_accepted 3 subflows 6');
    expect(host.table(17_800)).toContain('throw 10.3.0.0/24 proto 178');
  });
});

describe('what happens to addresses and routes', () => {
  it('an address replaced by another', async () => {
    host.addUplink(1);
    host.addUplink(2);
    await host.start();
    host.ip('addr del 10.2.0.2/24 dev c2');
    host.ip('addr del 2001:db8:2::2/64 dev c2');
    host.addAddresses(2, {}, 77);
    host.addRoutes(2, { v6: false });
    await until(
      () => host.endpoints().length === 4 && /10\.2\.0\.77/.test(host.endpoints().join()),
      'the address',
    );
    await until(() => host.rules().some((line) => line.includes('2001:db8:2::77')), 'the IPv6 address');
    expect(host.rules().join('\n')).not.toMatch(/10\.2\.0\.2 |db8:2::2 /);
    expect(host.endpoints().join('\n')).not.toMatch(/10\.2\.0\.2 |db8:2::2 /);
    expect(host.rules()).toHaveLength(4);
  });

  it('the default route long after the address', async () => {
    host.addUplink(1);
    host.addUplink(2, { routes: false });
    const supervisor = await host.start();
    expect(host.endpoints()).toEqual([]);
    expect(pathStates(supervisor.status())).toContain('c2 10.2.0.2 waiting');
    host.addRoutes(2);
    await until(() => host.endpoints().length === 4, 'the endpoints');
    expect(host.rules()).toHaveLength(4);
  });

  it('another gateway', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    const supervisor = await host.start();
    const [before] = host.rules();
    host.ip('route replace default via 10.2.0.254 dev c2 metric 200');
    await until(() => host.table(17_801).join().includes('10.2.0.254'), 'the new gateway');
    expect(host.table(17_801).filter((line) => line.startsWith('default'))).toEqual([
      'default via 10.2.0.254 dev c2 proto 178',
    ]);
    await until(
      () => supervisor.status().paths.some((path) => path.gateway === '10.2.0.254'),
      'the status to tell the gateway',
    );
    expect(host.rules()[0]).toBe(before);
    expect(host.endpoints()).toHaveLength(2);
  });

  it('the default route taken away', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    await host.start();
    host.ip('route del default dev c2');
    await until(() => host.endpoints().length === 1 && host.rules().length === 1, 'the path to go');
    expect(host.table(17_801)).toEqual([]);
  });

  it('IPv6 duplicate address detection: waits for its end', async () => {
    host.addUplink(1, { v4: false });
    host.node.setSysctl('ipv6/conf/default/accept_dad', 1);
    host.addLink(2);
    await host.settle();
    host.addRoutes(2, { v4: false });
    const supervisor = await host.start();
    const state = () => supervisor.status().paths.find((path) => path.link === 'c2');
    host.ip('addr add 2001:db8:2::2/64 dev c2');
    await until(() => state() !== undefined, 'the address to be seen');
    expect(state()).toMatchObject({
      state: 'waiting',
      why: expect.stringContaining('still checking') as string,
    });
    await until(() => state()?.state === 'active', 'the check to end');
    expect(host.endpoints().map((line) => line.split(' ')[0])).toContain('2001:db8:2::2');
  });

  it('a route to a new subnet elsewhere becomes a detour in every table', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    await host.start();
    host.ip('link add br9 type bridge');
    host.ip('link set br9 up');
    host.ip('addr add 192.168.122.1/24 dev br9');
    const detour = 'throw 192.168.122.0/24 proto 178';
    await until(
      () => host.table(17_800).includes(detour) && host.table(17_801).includes(detour),
      'the detours',
    );
    host.ip('link del br9');
    await until(
      () => !host.table(17_800).includes(detour) && !host.table(17_801).includes(detour),
      'their end',
    );
  });

  it('more messages than the socket holds: everything is read anew', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    const supervisor = await host.start({ receiveBufferBytes: 4096 });
    // One process, so that this one cannot read in between.
    const batch = Array.from({ length: 200 }, (_, i) => `addr add 10.77.${i}.1/32 dev c1`);
    batch.push('addr del 10.2.0.2/24 dev c2', 'addr add 10.2.0.99/24 dev c2');
    batch.push('route add default via 10.2.0.1 dev c2 metric 200');
    for (let i = 0; i < 200; i++) batch.push(`addr del 10.77.${i}.1/32 dev c1`);
    host.batch(batch);
    await until(() => host.endpoints().join().includes('10.2.0.99'), 'the state after the burst');
    await until(() => host.rules().length === 2, 'two rules');
    // A look that was due anyway may come before the socket is read.
    await until(() => supervisor.status().actions.overruns > 0, 'the overrun to be told');
    expect(host.endpoints()).toHaveLength(2);
    expect(host.log.join('\n')).toContain('the kernel dropped messages');
  });
});
