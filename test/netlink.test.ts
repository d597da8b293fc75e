/**
 * netlink and the path manager against the kernel.
 *
 *    ns weft-nl-a  v1 10.1.0.1/24, fd01::1/64 ─── veth ─── v2 10.1.0.2/24, fd01::2/64  ns weft-nl-b
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  EventType,
  openStreamSocket,
  PathManager,
  watchMptcpEvents,
  type MptcpEvent,
} from '../src/mptcp/index.ts';
import {
  acceptFrom,
  addNamespace,
  AF_NETLINK,
  bindSocket,
  deleteNamespace,
  inNamespace,
  listenOn,
  localAddressOf,
  namespacePath,
  openSocket,
  SOCK_RAW,
  startConnect,
  closeFd,
} from '../src/native/index.ts';
import {
  EventSocket,
  IFF_UP,
  NetlinkConnection,
  NetlinkError,
  RouteNetlink,
  watchRoutes,
  type RouteEvent,
} from '../src/netlink/index.ts';

const NODES = ['weft-nl-a', 'weft-nl-b'] as const;
const netns = namespacePath(NODES[0]);

const ip = (...args: string[]) => execFileSync('ip', ['-n', NODES[0], ...args], { encoding: 'utf8' });

function until(condition: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => (condition() ? resolve() : setImmediate(look));
    look();
  });
}

let route: RouteNetlink;

beforeEach(() => {
  for (const node of NODES) addNamespace(node);
  route = RouteNetlink.open({ netns });
  const other = openSync(namespacePath(NODES[1]), 'r');
  route.addLink({ name: 'v1', kind: 'veth', peer: { name: 'v2', netnsFd: other } });
  closeSync(other);
  const peer = RouteNetlink.open({ netns: namespacePath(NODES[1]) });
  peer.setLink(peer.linkByName('v2')!.index, { up: true });
  peer.close();
});

afterEach(() => {
  route.close();
  for (const node of NODES) deleteNamespace(node);
});

describe('rtnetlink', () => {
  it('does what ip(8) then shows', () => {
    const index = route.linkByName('v1')!.index;
    route.setLink(index, { up: true, mtuBytes: 1400 });
    route.addAddress({ linkIndex: index, address: '10.1.0.1', prefixLength: 24 });
    route.addAddress({ linkIndex: index, address: 'fd01::1', prefixLength: 64, flags: 2 });
    route.addRoute({ gateway: '10.1.0.2', table: 1000, linkIndex: index, protocol: 178, priority: 7 });
    route.addRoute({ gateway: 'fd01::2', table: 70_000, linkIndex: index, protocol: 178 });
    route.addRule({ priority: 900, source: { address: '10.1.0.1', length: 32 }, table: 1000, protocol: 178 });
    route.addRule({
      priority: 901,
      source: { address: 'fd01::1', length: 128 },
      table: 70_000,
      protocol: 178,
    });

    expect(ip('-o', 'link', 'show', 'v1')).toMatch(/v1@.* mtu 1400 .*state UP/);
    expect(ip('route', 'show', 'table', '1000')).toBe('default via 10.1.0.2 dev v1 proto 178 metric 7 \n');
    expect(ip('-6', 'route', 'show', 'table', '70000')).toMatch(
      /^default via fd01::2 dev v1 proto 178 metric 1024/,
    );
    expect(ip('rule')).toContain('900:\tfrom 10.1.0.1 lookup 1000 proto 178');
    expect(ip('-6', 'rule')).toContain('901:\tfrom fd01::1 lookup 70000 proto 178');
    expect(route.lookupRoute({ destination: '192.0.2.1', source: '10.1.0.1' })).toMatchObject({
      gateway: '10.1.0.2',
      table: 1000,
    });
    expect(
      route.lookupRoute({ destination: '2001:db8::1', source: 'fd01::1', outputLinkIndex: index }),
    ).toMatchObject({ gateway: 'fd01::2', table: 70_000 });

    route.deleteRule({
      priority: 900,
      source: { address: '10.1.0.1', length: 32 },
      table: 1000,
      protocol: 178,
    });
    route.deleteRule({
      priority: 901,
      source: { address: 'fd01::1', length: 128 },
      table: 70_000,
      protocol: 178,
    });
    route.deleteRoute({ gateway: '10.1.0.2', table: 1000, linkIndex: index, protocol: 178, priority: 7 });
    route.deleteRoute({ gateway: 'fd01::2', table: 70_000, linkIndex: index, protocol: 178 });
    expect(route.rules().filter((rule) => rule.protocol === 178)).toEqual([]);
    expect(route.routes().filter((item) => item.protocol === 178)).toEqual([]);
  });

  it('reads what ip(8) made: point-to-point, multipath, on-link, link flags', () => {
    ip('link', 'set', 'v1', 'up');
    ip('addr', 'add', '10.9.9.1', 'peer', '10.9.9.2/32', 'dev', 'v1');
    ip('addr', 'add', '10.1.0.1/24', 'dev', 'v1');
    ip(
      'route',
      'add',
      'default',
      'nexthop',
      'via',
      '10.1.0.2',
      'dev',
      'v1',
      'nexthop',
      'via',
      '10.1.0.3',
      'dev',
      'v1',
    );
    ip('route', 'add', '198.51.100.0/24', 'via', '203.0.113.9', 'dev', 'v1', 'onlink', 'metric', '9');
    const link = route.linkByName('v1')!;
    expect(link.kind).toBe('veth');
    expect(link.flags & IFF_UP).toBe(IFF_UP);
    expect(link.carrier).toBe(true);
    expect(route.addresses()).toContainEqual(
      expect.objectContaining({ address: '10.9.9.1', peer: '10.9.9.2', prefixLength: 32 }),
    );
    const multipath = route.routes().find((item) => item.nextHops !== undefined);
    expect(multipath?.destination).toBeUndefined();
    expect(multipath?.nextHops?.map((hop) => hop.gateway)).toEqual(['10.1.0.2', '10.1.0.3']);
    expect(route.routes()).toContainEqual(
      expect.objectContaining({
        destination: { address: '198.51.100.0', length: 24 },
        gateway: '203.0.113.9',
        priority: 9,
      }),
    );
  });

  it('gives the kernel text of a refusal', () => {
    const index = route.linkByName('v1')!.index;
    route.setLink(index, { up: true });
    const attempt = () => route.addRoute({ gateway: '10.99.0.1', table: 1000, linkIndex: index });
    expect(attempt).toThrow(NetlinkError);
    expect(attempt).toThrow('add route default to table 1000: Nexthop has invalid gateway (ENETUNREACH)');
  });

  it('a dump of more than one datagram is whole', () => {
    const index = route.linkByName('v1')!.index;
    route.setLink(index, { up: true });
    route.addAddress({ linkIndex: index, address: '10.1.0.1', prefixLength: 24 });
    const wanted = Array.from({ length: 2000 }, (_, i) => `198.18.${i >> 8}.${i & 255}`);
    for (const address of wanted)
      route.addRoute({ destination: { address, length: 32 }, table: 1000, linkIndex: index });
    const found = route.routes().filter((item) => item.table === 1000);
    expect(found.map((item) => item.destination?.address)).toEqual(wanted);
  });

  it('reports every change in order, and an overrun when it could not', async () => {
    const events: RouteEvent[] = [];
    const watch = watchRoutes((event) => events.push(event), { netns });
    const index = route.linkByName('v1')!.index;
    route.setLink(index, { up: true });
    route.addAddress({ linkIndex: index, address: '10.1.0.1', prefixLength: 24 });
    route.addRule({ priority: 900, source: { address: '10.1.0.1', length: 32 }, table: 1000 });
    route.deleteAddress({ linkIndex: index, address: '10.1.0.1', prefixLength: 24 });
    const said = (kind: string, action: string) =>
      events.some((event) => event.kind === kind && 'action' in event && event.action === action);
    await until(
      () => said('link', 'new') && said('route', 'new') && said('rule', 'new') && said('address', 'delete'),
    );
    watch.close();
    expect(events.map((event) => event.kind)).not.toContain('overrun');

    let overruns = 0;
    const groups = [{ id: 5, name: 'ipv4 address' }];
    const small = new EventSocket(
      0,
      groups,
      { onMessage: () => {}, onOverrun: () => overruns++ },
      { netns, receiveBufferBytes: 2048 },
    );
    for (let i = 0; i < 200; i++)
      route.addAddress({ linkIndex: index, address: `10.2.0.${i + 1}`, prefixLength: 24 });
    await until(() => overruns > 0);
    expect(small.overruns).toBe(overruns);
    small.close();
  });
});

describe('connection', () => {
  it('leaves no descriptor behind, also when the kernel refuses', () => {
    const probe = () => {
      const fd = openSocket(AF_NETLINK, SOCK_RAW, 0);
      closeFd(fd);
      return fd;
    };
    const before = probe();
    for (let i = 0; i < 20; i++) {
      const connection = new NetlinkConnection(0, { netns });
      connection.close();
      connection.close();
      expect(() => new NetlinkConnection(99, { netns })).toThrow(/EPROTONOSUPPORT/);
    }
    expect(probe()).toBe(before);
  });

  it('refuses to work once closed', () => {
    const connection = RouteNetlink.open({ netns });
    connection.close();
    expect(() => connection.links()).toThrow('list links: the netlink connection is closed');
  });

  it('names the namespace that does not exist', () => {
    expect(() => RouteNetlink.open({ netns: namespacePath('weft-none') })).toThrow(
      /"\/run\/netns\/weft-none": No such file/,
    );
  });
});

describe('path manager', () => {
  it('sets endpoints and limits that ip(8) then shows', () => {
    const manager = PathManager.open({ netns });
    const index = route.linkByName('v1')!.index;
    route.setLink(index, { up: true });
    // A port makes the kernel listen on the address, so the link must have it.
    route.addAddress({ linkIndex: index, address: 'fd01::1', prefixLength: 64, flags: 2 });
    manager.addEndpoint({ address: '10.1.0.1', flags: 6, linkIndex: index });
    manager.addEndpoint({ address: 'fd01::1', flags: 1, id: 9, port: 10100 });
    manager.setLimits({ subflows: 4 });
    expect(ip('mptcp', 'endpoint')).toBe(
      '10.1.0.1 id 1 subflow backup dev v1 \nfd01::1 port 10100 id 9 signal \n',
    );
    expect(ip('mptcp', 'limits')).toBe('add_addr_accepted 0 subflows 4 \n');
    manager.setEndpointFlags({ id: 1, flags: 8 });
    expect(manager.endpoint(1)).toEqual({ address: '10.1.0.1', port: 0, id: 1, flags: 10, linkIndex: index });
    manager.deleteEndpoint({ id: 9 });
    expect(manager.endpoints()).toHaveLength(1);
    manager.flushEndpoints();
    expect(manager.endpoints()).toEqual([]);
    expect(() => manager.setLimits({ subflows: 1_000_000 })).toThrow(/limit greater than maximum/);
    manager.close();
  });

  it('gives the events of a connection, and the kernel carries out commands on it', async () => {
    inNamespace(netns, () => execFileSync('ip', ['link', 'set', 'lo', 'up']));
    const events: MptcpEvent[] = [];
    const watch = watchMptcpEvents(
      { onEvent: (event) => events.push(event), onOverrun: () => {} },
      { netns },
    );
    const [listener, client] = inNamespace(
      netns,
      () => [openStreamSocket(2).fd, openStreamSocket(2).fd] as const,
    );
    bindSocket(listener, { address: '127.0.0.1', port: 0 });
    listenOn(listener, 1);
    startConnect(client, localAddressOf(listener)!);
    await until(() => events.filter((event) => event.type === EventType.created).length === 2);
    const token = events.find(
      (event) => event.type === EventType.created && event.serverSide === undefined,
    )!.token!;
    const manager = PathManager.open({ netns });
    const announce = () => manager.announce(token, { address: '127.0.0.2', id: 3, flags: 1 });
    expect(announce).toThrow(/userspace PM not selected/);
    const accepted = acceptFrom(listener)!;
    for (const fd of [client, accepted, listener]) closeFd(fd);
    await until(() => events.some((event) => event.type === EventType.closed && event.token === token));
    manager.close();
    watch.close();
  });
});
