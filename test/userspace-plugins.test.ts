/**
 * The shipped userspace plugins with the real kernel: real connections that carry data, their subflows counted by
 * socket diagnostics at both ends. The hosts are drawn in support/plugin-paths.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PathManager } from '../src/mptcp/index.ts';
import { PluginPaths, QUICKLY, SOON } from './support/plugin-paths.ts';

let paths: PluginPaths;

beforeAll(async () => {
  paths = await PluginPaths.make('weft-usp');
});
afterEach(async () => {
  await paths.reset();
});
afterAll(async () => {
  await paths.remove();
});

describe('fullmesh', () => {
  describe.each([
    { family: 'IPv4', net: '10.9.', host: '.1', server: '10.9.100.1', second: '10.9.101.1' },
    { family: 'IPv6', net: 'fd09:', host: '::1', server: 'fd09:100::1', second: 'fd09:101::1' },
  ])('over $family', ({ net, host, server, second }) => {
    const at = (n: number) => `${net}${n}${host}`;

    it('makes every subflow, and makes a killed one anew', async () => {
      await paths.start('fullmesh', QUICKLY);
      const connection = await paths.connect(server);
      const pairs = [`${at(1)}>${server}`, `${at(2)}>${server}`];
      await paths.expectPairs(connection, pairs);
      const joins = paths.counter('b', 'MPJoinAckRx');

      const dead = paths.subflows(connection.token).find((subflow) => subflow.localAddress === at(2))!;
      paths.kill(dead);
      const isAnother = () =>
        paths
          .subflows(connection.token)
          .some(({ localAddress, localPort }) => localAddress === at(2) && localPort !== dead.localPort);
      await expect.poll(isAnother, SOON).toBe(true);
      await paths.expectPairs(connection, pairs);
      expect(paths.counter('b', 'MPJoinAckRx')).toBe(joins + 1);

      // The one that the connection began with, too.
      const first = paths.subflows(connection.token).find((subflow) => subflow.initial);
      paths.kill(first!);
      await expect
        .poll(() => paths.subflows(connection.token).some((subflow) => subflow.initial), SOON)
        .toBe(false);
      await paths.expectPairs(connection, pairs);
    });

    it('goes to every address that the peer announces', async () => {
      paths.hosts.ipB('mptcp', 'endpoint', 'add', second, 'id', '9', 'signal');
      try {
        await paths.start('fullmesh', QUICKLY);
        const connection = await paths.connect(server);
        await paths.expectPairs(connection, [
          `${at(1)}>${server}`,
          `${at(2)}>${server}`,
          `${at(1)}>${second}`,
          `${at(2)}>${second}`,
        ]);
        expect(paths.subflows(connection.token).map((subflow) => subflow.remoteId)).toContain(9);
      } finally {
        paths.hosts.ipB('mptcp', 'endpoint', 'delete', 'id', '9');
      }
    });

    it('follows an address that comes and goes', async () => {
      await paths.start('fullmesh', QUICKLY);
      const connection = await paths.connect(server);
      const two = [`${at(1)}>${server}`, `${at(2)}>${server}`];
      await paths.expectPairs(connection, two);
      paths.addLink(3);
      await paths.expectPairs(connection, [...two, `${at(3)}>${server}`]);
      const withdrawn = paths.counter('b', 'RmAddr');
      paths.removeLink(3);
      await paths.expectPairs(connection, two);
      expect(paths.counter('b', 'RmAddr')).toBe(withdrawn + 1);
    });
  });

  const SERVER = '10.9.100.1';
  const TWO = ['10.9.1.1>10.9.100.1', '10.9.2.1>10.9.100.1'];

  it('leaves the path that the connection began with, when it is lost, and comes back to it', async () => {
    await paths.start('fullmesh', QUICKLY);
    const connection = await paths.connect(SERVER);
    await paths.expectPairs(connection, TWO);
    paths.plug(1, false);
    try {
      await paths.expectPairs(connection, ['10.9.2.1>10.9.100.1']);
    } finally {
      paths.plug(1, true);
    }
    await paths.expectPairs(connection, TWO);
  });

  it('does not give up while a path refuses, and does not hammer it', async () => {
    paths.refuse('10.9.2.1');
    try {
      await paths.start('fullmesh', { 'first-retry': '0.1', 'longest-retry': '0.4' });
      const before = paths.counter('a', 'MPJoinSynTx');
      const attempts = () => paths.counter('a', 'MPJoinSynTx') - before;
      const began = performance.now();
      const connection = await paths.connect(SERVER);
      await expect.poll(attempts, SOON).toBeGreaterThanOrEqual(4);
      // The first at once, the others no sooner than half of the delays say.
      expect(attempts()).toBeLessThanOrEqual(2 + (performance.now() - began) / 50);
      expect(paths.pairs(connection.token)).toEqual(TWO.slice(0, 1));
      paths.refuse();
      await paths.expectPairs(connection, TWO);
    } finally {
      paths.refuse();
    }
  });

  it('stays below its maximum', async () => {
    paths.addLink(3);
    try {
      await paths.start('fullmesh', { ...QUICKLY, 'max-subflows': '2' });
      const connection = await paths.connect(SERVER);
      await paths.expectPairs(connection, TWO);
      const dead = paths.subflows(connection.token).find((one) => one.localAddress === '10.9.2.1')!;
      const joins = paths.counter('a', 'MPJoinSynTx');
      paths.kill(dead);
      await expect.poll(() => paths.counter('a', 'MPJoinSynTx'), SOON).toBe(joins + 1);
      await expect.poll(() => paths.subflows(connection.token).length, SOON).toBe(2);
    } finally {
      paths.removeLink(3);
    }
  });

  it('makes nothing for connections that were accepted here, unless told otherwise', async () => {
    // The daemon is at the server; the client announces its second address, and has a listener there.
    const { netnsA, netnsB } = paths.hosts;
    paths.writeSysctl('a', 'kernel');
    paths.writeSysctl('b', 'userspace');
    paths.hosts.ipA('mptcp', 'endpoint', 'add', '10.9.2.1', 'id', '3', 'port', '7777', 'signal');
    try {
      const seen: string[] = [];
      const daemon = await paths.start('fullmesh', QUICKLY, { netns: netnsB });
      const before = await paths.connect('10.9.1.2');
      await expect.poll(() => paths.counter('b', 'AddAddr'), SOON).toBeGreaterThan(0);
      await paths.exchange(before);
      expect(paths.subflows(before.token, netnsA)).toHaveLength(1);
      expect(seen).toEqual([]);
      await paths.stop(daemon);

      await paths.start('fullmesh', { ...QUICKLY, server: 'yes' }, { netns: netnsB });
      const after = await paths.connect('10.9.1.2');
      const local = () =>
        paths.subflows(after.token, netnsA).map((one) => `${one.localAddress}:${one.localPort}`);
      await expect.poll(local, SOON).toContain('10.9.2.1:7777');
      await paths.exchange(after);
    } finally {
      paths.hosts.ipA('mptcp', 'endpoint', 'flush');
      paths.writeSysctl('a', 'userspace');
      paths.writeSysctl('b', 'kernel');
    }
  });

  it('takes over the connections of a daemon that was before it', async () => {
    paths.addLink(3);
    try {
      const former = await paths.start('fullmesh', QUICKLY);
      const connection = await paths.connect(SERVER);
      const three = [...TWO, '10.9.3.1>10.9.100.1'];
      await paths.expectPairs(connection, three);
      await paths.stop(former);
      const joins = paths.counter('a', 'MPJoinSynTx');
      // The last one made had the highest id; a new daemon gives it the lowest, which is another address's here.
      const at = (address: string) =>
        paths.subflows(connection.token).find((one) => one.localAddress === address)!;
      paths.kill(at('10.9.3.1'));
      await expect.poll(() => paths.pairs(connection.token), SOON).toEqual(TWO);
      await paths.start('fullmesh', QUICKLY);
      await paths.expectPairs(connection, three);
      paths.kill(at('10.9.2.1'));
      await expect.poll(() => paths.counter('a', 'MPJoinSynTx'), SOON).toBe(joins + 2);
      await paths.expectPairs(connection, three);
      expect(paths.counter('a', 'MPJoinSynTx')).toBe(joins + 2);
    } finally {
      paths.removeLink(3);
    }
  });

  it('says once what to do when the kernel keeps connections for itself, and leaves them alone', async () => {
    paths.writeSysctl('a', 'kernel');
    try {
      await paths.start('fullmesh', QUICKLY);
      const warnings = paths.log.filter((line) => line.startsWith('warn'));
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(
        /^warn plugin "fullmesh" makes no subflows: .* sysctl -w net\.mptcp\.path_manager=userspace$/,
      );
      const left = () => paths.log.filter((line) => line.includes('are left to it: '));
      const both = [await paths.connect(SERVER), await paths.connect(SERVER)];
      await expect.poll(() => left().length, SOON).toBeGreaterThan(0);
      for (const connection of both) await paths.exchange(connection);
      expect(left()).toHaveLength(1);
      expect(left()[0]).toContain('userspace PM not selected');
    } finally {
      paths.writeSysctl('a', 'userspace');
    }
  });
});

describe('ndiffports', () => {
  it('makes several subflows between the same addresses, and dead ones anew', async () => {
    await paths.start('ndiffports', { ...QUICKLY, subflows: '4' });
    const connection = await paths.connect();
    const pairs = Array.from({ length: 4 }, () => '10.9.1.1>10.9.100.1');
    await paths.expectPairs(connection, pairs);
    const ports = () => paths.subflows(connection.token).map((one) => one.localPort);
    const before = ports();
    expect(new Set(before).size).toBe(4);
    for (const subflow of paths.subflows(connection.token).slice(1, 3)) paths.kill(subflow);
    const renewed = () => ports().filter((port) => !before.includes(port)).length;
    await expect.poll(renewed, SOON).toBe(2);
    await paths.expectPairs(connection, pairs);
  });

  it('makes two when nothing is said', async () => {
    await paths.start('ndiffports');
    await paths.expectPairs(await paths.connect('fd09:100::1'), [
      'fd09:1::1>fd09:100::1',
      'fd09:1::1>fd09:100::1',
    ]);
  });
});

describe('sspi', () => {
  const CLOSING = /Subflow already exists on network interface \((\d+)\)\. Closing new subflow\./;

  it('announces the other interface to the server, whose subflow it then has there, and no second one', async () => {
    paths.hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '4');
    const manager = PathManager.open({ netns: paths.hosts.netnsA });
    try {
      await paths.start('sspi');
      const connection = await paths.connect('10.9.1.2');
      const locals = () =>
        paths
          .subflows(connection.token)
          .map((one) => one.localAddress)
          .sort();
      await expect.poll(locals, SOON).toContain('10.9.2.1');
      const announced = paths.log.flatMap((line) => / announced (\S+):\d+ /.exec(line)?.[1] ?? []);
      expect(announced).toEqual(['10.9.2.1', '[fd09:2::1]']);

      manager.createSubflow(connection.token, {
        local: { address: '10.9.2.1', id: 77 },
        remote: { address: '10.9.1.2', port: paths.port },
      });
      const told = () => paths.log.filter((line) => CLOSING.test(line));
      await expect.poll(() => told().length, SOON).toBeGreaterThan(0);
      await expect.poll(locals, SOON).toEqual(['10.9.1.1', '10.9.2.1']);
      await paths.exchange(connection);

      // A second connection's announcement names the same listener.
      await paths.connect('10.9.1.2');
      const places = () => paths.log.flatMap((line) => / announced (10\.9\.2\.1:\d+) /.exec(line)?.[1] ?? []);
      await expect.poll(() => places().length, SOON).toBe(2);
      expect(new Set(places()).size).toBe(1);
    } finally {
      manager.close();
      paths.hosts.ipB('mptcp', 'limits', 'set', 'add_addr_accepted', '0');
    }
  });

  it('serves connections that a listener on :: accepted', async () => {
    paths.writeSysctl('a', 'kernel');
    paths.writeSysctl('b', 'userspace');
    try {
      await paths.start('sspi', {}, { netns: paths.hosts.netnsB });
      const connection = await paths.connect('10.9.1.2');
      // The client's kernel joins the announced address of the server's other interface.
      await expect.poll(() => paths.pairs(connection.token), SOON).toContain('10.9.2.1>10.9.2.2');
      await paths.exchange(connection);
      expect(paths.log.filter((line) => line.includes('No network interface'))).toEqual([]);
    } finally {
      paths.writeSysctl('a', 'userspace');
      paths.writeSysctl('b', 'kernel');
    }
  });

  it('says that the address of a connection is on no interface', async () => {
    await paths.start('sspi', {}, { rules: [{ interface: 'v1', use: false }] });
    await paths.connect('10.9.1.2');
    await expect
      .poll(() => paths.log, SOON)
      .toContain('warn No network interface with given IP address. (10.9.1.1)');
  });
});
