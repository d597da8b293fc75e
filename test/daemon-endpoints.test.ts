/**
 * Endpoints follow reality: whatever happens to links and addresses, the daemon's endpoints are those of the addresses
 * that can be used. The host and its links are those of support/up-host.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonHost } from './support/daemon-host.ts';
import { until } from './support/up-host.ts';

let host: DaemonHost;

beforeEach(() => {
  host = new DaemonHost('wde-');
});
afterEach(() => host.close());

describe('addresses', () => {
  it('each has an endpoint with the flags, bound to its link, and limits two above their number', async () => {
    host.addUplink(1);
    await host.run();
    host.addUplink(2);
    await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
    for (const line of host.endpoints()) expect(line).toMatch(/ id \d+ subflow dev c[12]$/);
    expect(host.limits()).toBe('add_addr_accepted 6 subflows 6');
    host.ip('addr del 10.2.0.2/24 dev c2');
    await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 2001:db8:2::2');
    expect(host.limits()).toBe('add_addr_accepted 5 subflows 5');
    await host.end();
    expect(host.endpoints()).toEqual([]);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 2');
  });

  it('no flags are no flags, and then no announced addresses are accepted', async () => {
    host.addUplink(1, { v6: false });
    await host.run({ addressFlags: 0 });
    expect(host.endpoints()).toEqual(['10.1.0.2 id 1 dev c1']);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 3');
  });

  it('those of the start only when "existing" is asked for', async () => {
    host.addUplink(1, { v6: false });
    await host.run({ notify: { existing: false } });
    expect(host.endpoints()).toEqual([]);
    host.ip('addr add 10.1.0.3/24 dev c1');
    await host.placed('c1 10.1.0.3');
  });

  it('changed: the old endpoint goes, the new one comes', async () => {
    host.addUplink(1, { v6: false });
    await host.run();
    host.batch(['addr del 10.1.0.2/24 dev c1', 'addr add 10.1.0.77/24 dev c1']);
    await host.placed('c1 10.1.0.77');
  });

  it('moved to another link: the endpoint moves', async () => {
    host.addUplink(1, { v6: false });
    host.addLink(2);
    await host.run();
    host.batch(['addr del 10.1.0.2/24 dev c1', 'addr add 10.1.0.2/24 dev c2']);
    await host.placed('c2 10.1.0.2');
  });

  it('set before the link is up, or before it has a carrier', async () => {
    await host.run();
    host.ip(`link add c1 type veth peer name p1 netns ${host.net.namespace}`);
    host.ip('addr add 10.1.0.2/24 dev c1');
    host.ip('link set c1 up');
    await host.caughtUp();
    expect(host.places()).toEqual([]);
    host.plug(1, true);
    await host.placed('c1 10.1.0.2');
  });

  it('of a point-to-point link: its own, not the peer’s', async () => {
    host.addLink(1);
    await host.run();
    host.ip('addr add 10.5.0.1 peer 10.5.0.2/32 dev c1');
    host.ip('addr add 2001:db8:5::1 peer 2001:db8:5::2/128 dev c1');
    await host.placed('c1 10.5.0.1', 'c1 2001:db8:5::1');
  });

  it('of link scope only when asked for', async () => {
    host.addUplink(1, { v6: false });
    await host.run();
    host.ip('addr add 169.254.7.7/16 dev c1 scope link');
    await host.caughtUp();
    expect(host.places()).toEqual(['c1 10.1.0.2']);
    expect(host.verdict('169.254.7.7')).toBe('skipped because its scope is its link');
    await host.daemon.reload(host.options({ notify: { skipLinkLocal: false } }));
    const linkLocal = /inet6 (fe80::[0-9a-f:]+)/.exec(host.ip('-6 addr show dev c1'))![1]!;
    await host.placed('c1 10.1.0.2', 'c1 169.254.7.7', `c1 ${linkLocal}`);
  });
});

describe('links', () => {
  beforeEach(async () => {
    host.addUplink(1);
    host.addUplink(2);
    await host.run();
    await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
  });

  it('carrier lost and back', async () => {
    host.plug(1, false);
    await host.placed('c2 10.2.0.2', 'c2 2001:db8:2::2');
    host.plug(1, true);
    await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
    // And it is still followed.
    host.ip('addr del 10.1.0.2/24 dev c1');
    await host.placed('c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
  });

  it('down and up: what the kernel kept comes back', async () => {
    host.ip('link set c1 down');
    await host.placed('c2 10.2.0.2', 'c2 2001:db8:2::2');
    host.ip('link set c1 up');
    // IPv6 addresses go with the link.
    await host.placed('c1 10.1.0.2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
  });

  it('deleted, and made again with the same name and address', async () => {
    host.ip('link delete c1');
    await host.placed('c2 10.2.0.2', 'c2 2001:db8:2::2');
    host.addUplink(1);
    await host.placed('c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
  });

  it('renamed, while it is down and while it is up', async () => {
    host.ip('link set c1 down');
    host.ip('link set c1 name wan0');
    host.ip('link set wan0 up');
    await host.placed('wan0 10.1.0.2', 'c2 10.2.0.2', 'c2 2001:db8:2::2');
    const id = host.idOf('10.1.0.2');
    // The endpoint is bound to the link, whatever it is called.
    host.ip('link set wan0 name wan1');
    await until(() => host.daemon.status().interfaces.some(({ name }) => name === 'wan1'), 'the new name');
    expect(host.idOf('10.1.0.2')).toBe(id);
    expect(host.places()).toContain('wan1 10.1.0.2');
  });

  it('moved to another namespace', async () => {
    host.ip(`link set c1 netns ${host.net.namespace}`);
    await host.placed('c2 10.2.0.2', 'c2 2001:db8:2::2');
  });
});

describe('IPv6', () => {
  it('tentative: waits until duplicate address detection is over', async () => {
    host.addLink(1);
    host.node.setSysctl('ipv6/conf/c1/accept_dad', 1);
    await host.run();
    host.ip('addr add 2001:db8:1::2/64 dev c1');
    await host.caughtUp();
    expect(host.verdict('2001:db8:1::2')).toBe('tentative: waiting for duplicate address detection');
    expect(host.places()).toEqual([]);
    await host.placed('c1 2001:db8:1::2');
  });

  it('a duplicate is not used', async () => {
    host.addLink(1);
    host.node.setSysctl('ipv6/conf/c1/accept_dad', 1);
    host.netIp('addr add 2001:db8:1::2/64 dev p1 nodad');
    await host.run();
    host.ip('addr add 2001:db8:1::2/64 dev c1');
    await until(() => host.verdict('2001:db8:1::2')?.startsWith('skipped') === true, 'the duplicate');
    expect(host.verdict('2001:db8:1::2')).toContain('another host has it');
    expect(host.places()).toEqual([]);
  });

  it('deprecated is removed, preferred again comes back', async () => {
    host.addUplink(1, { v4: false });
    await host.run();
    await host.placed('c1 2001:db8:1::2');
    host.ip('addr change 2001:db8:1::2/64 dev c1 preferred_lft 0');
    await host.placed();
    expect(host.verdict('2001:db8:1::2')).toBe('skipped because it is deprecated');
    host.ip('addr change 2001:db8:1::2/64 dev c1 preferred_lft forever');
    await host.placed('c1 2001:db8:1::2');
  });

  it('temporary ones are used like others', async () => {
    host.addLink(1);
    host.node.setSysctl('ipv6/conf/c1/use_tempaddr', 2);
    await host.run();
    host.ip('addr add 2001:db8:1::2/64 dev c1 mngtmpaddr nodad');
    const temporary = () =>
      /inet6 (\S+)\/64 scope global temporary/.exec(host.ip('-6 addr show dev c1'))?.[1];
    await until(() => temporary() !== undefined, 'a temporary address');
    await host.placed('c1 2001:db8:1::2', `c1 ${temporary()}`);
  });
});
