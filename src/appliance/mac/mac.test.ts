/** Outputs in the form of macOS 14, of a MacBook with Wi-Fi, a USB Ethernet adapter and an iPhone by cable. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inPrefix } from '../../base/index.ts';
import { endsOf, PrefixChooser } from './mac-prefixes.ts';
import {
  aliasCommand,
  flushPfCommand,
  guestLinkOf,
  loadPfCommand,
  pfRules,
  planMacUplinks,
  releasePfCommand,
  unaliasCommand,
  type MacSituation,
} from './mac-plan.ts';
import { macQemuArguments } from './mac-qemu.ts';
import { parseHardwarePorts, parseIfconfig, parsePfToken, parseRouteGet, parseRoutes } from './outputs.ts';

const PORTS = `
Hardware Port: Ethernet Adapter (en4)
Device: en4
Ethernet Address: 1e:00:8a:12:34:56

Hardware Port: USB 10/100/1000 LAN
Device: en7
Ethernet Address: 00:e0:4c:68:01:02

Hardware Port: Thunderbolt Bridge
Device: bridge0
Ethernet Address: 36:11:22:33:44:00

Hardware Port: Wi-Fi
Device: en0
Ethernet Address: a4:83:e7:11:22:33

Hardware Port: iPhone USB
Device: en8
Ethernet Address: 62:3e:5f:11:22:33

VLAN Configurations
===================
`;

const IFCONFIG = `lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> mtu 16384
	options=1203<RXCSUM,TXCSUM,TXSTATUS,SW_TIMESTAMP>
	inet 127.0.0.1 netmask 0xff000000
	inet6 ::1 prefixlen 128
gif0: flags=8010<POINTOPOINT,MULTICAST> mtu 1280
en4: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	ether 1e:00:8a:12:34:56
	media: none
	status: inactive
en0: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	options=6460<TSO4,TSO6,CHANNEL_IO,PARTIAL_CSUM,ZEROINVERT_CSUM>
	ether a4:83:e7:11:22:33
	inet6 fe80::1c:2b3d:11:2233%en0 prefixlen 64 secured scopeid 0xb
	inet 192.168.1.7 netmask 0xffffff00 broadcast 192.168.1.255
	nd6 options=201<PERFORMNUD,DAD>
	media: autoselect
	status: active
en7: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	ether 00:e0:4c:68:01:02
	inet 10.20.0.15 netmask 0xfffff000 broadcast 10.20.15.255
	media: autoselect (1000baseT <full-duplex>)
	status: active
en8: flags=8863<UP,BROADCAST,SMART,RUNNING,SIMPLEX,MULTICAST> mtu 1500
	ether 62:3e:5f:11:22:33
	inet 169.254.33.2 netmask 0xffff0000 broadcast 169.254.255.255
	media: autoselect
	status: active
utun3: flags=8051<UP,POINTOPOINT,RUNNING,MULTICAST> mtu 1380
	inet 100.64.0.2 --> 100.64.0.2 netmask 0xffffffff
`;

const ROUTE_GET = `   route to: default
destination: default
       mask: default
    gateway: 192.168.1.1
  interface: en0
      flags: <UP,GATEWAY,DONE,STATIC,PRCLONING,GLOBAL>
 recvpipe  sendpipe  ssthresh  rtt,msec    rttvar  hopcount      mtu     expire
       0         0         0         0         0         0      1500         0
`;

const NETSTAT = `Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
default            10.20.0.1          UGScIg                en7
10.20/20           link#15            UCS                   en7      !
127                127.0.0.1          UCS                   lo0
169.254            link#11            UCS                   en0      !
192.168.1          link#11            UCS                   en0      !
192.168.1.1/32     link#11            UCS                   en0      !
224.0.0/4          link#11            UmCS                  en0      !
`;

const PFCTL_ENABLE = `No ALTQ support in kernel
ALTQ related functions disabled
pf enabled
Token : 17583215812352819821
`;

const situation = (change: Partial<MacSituation> = {}): MacSituation => ({
  ports: parseHardwarePorts(PORTS),
  interfaces: parseIfconfig(IFCONFIG),
  preferred: parseRouteGet(ROUTE_GET)!,
  gateways: new Map([
    ['en0', '192.168.1.1'],
    ['en7', '10.20.0.1'],
  ]),
  routes: parseRoutes(NETSTAT),
  wanted: [],
  exclude: [],
  ...change,
});

describe('what the commands of macOS say', () => {
  it('hardware ports, without bridges', () => {
    expect(parseHardwarePorts(PORTS)).toEqual([
      { port: 'Ethernet Adapter (en4)', device: 'en4' },
      { port: 'USB 10/100/1000 LAN', device: 'en7' },
      { port: 'Wi-Fi', device: 'en0' },
      { port: 'iPhone USB', device: 'en8' },
    ]);
  });

  it('interfaces with their state and addresses', () => {
    const byName = new Map(parseIfconfig(IFCONFIG).map((item) => [item.name, item]));
    expect([...byName.keys()]).toEqual(['lo0', 'gif0', 'en4', 'en0', 'en7', 'en8', 'utun3']);
    expect(byName.get('en0')).toEqual({
      name: 'en0',
      up: true,
      active: true,
      mtuBytes: 1500,
      addresses: [{ address: '192.168.1.7', length: 24 }],
    });
    expect(byName.get('en7')?.addresses).toEqual([{ address: '10.20.0.15', length: 20 }]);
    expect(byName.get('en4')).toMatchObject({ up: true, active: false, addresses: [] });
    expect(byName.get('gif0')?.up).toBe(false);
  });

  it('the default route, with and without a gateway, and none', () => {
    expect(parseRouteGet(ROUTE_GET)).toEqual({ device: 'en0', gateway: '192.168.1.1' });
    expect(parseRouteGet('   route to: default\n  interface: utun3\n')).toEqual({ device: 'utun3' });
    expect(parseRouteGet('route: writing to routing socket: not in table\n')).toBeUndefined();
  });

  it('routes, abbreviated ones too, and no default', () => {
    expect(parseRoutes(NETSTAT)).toEqual([
      { address: '10.20.0.0', length: 20 },
      { address: '127.0.0.0', length: 8 },
      { address: '169.254.0.0', length: 16 },
      { address: '192.168.1.0', length: 24 },
      { address: '192.168.1.1', length: 32 },
      { address: '224.0.0.0', length: 4 },
    ]);
  });

  it('the reference to pf', () => {
    expect(parsePfToken(PFCTL_ENABLE)).toBe('17583215812352819821');
    expect(parsePfToken('pfctl: pf already enabled\n')).toBeUndefined();
  });

  it('never throws, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        for (const parse of [parseHardwarePorts, parseIfconfig, parseRouteGet, parseRoutes, parsePfToken])
          parse(text);
      }),
    );
  });
});

describe('the plan', () => {
  it('takes ports with carrier and an address that somebody gave', () => {
    const uplinks = planMacUplinks(situation(), 'this Mac');
    expect(uplinks.map(({ device, port, preferred, slot }) => [device, port, preferred, slot])).toEqual([
      ['en7', 'USB 10/100/1000 LAN', false, 1],
      ['en0', 'Wi-Fi', true, 2],
    ]);
    for (const { guest, host, prefix } of uplinks) {
      expect(inPrefix(guest, prefix) && inPrefix(host, prefix)).toBe(true);
      expect(inPrefix(host, { address: '10.20.0.0', length: 20 })).toBe(false);
    }
    expect(new Set(uplinks.map(({ mac }) => mac)).size).toBe(2);
  });

  it('keeps to what the user chose', () => {
    const devices = (change: Partial<MacSituation>) =>
      planMacUplinks(situation(change), 'm').map(({ device }) => device);
    expect(devices({ wanted: ['en0'] })).toEqual(['en0']);
    expect(devices({ exclude: ['en0'] })).toEqual(['en7']);
  });

  it('is the same after a start, and keeps what is plugged in when links come and go', () => {
    const first = planMacUplinks(situation(), 'this Mac');
    expect(planMacUplinks(situation(), 'this Mac')).toEqual(first);
    expect(planMacUplinks(situation(), 'another Mac')).not.toEqual(first);
    // The aliases are there now, and their routes.
    const aliased = IFCONFIG.replace(
      '\tinet 192.168',
      `\tinet ${first[1]!.host} netmask 0xfffffffc\n\tinet 192.168`,
    );
    const routes = [...parseRoutes(NETSTAT), ...first.map(({ prefix }) => prefix)];
    const now = situation({ interfaces: parseIfconfig(aliased), routes });
    expect(planMacUplinks(now, 'this Mac', first)).toEqual(first);
    const [, wifi] = first;
    const gone = situation({ exclude: ['en7'], interfaces: parseIfconfig(aliased), routes });
    expect(planMacUplinks(gone, 'this Mac', first)).toEqual([wifi]);
    expect(
      planMacUplinks(now, 'this Mac', [wifi!])
        .map(({ slot }) => slot)
        .toSorted((a, b) => a - b),
    ).toEqual([1, 2]);
  });

  it('says so when there are no free addresses', () => {
    const all = [{ address: '10.0.0.0', length: 8 }];
    expect(() => planMacUplinks(situation({ routes: all }), 'm')).toThrow(
      /no free addresses.*10\.0\.0\.0\/8/,
    );
  });

  it('chooses prefixes that overlap with nothing', () => {
    const prefix = fc.record({
      address: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map(([b, c, d]) => `10.${b}.${c}.${d & 252}`),
      length: fc.integer({ min: 12, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 20 }), fc.string(), (taken, id) => {
        const chooser = new PrefixChooser(id, taken);
        const chosen = ['en0', 'en1', 'en2'].map((device) => chooser.choose(device));
        for (const { address } of chosen)
          for (const other of taken) expect(inPrefix(address, other)).toBe(false);
        expect(new Set(chosen.map(({ address }) => address)).size).toBe(3);
      }),
    );
    expect(endsOf({ address: '10.1.2.252', length: 30 })).toEqual({
      host: '10.1.2.253',
      guest: '10.1.2.254',
    });
  });
});

describe('the commands', () => {
  const uplinks = planMacUplinks(situation(), 'this Mac');
  const wifi = uplinks[1]!;

  it('are programs with arguments, each with its way back', () => {
    expect(aliasCommand(wifi)).toEqual({
      program: '/sbin/ifconfig',
      args: ['en0', 'inet', wifi.host, 'netmask', '255.255.255.252', 'alias'],
    });
    expect(unaliasCommand(wifi).args).toEqual(['en0', 'inet', wifi.host, '-alias']);
    expect(loadPfCommand('rules\n')).toEqual({
      program: '/sbin/pfctl',
      args: ['-a', 'com.apple/weft', '-f', '-'],
      input: 'rules\n',
    });
    expect(flushPfCommand.args).toEqual(['-a', 'com.apple/weft', '-F', 'all']);
    expect(releasePfCommand('17').args).toEqual(['-X', '17']);
  });

  it('translate the guest’s addresses only, each out of its own link', () => {
    const rules = pfRules(uplinks, true);
    expect(rules).toContain(`nat on en0 inet from ${wifi.guest} to ! ${wifi.prefix.address}/30 -> (en0:0)\n`);
    expect(rules.match(/^nat /gm)).toHaveLength(2);
    expect(rules).toContain(
      `pass in quick on en7 route-to (en7 10.20.0.1) inet from ${uplinks[0]!.guest} to any\n`,
    );
    const { gateway: _, ...pointToPoint } = wifi;
    expect(pfRules([pointToPoint], true)).not.toContain('route-to');
    // pf.conf(5): translation comes before filters.
    expect(rules.lastIndexOf('nat on')).toBeLessThan(rules.indexOf('pass in'));
    expect(rules).toContain('block drop out quick on en0 inet from ! (en0) to any\n');
    expect(pfRules(uplinks, false)).not.toContain('block');
    expect(pfRules([], true)).toBe('');
  });

  it('tell the guest its links', () => {
    expect(guestLinkOf(wifi)).toEqual({
      mac: wifi.mac,
      role: 'uplink',
      addresses: [`${wifi.guest}/30`],
      gateways: [wifi.host],
      metric: 100,
      label: 'Wi-Fi',
      mtuBytes: 1500,
    });
    expect(guestLinkOf(uplinks[0]!).metric).toBe(200);
  });

  it('start QEMU with one private card and one bridged card for each link', () => {
    const args = macQemuArguments({
      architecture: 'arm64',
      accelerator: 'hvf',
      kernel: '/v',
      initramfs: '/i',
      memoryMiB: 512,
      processors: 2,
      monitorPath: '/tmp/a,b/monitor',
      agentPath: '/tmp/a,b/agent',
      proxyPort: 13_128,
      uplinks,
    });
    expect(args).toContain('vmnet-bridged,id=net2,ifname=en0');
    expect(args).toContain(`virtio-net-pci,id=nic2,netdev=net2,mac=${wifi.mac},bus=rp2,romfile=`);
    expect(args).toContain('user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:13128-10.0.2.15:13128');
    expect(args).toContain('socket,id=agent,path=/tmp/a,,b/agent,server=on,wait=off');
    expect(args.slice(args.indexOf('-M'), args.indexOf('-M') + 6)).toEqual([
      '-M',
      'virt',
      '-accel',
      'hvf',
      '-cpu',
      'host',
    ]);
    expect(args.filter((word) => word.startsWith('vmnet-bridged'))).toHaveLength(2);
  });
});
