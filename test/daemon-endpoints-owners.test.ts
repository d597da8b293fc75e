/**
 * Whose endpoints are whose: restarts, kill -9, other programs' endpoints, and a table that is full.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointFlag, PathManager } from '../src/mptcp/index.ts';
import { OWNS_NOTHING } from '../src/pathmanager/index.ts';
import { AddrAdv } from '../src/pathmanager/plugins/addr-adv.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { DaemonHost } from './support/daemon-host.ts';
import { until } from './support/up-host.ts';

let host: DaemonHost;

beforeEach(() => {
  host = new DaemonHost('wdo-');
});
afterEach(() => host.close());

const BOTH = ['c1 10.1.0.2', 'c1 2001:db8:1::2', 'c2 10.2.0.2', 'c2 2001:db8:2::2'];

describe('restarts', () => {
  beforeEach(() => {
    host.addUplink(1);
    host.addUplink(2);
  });

  it('a hundred starts and stops leave nothing', async () => {
    for (let i = 0; i < 100; i++) {
      await host.run();
      expect(host.daemon.status().endpoints.length).toBe(4);
      await host.end();
    }
    expect(host.endpoints()).toEqual([]);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 2');
    expect(host.stateFiles().filter((name) => name.endsWith('.json'))).toEqual([]);
  });

  it('endpoints that are kept at the end are taken over as they are', async () => {
    await host.run({ keepEndpoints: true });
    await host.placed(...BOTH);
    const before = host.endpoints();
    await host.end();
    expect(host.endpoints()).toEqual(before);
    await host.run();
    expect(host.endpoints()).toEqual(before);
    expect(host.daemon.status().ownEndpointIds.length).toBe(4);
    await host.end();
    expect(host.endpoints()).toEqual([]);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 2');
  });

  it('also without "existing": what an earlier run made stays, the rest is not made', async () => {
    await host.run({ keepEndpoints: true });
    await host.end();
    host.ip('addr add 10.1.0.3/24 dev c1');
    await host.run({ notify: { existing: false } });
    await host.placed(...BOTH);
  });

  /** @returns whether it was killed before it had done so many deeds */
  async function kill9(deeds?: number): Promise<boolean> {
    const program = await bundleTypeScript(new URL('support/daemon-child.ts', import.meta.url));
    const args = [program, host.path, host.stateFolder, ...(deeds === undefined ? [] : [String(deeds)])];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    if (deeds === undefined) {
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
    }
    const [code, signal] = await ended;
    expect(code ?? signal).toBe(signal === null ? 0 : 'SIGKILL');
    return signal !== null;
  }

  it('after kill -9 the same endpoints go on, and those of addresses that went meanwhile are removed', async () => {
    await kill9();
    expect(host.places()).toEqual(BOTH);
    const before = host.endpoints();
    host.ip('addr del 10.2.0.2/24 dev c2');
    await host.run();
    expect(host.endpoints()).toEqual(before.filter((line) => !line.startsWith('10.2.0.2 ')));
    expect(host.limits()).toBe('add_addr_accepted 5 subflows 5');
    await host.end();
    expect(host.endpoints()).toEqual([]);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 2');
  });

  it('killed between any two of its deeds: the next start makes it whole, and its end leaves nothing', async () => {
    let deeds = 0;
    while (await kill9(deeds)) {
      deeds++;
      await host.run();
      expect(host.places()).toEqual(BOTH);
      expect(host.limits()).toBe('add_addr_accepted 6 subflows 6');
      await host.end();
      expect(host.endpoints()).toEqual([]);
      expect(host.limits()).toBe('add_addr_accepted 0 subflows 2');
    }
    // Limits and their record, four endpoints and theirs; and all that back.
    expect(deeds).toBeGreaterThanOrEqual(13);
  });
});

describe('other programs', () => {
  it('keep their endpoints, at the start, in between and at the end', async () => {
    host.addUplink(1, { v6: false });
    host.addUplink(2, { v6: false });
    host.ip('mptcp endpoint add 10.1.0.2 id 9 signal');
    host.ip('mptcp endpoint add 203.0.113.1 id 11 subflow backup dev c2');
    const theirs = host.endpoints();
    await host.run();
    await host.placed('- 10.1.0.2', 'c2 10.2.0.2', 'c2 203.0.113.1');
    host.ip('link delete c1');
    host.ip('link delete c2');
    await until(() => host.idOf('10.2.0.2') === undefined, 'the own endpoint to go');
    await host.end();
    // The kernel shows a link that is gone by its number.
    expect(host.endpoints().map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual(
      theirs.map((line) => line.split(' ').slice(0, 4).join(' ')),
    );
  });

  it('take over an address, and give it back', async () => {
    host.addUplink(1, { v6: false });
    await host.run();
    host.ip(`mptcp endpoint delete id ${host.idOf('10.1.0.2')}`);
    host.ip('mptcp endpoint add 10.1.0.2 id 100 signal');
    host.ip('addr add 10.1.0.3/24 dev c1');
    await host.placed('- 10.1.0.2', 'c1 10.1.0.3');
    expect(host.idOf('10.1.0.2')).toBe(100);
    host.ip('mptcp endpoint delete id 100');
    host.ip('addr add 10.1.0.4/24 dev c1');
    await host.placed('c1 10.1.0.2', 'c1 10.1.0.3', 'c1 10.1.0.4');
  });

  it('an endpoint that the daemon only changed by hand stays changed', async () => {
    host.addUplink(1, { v6: false });
    await host.run();
    host.ip(`mptcp endpoint change id ${host.idOf('10.1.0.2')} backup`);
    host.ip('addr add 10.1.0.3/24 dev c1');
    await host.placed('c1 10.1.0.2', 'c1 10.1.0.3');
    expect(host.endpoints()[0]).toContain('backup');
    await host.end();
    expect(host.endpoints()).toEqual([]);
  });

  it('keep limits that they set', async () => {
    host.addUplink(1, { v6: false });
    host.ip('mptcp limits set subflows 7');
    await host.run();
    host.ip('mptcp limits set add_addr_accepted 8');
    host.addUplink(2, { v6: false });
    await host.placed('c1 10.1.0.2', 'c2 10.2.0.2');
    expect(host.limits()).toBe('add_addr_accepted 8 subflows 7');
    await host.end();
    expect(host.limits()).toBe('add_addr_accepted 8 subflows 7');
  });
});

describe('a full table', () => {
  /** Fills the kernel's table with another program's endpoints but for `free` places. @returns their ids */
  function fill(free: number): number[] {
    const ids: number[] = [];
    for (let id = 255; id > 0; id--) {
      try {
        host.ip(`mptcp endpoint add 198.51.100.${id} id ${id} signal`);
      } catch {
        break;
      }
      ids.push(id);
    }
    for (const id of ids.splice(0, free)) host.ip(`mptcp endpoint delete id ${id}`);
    return ids;
  }

  const own = () => host.places().filter((place) => place.startsWith('c'));

  it('the addresses beyond it wait, and take each place that becomes free', async () => {
    host.addLink(1);
    for (let n = 1; n <= 5; n++) host.ip(`addr add 10.1.0.${n}/32 dev c1`);
    const theirs = fill(2);
    await host.run();
    expect(own()).toEqual(['c1 10.1.0.1', 'c1 10.1.0.2']);
    const { addresses = [] } = host.daemon.status().interfaces[0] ?? {};
    const states = addresses.flatMap(({ endpoint }) => endpoint?.state ?? []);
    expect(states).toEqual(['own', 'own', 'waiting', 'waiting', 'waiting']);
    // One of its own.
    host.ip('addr del 10.1.0.1/32 dev c1');
    await until(() => own().join(' ') === 'c1 10.1.0.2 c1 10.1.0.3', 'the third address to take the place');
    // One of another program's, of which the kernel sends no message.
    host.ip(`mptcp endpoint delete id ${theirs[0]}`);
    await until(() => own().length === 3, 'the fourth');
    expect(own()).toEqual(['c1 10.1.0.2', 'c1 10.1.0.3', 'c1 10.1.0.4']);
    await host.end();
    expect(own()).toEqual([]);
    expect(host.endpoints().length).toBe(theirs.length - 1);
  });

  it('is looked at again while addresses wait, without any message', async () => {
    host.addLink(1);
    host.ip('addr add 10.1.0.1/32 dev c1');
    const theirs = fill(0);
    const pathManager = PathManager.open({ netns: host.path });
    const addrAdv = new AddrAdv({
      pathManager,
      journal: { load: () => OWNS_NOTHING, save: () => {} },
      addressFlags: EndpointFlag.subflow,
      logger: host.logger,
    });
    const linkIndex = host.node.linkIndex('c1');
    addrAdv.reconcile([{ address: '10.1.0.1', linkIndex, linkName: 'c1', state: 'announced' }]);
    expect(own()).toEqual([]);
    host.ip(`mptcp endpoint delete id ${theirs[0]}`);
    await until(() => own().length === 1, 'the place to be taken');
    expect(addrAdv.stop(false)).toEqual([]);
    pathManager.close();
    expect(own()).toEqual([]);
  });

  it('endpoints of an earlier run keep their places', async () => {
    host.addLink(1);
    for (let n = 4; n <= 5; n++) host.ip(`addr add 10.1.0.${n}/32 dev c1`);
    fill(2);
    await host.run({ keepEndpoints: true });
    const before = host.endpoints();
    await host.end();
    // First in the kernel's list, but not first to come.
    host.batch(['addr flush dev c1', ...[1, 2, 3, 4, 5].map((n) => `addr add 10.1.0.${n}/32 dev c1`)]);
    await host.run();
    expect(host.endpoints()).toEqual(before);
    // The first look found out how many places there are.
    await host.daemon.reload(host.options());
    expect(host.endpoints()).toEqual(before);
  });
});
