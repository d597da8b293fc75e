/**
 * The tunnel's objects on the host against the kernel: device, link watch, gateways, forwarding, public address. The
 * host is drawn in support/up-host.ts: namespaces wtk-host and wtk-net, two veth links c1, c2 with a default route each.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AF_INET, silentLogger } from '../src/base/index.ts';
import { prefix } from '../src/lab/index.ts';
import { bindSocket, openSocket, SOCK_DGRAM, SOCK_NONBLOCK } from '../src/native/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';
import { Forwarding, forwardingLinks } from '../src/tunnel/host/forwarding.ts';
import { lookUpDefaultGateway } from '../src/tunnel/host/gateway.ts';
import { HostLedger, MemoryJournal } from '../src/tunnel/host/host-journal.ts';
import { addLinkAddress, deleteLinkAddress, setLinkUp } from '../src/tunnel/host/link-commands.ts';
import { LinkView } from '../src/tunnel/host/link-view.ts';
import { LinkWatch, type LinkChangeKind } from '../src/tunnel/host/link-watch.ts';
import { askPublicAddress } from '../src/tunnel/host/public-address.ts';
import { TunnelDevice, type TunnelDeviceOptions } from '../src/tunnel/host/tunnel-device.ts';
import { until, UpHost } from './support/up-host.ts';

let host: UpHost;
const closers: (() => void)[] = [];

beforeEach(() => {
  host = new UpHost('wtk-');
});

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) close();
  await host.close();
});

function openDevice(options: Partial<TunnelDeviceOptions> = {}): TunnelDevice {
  const device = TunnelDevice.open({ name: 'tun0', mtuBytes: 1440, netns: host.path, ...options });
  closers.push(() => device.close());
  return device;
}

function openNetlink(): RouteNetlink {
  const netlink = RouteNetlink.open({ netns: host.path });
  closers.push(() => netlink.close());
  return netlink;
}

const BOTH = { ipv4: prefix('10.9.0.2/24'), ipv6: prefix('fd09::2/64') };

/** `ip` with one space between words, one line. */
const shown = (command: string) => host.ip(command).replaceAll(/\s+/g, ' ');

describe('the tunnel’s link', () => {
  it('has MTU, queue, addresses and every offload of this kernel, and is up', () => {
    const device = openDevice(BOTH);
    expect(device).toMatchObject({
      hasVirtioHeader: true,
      hasTcpOffload: true,
      hasUdpOffload: true,
      troubles: [],
    });
    const text = shown('addr show tun0');
    expect(text).toMatch(/<POINTOPOINT,MULTICAST,NOARP,UP,LOWER_UP> mtu 1440 .* qlen 1500/);
    expect(text).toContain('inet 10.9.0.2/24');
    expect(text).toContain('inet6 fd09::2/64');
    // Nothing that would send on its own.
    expect(text).not.toContain('fe80');
    expect(text).not.toContain('tentative');
  });

  it.each([
    ['IPv6 only', { ipv6: BOTH.ipv6 }],
    ['no address', {}],
  ])('is up with %s, and has its MTU', (_what, addresses) => {
    openDevice(addresses);
    expect(shown('link show tun0')).toMatch(/,UP,LOWER_UP> mtu 1440 /);
  });

  it('goes with its owner, addresses and routes with it, and nothing else', async () => {
    host.addUplink(1);
    await host.settle();
    const before = host.snapshot();
    openDevice(BOTH).close();
    expect(host.changesSince(before)).toEqual([]);
  });

  it('changes its MTU while it is used', () => {
    const device = openDevice(BOTH);
    device.setMtu(1300);
    expect(device.mtuBytes).toBe(1300);
    expect(shown('link show tun0')).toContain(' mtu 1300 ');
  });

  it('never takes over a link that is there', () => {
    host.ip('tuntap add tun5 mode tun');
    host.ip('link add tun6 type bridge');
    openDevice({ name: 'tun7' });
    const before = host.snapshot();
    for (const name of ['tun5', 'tun6', 'tun7']) {
      expect(() => openDevice({ name })).toThrow(
        `make the tunnel's link "${name}": a link of that name exists already (EEXIST) — `,
      );
    }
    expect(host.changesSince(before)).toEqual([]);
  });

  it.each([
    [{ name: 'tun/0' }, '"tun/0" is not a link name'],
    [{ name: 'tun%d' }, '"tun%d" is not a link name'],
    [{ mtuBytes: 60 }, 'the MTU 60 of "tun0" is not possible — a TUN device takes 68 to 65535 bytes'],
    [
      { ...BOTH, mtuBytes: 1200 },
      'the MTU 1200 of "tun0" is too small for its IPv6 address — IPv6 needs 1280',
    ],
    [{ ipv4: prefix('10.9.0.2/40') }, 'add address "10.9.0.2/40": '],
  ])('is made as a whole or not at all: %o', (options, text) => {
    const before = host.snapshot();
    expect(() => openDevice(options)).toThrow(text);
    expect(host.changesSince(before)).toEqual([]);
  });
});

describe('the watch', () => {
  const seen: LinkChangeKind[] = [];
  beforeEach(() => seen.splice(0));

  function watch(periodMs?: number): LinkWatch {
    const links = LinkWatch.start({
      logger: silentLogger,
      netns: host.path,
      onChange: (_view, change) => seen.push(change),
      ...(periodMs === undefined ? {} : { periodMs }),
    });
    closers.push(() => links.close());
    return links;
  }

  it('knows the links at once, and what becomes of them', async () => {
    host.addUplink(1);
    const links = watch();
    await until(() => links.view.link('c1')?.isRunning === true, 'the carrier');
    expect(links.view.link('c1')?.addresses.map((own) => own.address)).toContain('10.1.0.2');
    expect(links.view.link('c2')).toBeUndefined();

    host.plug(1, false);
    await until(() => links.view.link('c1')?.isRunning === false, 'the carrier lost');
    expect(links.view.link('c1')?.isUp).toBe(true);
    host.plug(1, true);
    await until(() => links.view.link('c1')?.isRunning === true, 'the carrier back');

    host.addUplink(2);
    await until(() => links.view.linkOfAddress('10.2.0.2')?.name === 'c2', 'the new link and its address');
    host.ip('addr del 10.2.0.2/24 dev c2');
    await until(() => links.view.linkOfAddress('10.2.0.2') === undefined, 'the address gone');
    host.ip('link del c2');
    await until(() => links.view.link('c2') === undefined, 'the link gone');
    expect(seen).not.toContain('period');
  });

  it('tells of routes that can matter, and of no others', async () => {
    host.addUplink(1, { routes: false });
    await host.settle();
    const links = watch();
    await until(() => links.view.link('c1')?.isRunning === true, 'the carrier');
    host.ip('route add 198.51.100.0/24 via 10.1.0.1');
    host.ip('route add default via 10.1.0.1');
    await until(() => seen.includes('routes'), 'the default route');
    host.ip('route add 203.0.113.5 via 10.1.0.1 proto 178');
    seen.splice(0);
    host.ip('route del 203.0.113.5');
    await until(() => seen.includes('routes'), 'the route of Weft’s own');
  });

  it('looks from time to time although nothing is heard', async () => {
    watch(20);
    await until(() => seen.length >= 3, 'three periods');
    expect(new Set(seen)).toEqual(new Set(['period']));
  });

  it('lets an idle program end, and says nothing after its end', async () => {
    const links = watch();
    links.close();
    host.addUplink(1);
    await host.settle();
    expect(seen).toEqual([]);
  });
});

describe('the gateway of a link’s default route', () => {
  it('is found by one question for each version, whichever default route is preferred', () => {
    host.addUplink(1);
    host.addUplink(2);
    const netlink = openNetlink();
    const gatewayOf = (name: string, ipVersion: 4 | 6) =>
      lookUpDefaultGateway(netlink, netlink.linkByName(name)!.index, ipVersion);
    expect(gatewayOf('c1', 4)).toBe('10.1.0.1');
    expect(gatewayOf('c2', 4)).toBe('10.2.0.1');
    expect(gatewayOf('c2', 6)).toBe('fe80::1');
    // A tunnel that takes everything does not hide it.
    openDevice(BOTH);
    host.ip('route add 0.0.0.0/1 dev tun0');
    host.ip('route add 128.0.0.0/1 dev tun0');
    expect(gatewayOf('c2', 4)).toBe('10.2.0.1');
    host.ip('route del default dev c2');
    expect(gatewayOf('c2', 4)).toBeUndefined();
    host.ip('route add default scope link dev c2');
    expect(gatewayOf('c2', 4)).toBeUndefined();
    host.ip('route replace default nexthop via 10.1.0.9 dev c1 nexthop via 10.2.0.9 dev c2');
    expect(gatewayOf('c2', 4)).toBe('10.2.0.9');
  });
});

describe('forwarding', () => {
  const setting = (name: string) =>
    host.node.inside(() => readFileSync(`/proc/sys/net/${name}`, 'utf8')).trim();
  const all = () =>
    ['c1', 'c2', 'tun0'].flatMap((link) => [
      `${link} ${setting(`ipv4/conf/${link}/forwarding`)} ${setting(`ipv6/conf/${link}/forwarding`)} ${setting(`ipv6/conf/${link}/accept_ra`)}`,
    ]);
  const hasForce = () => {
    try {
      setting('ipv6/conf/c1/force_forwarding');
      return true;
    } catch {
      return false;
    }
  };
  let journal: MemoryJournal;
  let forwarding: Forwarding;

  beforeEach(() => {
    host.addUplink(1);
    host.addUplink(2);
    openDevice(BOTH);
    journal = new MemoryJournal();
    forwarding = new Forwarding(new HostLedger(journal), { netns: host.path });
  });

  const view = () => {
    const netlink = openNetlink();
    return new LinkView(netlink.links(), netlink.addresses());
  };
  const network = (source: string, ipVersion: 4 | 6 = 4) => ({
    ipVersion,
    source: prefix(source),
    destination: prefix(ipVersion === 4 ? '192.168.2.0/24' : 'fd02::/64'),
  });

  it('concerns the tunnel and the links on which the sources live', () => {
    expect(forwardingLinks('tun0', [network('10.2.0.0/24')], view())).toEqual({
      ipv4: ['tun0', 'c2'],
      ipv6: [],
      anywhere: [],
    });
    expect(forwardingLinks('tun0', [network('2001:db8:1::/48', 6)], view())).toEqual({
      ipv4: [],
      ipv6: ['tun0', 'c1'],
      anywhere: [],
    });
    expect(forwardingLinks('tun0', [network('0.0.0.0/0')], view())).toEqual({
      ipv4: ['tun0'],
      ipv6: [],
      anywhere: [4],
    });
    expect(forwardingLinks('tun0', [], view())).toEqual({ ipv4: [], ipv6: [], anywhere: [] });
  });

  it('of IPv4 is switched on there only, and put back', () => {
    const before = all();
    expect(forwarding.apply({ ipv4: ['tun0', 'c2'], ipv6: [], anywhere: [] })).toEqual([]);
    expect(setting('ipv4/conf/tun0/forwarding')).toBe('1');
    expect(setting('ipv4/conf/c2/forwarding')).toBe('1');
    expect(setting('ipv4/conf/c1/forwarding')).toBe('0');
    expect(setting('ipv4/ip_forward')).toBe('0');
    expect(forwarding.restoreAll()).toEqual([]);
    expect(all()).toEqual(before);
    expect(journal.record.settings).toEqual([]);
  });

  it('that was on before stays on, and what somebody changed meanwhile is his', () => {
    host.node.setSysctl('ipv4/conf/c1/forwarding', 1);
    forwarding.apply({ ipv4: ['tun0', 'c1', 'c2'], ipv6: [], anywhere: [] });
    expect(journal.record.settings.map(({ name }) => name)).toEqual([
      'ipv4/conf/tun0/forwarding',
      'ipv4/conf/c2/forwarding',
    ]);
    host.node.setSysctl('ipv4/conf/c2/forwarding', 0);
    // Another look switches it on again, because a network needs it.
    forwarding.apply({ ipv4: ['tun0', 'c2'], ipv6: [], anywhere: [] });
    expect(setting('ipv4/conf/c2/forwarding')).toBe('1');
    forwarding.restoreAll();
    expect(setting('ipv4/conf/c1/forwarding')).toBe('1');
    expect(setting('ipv4/conf/c2/forwarding')).toBe('0');
  });

  it('of IPv6 is switched on, and put back', () => {
    const before = all();
    expect(forwarding.apply({ ipv4: [], ipv6: ['tun0', 'c2'], anywhere: [] })).toEqual([]);
    const again = journal.record;
    if (hasForce()) {
      expect(setting('ipv6/conf/all/forwarding')).toBe('0');
      expect(setting('ipv6/conf/c1/force_forwarding')).toBe('0');
      expect(setting('ipv6/conf/c2/force_forwarding')).toBe('1');
      expect(setting('ipv6/conf/tun0/force_forwarding')).toBe('1');
    }
    expect(forwarding.apply({ ipv4: [], ipv6: ['tun0', 'c2'], anywhere: [] })).toEqual([]);
    expect(journal.record).toBe(again);
    expect(forwarding.restoreAll()).toEqual([]);
    expect(all()).toEqual(before);
    if (hasForce()) expect(setting('ipv6/conf/c2/force_forwarding')).toBe('0');
  });

  it('of IPv6 on an older kernel concerns the whole host, and keeps the routes of router advertisements', () => {
    for (const link of ['c1', 'c2']) host.node.setSysctl(`ipv6/conf/${link}/accept_ra`, 1);
    host.node.setSysctl('ipv6/conf/c1/forwarding', 1);
    host.ip('-6 route add default via fe80::7 dev c2 proto ra metric 50 expires 1800');
    const before = all();
    const routes = host.table(254).map((line) => line.replace(/expires \d+sec/, 'expires'));
    const old = new Forwarding(new HostLedger(journal), { netns: host.path, usesForce: false });
    const links = { ipv4: [], ipv6: ['tun0', 'c2'], anywhere: [] };
    expect(old.apply(links)).toEqual([]);
    const again = journal.record;
    expect(setting('ipv6/conf/all/forwarding')).toBe('1');
    expect(setting('ipv6/conf/c2/forwarding')).toBe('1');
    expect(setting('ipv6/conf/c2/accept_ra')).toBe('2');
    expect(old.apply(links)).toEqual([]);
    expect(journal.record).toBe(again);
    expect(host.table(254).map((line) => line.replace(/expires \d+sec/, 'expires'))).toEqual(routes);
    // As after a kill: another one puts it back from the record.
    const next = new Forwarding(new HostLedger(journal), { netns: host.path, usesForce: false });
    expect(next.restoreAll()).toEqual([]);
    expect(all()).toEqual(before);
    expect(setting('ipv6/conf/all/forwarding')).toBe('0');
  });

  it('of IPv6 that the whole host has already is left alone', () => {
    host.node.setSysctl('ipv6/conf/all/forwarding', 1);
    expect(forwarding.apply({ ipv4: [], ipv6: ['tun0', 'c2'], anywhere: [] })).toEqual([]);
    expect(journal.record.settings).toEqual([]);
  });

  it('that a killed process left on is put back by the next start', () => {
    const before = all();
    forwarding.apply({ ipv4: ['tun0', 'c2'], ipv6: ['tun0', 'c2'], anywhere: [] });
    const next = new Forwarding(new HostLedger(journal), { netns: host.path });
    next.restoreAll();
    expect(all()).toEqual(before);
    expect(journal.record.settings).toEqual([]);
  });

  it('for everything behind the host is the administrator’s, who is told once', () => {
    const links = { ipv4: ['tun0'], ipv6: [], anywhere: [4] } as const;
    expect(forwarding.apply(links)).toEqual([
      "a network's source is everything, and this host forwards IPv4 from the tunnel only — set net.ipv4.conf.all.forwarding to 1 if it is to be a router",
    ]);
    expect(forwarding.apply(links)).toEqual([]);
    host.node.setSysctl('ipv4/conf/all/forwarding', 1);
    expect(forwarding.apply(links)).toEqual([]);
  });

  it('of a link that does not exist is no problem', () => {
    expect(forwarding.apply({ ipv4: ['gone'], ipv6: [], anywhere: [] })).toEqual([]);
    expect(journal.record.settings).toEqual([]);
  });
});

describe('the user’s commands', () => {
  it('switch links and set addresses', () => {
    host.addLink(1);
    const netlink = openNetlink();
    addLinkAddress(netlink, { address: '10.1.1.9', link: 'c1' });
    addLinkAddress(netlink, { address: '2001:db8::9', prefixLength: 64, link: 'c1' });
    expect(shown('addr show c1')).toContain('inet 10.1.1.9/24 ');
    expect(shown('addr show c1')).toContain('inet6 2001:db8::9/64 ');
    deleteLinkAddress(netlink, { address: '10.1.1.9', link: 'c1' });
    expect(shown('addr show c1')).not.toContain('10.1.1.9');
    setLinkUp(netlink, 'c1', false);
    expect(shown('link show c1')).not.toMatch(/[<,]UP[,>]/);
    setLinkUp(netlink, 'c1', true);
    expect(shown('link show c1')).toMatch(/[<,]UP[,>]/);
    expect(() => setLinkUp(netlink, 'c1;reboot', true)).toThrow('there is no link "c1;reboot"');
    expect(() => deleteLinkAddress(netlink, { address: '10.1.1.9', link: 'c1' })).toThrow('(EADDRNOTAVAIL)');
  });
});

describe('the public address', () => {
  /** A name server in wtk-net that answers each question as told; `undefined`: not at all. */
  async function nameServer(answer: (asked: number, from: string) => Uint8Array | string | undefined) {
    host.netIp('addr add 208.67.222.222/32 dev lo');
    host.netIp('link set lo up');
    for (const n of [1, 2]) host.netIp(`addr add 10.${n}.0.1/24 dev p${n}`);
    let asked = 0;
    const socket = createSocket('udp4');
    closers.push(() => socket.close());
    socket.on('message', (question, from) => {
      const told = answer(++asked, from.address);
      if (told === undefined) return;
      const reply = typeof told === 'string' ? answerTo(question, told) : told;
      socket.send(reply, from.port, from.address);
    });
    // Opened there by hand: Node's own sockets bind later, when this thread is back.
    const fd = host.net.inside(() => {
      const opened = openSocket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
      bindSocket(opened, { address: '208.67.222.222', port: 53 });
      return opened;
    });
    await new Promise<void>((resolve) => socket.bind({ fd, exclusive: true }, resolve));
    return { asked: () => asked };
  }

  /** An A record for the question, by hand. */
  function answerTo(question: Uint8Array, address: string): Uint8Array {
    const head = Uint8Array.from(question);
    head.set([0x81, 0x80], 2);
    head.set([0, 1], 6);
    const record = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)];
    return Uint8Array.from([...head, ...record]);
  }

  beforeEach(() => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
  });

  const ask = (n: number, rest: object = {}) =>
    askPublicAddress({
      localAddress: `10.${n}.0.2`,
      linkIndex: openNetlink().linkByName(`c${n}`)!.index,
      netns: host.path,
      ...rest,
    });

  it('is what the resolver sees, asked through the path’s own link', async () => {
    await nameServer((_asked, from) => from.replace('10.', '198.'));
    expect(await ask(1)).toBe('198.1.0.2');
    expect(await ask(2)).toBe('198.2.0.2');
  });

  it('is asked again when an answer is lost, or is none', async () => {
    const server = await nameServer((asked) => (asked === 1 ? Uint8Array.of(1, 2, 3) : '198.51.100.9'));
    expect(await ask(1, { tryMs: 20 })).toBe('198.51.100.9');
    expect(server.asked()).toBe(2);
  });

  it('is not known when nobody answers, after three tries', async () => {
    const server = await nameServer(() => undefined);
    expect(await ask(1, { tryMs: 10 })).toBeUndefined();
    expect(server.asked()).toBe(3);
  });

  it('is not known from an address that the host does not have, or when nobody wants to know any more', async () => {
    expect(await ask(1, { localAddress: '10.77.0.1' })).toBeUndefined();
    const abort = new AbortController();
    const answer = ask(1, { signal: abort.signal });
    abort.abort();
    expect(await answer).toBeUndefined();
    expect(await ask(1, { signal: abort.signal })).toBeUndefined();
  });
});
