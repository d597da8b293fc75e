/**
 * The supervisor and what is not its own: other programs' endpoints, limits, rules and routes; an earlier process
 * that was killed; a second one. The host is drawn in support/up-host.ts.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleTypeScript } from './support/bundle.ts';
import { pathStates, until, UpHost } from './support/up-host.ts';

let host: UpHost;

beforeEach(() => {
  host = new UpHost('wupo-');
});

afterEach(async () => {
  await host.close();
});

function twoUplinks(): void {
  host.addUplink(1, { v6: false });
  host.addUplink(2, { v6: false });
}

describe('what others made', () => {
  it('endpoints: one of the same address is used and stays; others stay', async () => {
    twoUplinks();
    host.ip('mptcp endpoint add 10.1.0.2 id 40 subflow signal dev c1');
    host.ip('mptcp endpoint add 192.0.2.9 id 41 signal');
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    expect(host.endpoints()).toEqual([
      '10.1.0.2 id 40 signal subflow dev c1',
      '192.0.2.9 id 41 signal',
      '10.2.0.2 id 42 subflow dev c2',
    ]);
    expect(supervisor.status().paths.map((path) => [path.state, path.endpointId])).toEqual([
      ['active', 40],
      ['active', 42],
    ]);
    expect(supervisor.status().endpoints.map((endpoint) => [endpoint.id, endpoint.ours])).toEqual([
      [40, false],
      [41, false],
      [42, true],
    ]);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });

  it('says when another program’s endpoint is of no use', async () => {
    twoUplinks();
    host.ip('mptcp endpoint add 10.1.0.2 id 40 signal');
    const supervisor = await host.start();
    expect(supervisor.status().paths[0]).toMatchObject({
      state: 'waiting',
      why: expect.stringContaining('no "subflow" flag') as string,
    });
  });

  it('a backup flag that the user gives a running endpoint stays, and the endpoint is still removed', async () => {
    twoUplinks();
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    host.ip('mptcp endpoint change id 2 backup');
    host.ip('addr add 10.1.0.50/24 dev c1');
    await until(() => host.endpoints().length === 3, 'the next look');
    expect(host.endpoints()[1]).toBe('10.2.0.2 id 2 subflow backup dev c2');
    host.ip('addr del 10.1.0.50/24 dev c1');
    await until(() => host.endpoints().length === 2, 'the look after that');
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });

  it('limits: higher ones stay; one that is changed meanwhile stays changed', async () => {
    twoUplinks();
    host.ip('mptcp limits set subflows 7 add_addr_accepted 1');
    const supervisor = await host.start();
    expect(host.limits()).toBe('add_addr_accepted 2 subflows 7');
    host.ip('mptcp limits set add_addr_accepted 5');
    host.addUplink(3, { v6: false });
    await until(() => host.endpoints().length === 3, 'the third path');
    expect(host.limits()).toBe('add_addr_accepted 5 subflows 7');
    expect(host.log.join('\n')).toContain('another program set the MPTCP limit "addAddrAccepted" to 5');
    await host.stop(supervisor);
    expect(host.limits()).toBe('add_addr_accepted 5 subflows 7');
  });

  it('rules, tables and routes: tables in use are avoided, and an address that is routed already is left so', async () => {
    twoUplinks();
    host.ip('route add 198.51.100.0/24 via 10.1.0.1 dev c1 table 17800');
    host.ip('rule add from 192.0.2.1 lookup 17801 priority 17800');
    host.ip('route add default via 10.2.0.1 dev c2 table 200');
    host.ip('rule add from 10.2.0.2 lookup 200 priority 100');
    await host.settle();
    const before = host.snapshot();
    const supervisor = await host.start();
    expect(host.rules()).toEqual([
      '100: from 10.2.0.2 lookup 200',
      '17800: from 10.1.0.2 lookup 17802 proto 178',
      '17800: from 192.0.2.1 lookup 17801',
    ]);
    expect(host.endpoints()).toHaveLength(2);
    expect(supervisor.status().paths.map((path) => path.table)).toEqual([17_802, 200]);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });

  it('who removes Weft’s rule or route gets it back', async () => {
    twoUplinks();
    await host.start();
    const [rules, table] = [host.rules(), host.table(17_801)];
    host.ip('rule del from 10.2.0.2 lookup 17801');
    await until(() => host.rules().length === 2, 'the rule to come back');
    expect(host.rules()).toEqual(rules);
    host.ip('route flush table 17801');
    await until(() => host.table(17_801).length === table.length, 'the table to come back');
    expect(host.table(17_801)).toEqual(table);
  });
});

describe('the record', () => {
  it('is readable by its owner only, names this namespace, and goes with what it records', async () => {
    twoUplinks();
    const supervisor = await host.start();
    const path = host.statePath('json')!;
    expect(path).toContain(`paths-${statSync(host.path).ino}.json`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
      pid: process.pid,
      record: {
        endpoints: [
          { address: '10.1.0.2', id: 1 },
          { address: '10.2.0.2', id: 2 },
        ],
        limits: { subflows: { former: 2, set: 4 }, addAddrAccepted: { former: 0, set: 2 } },
      },
    });
    await host.stop(supervisor);
    expect(host.stateFiles()).toEqual([]);
  });

  it.each([
    [
      'of another namespace with the same number',
      (text: string) => text.replace(/"cookie":"\d+"/, '"cookie":"1"'),
    ],
    ['of another boot', (text: string) => text.replace(/"bootId":"[^"]+"/, '"bootId":"x"')],
    ['that is damaged', (text: string) => text.slice(0, 40)],
  ])('%s is not believed', async (_, damage) => {
    twoUplinks();
    const supervisor = await host.start();
    const path = host.statePath('json')!;
    const text = readFileSync(path, 'utf8');
    await host.stop(supervisor);
    // An endpoint exactly like the one in the record, and not Weft's.
    host.ip('mptcp endpoint add 10.1.0.2 id 1 subflow dev c1');
    writeFileSync(path, damage(text));
    await host.settle();
    const before = host.snapshot();
    const second = await host.start();
    expect(second.status().endpoints.map((endpoint) => endpoint.ours)).toEqual([false, true]);
    await host.stop(second);
    expect(host.changesSince(before)).toEqual([]);
  });
});

it.each([
  ['a folder', (path: string) => mkdirSync(path)],
  ['a pipe that nobody writes to', (path: string) => execFileSync('mkfifo', [path])],
  ['of two gigabytes', (path: string) => execFileSync('truncate', ['-s', '2G', path])],
])('a record that is %s is told of, and delays nothing', async (_, make) => {
  twoUplinks();
  const supervisor = await host.start();
  const path = host.statePath('json')!;
  await host.stop(supervisor);
  make(path);
  const second = await host.start();
  expect(host.log.filter((line) => line.includes('cannot be read as a record'))).toHaveLength(1);
  expect(host.endpoints()).toHaveLength(2);
  await host.stop(second);
  expect(host.stateFiles()).toEqual([]);
});

describe('a full disk', () => {
  let filler: string;

  beforeEach(() => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'none', host.stateFolder]);
    filler = join(host.stateFolder, 'filler');
  });

  afterEach(() => {
    execFileSync('umount', [host.stateFolder]);
  });

  function fillDisk(): void {
    const fd = openSync(filler, 'w');
    try {
      for (;;) writeSync(fd, new Uint8Array(4096));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
    } finally {
      closeSync(fd);
    }
  }

  it('no endpoint is made that could not be recorded; the rest goes on, and the end removes all', async () => {
    twoUplinks();
    await host.settle();
    const before = host.snapshot();
    fillDisk();
    const supervisor = await host.start();
    expect(host.endpoints()).toEqual([]);
    expect(host.rules()).toHaveLength(2);
    expect(host.log.filter((line) => line.includes('ENOSPC'))).toHaveLength(1);
    expect(pathStates(supervisor.status())).toEqual(['c1 10.1.0.2 waiting', 'c2 10.2.0.2 waiting']);

    rmSync(filler);
    host.ip('addr add 10.1.0.3/24 dev c1');
    await until(() => host.endpoints().length === 3, 'endpoints, now that there is space');
    expect(host.limits()).not.toBe('add_addr_accepted 0 subflows 2');
    expect(host.log.join('\n')).not.toContain('another program');

    fillDisk();
    host.ip('addr del 10.1.0.3/24 dev c1');
    await until(() => host.endpoints().length === 2 && host.rules().length === 2, 'the address to go');
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
    expect(host.stateFiles()).toEqual(['filler']);
  });
});

describe('another process', () => {
  const runChild = async () => {
    const program = await bundleTypeScript(new URL('support/up-child.ts', import.meta.url));
    const child = host.node.spawn([process.execPath, program, host.path, host.stateFolder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
    return { child, line };
  };

  it('killed: the next start takes over what it left, exactly, and the end removes it', async () => {
    twoUplinks();
    host.ip('mptcp endpoint add 192.0.2.9 id 41 signal');
    host.ip('rule add from 192.0.2.1 lookup 100 priority 17800');
    await host.settle();
    const before = host.snapshot();
    const { child, line } = await runChild();
    expect(line).toBe('multipath');
    const during = host.snapshot().filter((text) => !text.startsWith('process'));
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(host.snapshot()).toEqual(during);

    const supervisor = await host.start();
    // Taken over as it was: live connections notice nothing.
    expect(host.snapshot()).toEqual(during);
    expect(supervisor.status().actions).toMatchObject({ endpointsAdded: 0, routesAndRulesChanged: 0 });
    expect(supervisor.status().endpoints.map((endpoint) => endpoint.ours)).toEqual([false, true, true]);
    await host.stop(supervisor);
    expect(host.changesSince(before)).toEqual([]);
  });

  it('killed between any two of its deeds: nothing is left after the next start and stop', async () => {
    twoUplinks();
    await host.settle();
    const before = host.snapshot();
    const program = await bundleTypeScript(new URL('support/up-child.ts', import.meta.url));
    const leftBehind: number[] = [];
    for (let deeds = 0; ; deeds++) {
      const child = host.node.spawn([process.execPath, program, host.path, host.stateFolder, String(deeds)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      leftBehind.push(host.changesSince(before).length);
      const supervisor = await host.start();
      expect(supervisor.status()).toMatchObject({ limits: { subflows: 4 }, actions: { failures: 0 } });
      await host.stop(supervisor);
      expect(host.changesSince(before), `killed after ${deeds} deeds`).toEqual([]);
      expect(host.stateFiles()).toEqual([]);
      // It began and ended in peace: there are no more deeds.
      if (signal === null) break;
    }
    // Six routes, two rules, limits, two endpoints, and all of them back.
    expect(leftBehind).toHaveLength(23);
    expect(leftBehind.slice(0, 12)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]);
    expect(leftBehind.at(-1)).toBe(0);
  });

  it('killed, and the host changed since: the next start removes what is not wanted any more', async () => {
    twoUplinks();
    await host.settle();
    const { child } = await runChild();
    child.kill('SIGKILL');
    await once(child, 'exit');
    // One path is left, so nothing is to be made; and somebody put his own endpoint in the place of Weft's second.
    host.ip('mptcp endpoint delete id 2');
    host.ip('mptcp endpoint add 10.2.0.2 id 2 signal dev c2');
    host.ip('mptcp limits set subflows 5');
    host.ip('link set c1 down');
    const supervisor = await host.start();
    expect(host.rules()).toEqual([]);
    expect(host.table(17_800).concat(host.table(17_801))).toEqual([]);
    expect(host.endpoints()).toEqual(['10.2.0.2 id 2 signal dev c2']);
    expect(host.limits()).toBe('add_addr_accepted 0 subflows 5');
    await host.stop(supervisor);
    expect(host.stateFiles()).toEqual([]);
  });

  it('running: the second one is refused, with its number, and disturbs nothing', async () => {
    twoUplinks();
    const { child } = await runChild();
    const during = host.snapshot();
    await expect(host.start()).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      message: expect.stringContaining(`process ${child.pid}`) as string,
    });
    expect(host.snapshot()).toEqual(during);
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(host.rules()).toEqual([]);
    expect(host.stateFiles()).toEqual([]);
  });

  it('in another namespace is no hindrance', async () => {
    twoUplinks();
    const other = new UpHost('wupx-');
    try {
      other.addUplink(1, { v6: false });
      other.addUplink(2, { v6: false });
      const first = await host.start();
      const second = other.supervisor({ stateFolder: host.stateFolder });
      await second.start();
      expect(other.endpoints()).toHaveLength(2);
      await second.stop();
      expect(host.endpoints()).toHaveLength(2);
      await host.stop(first);
    } finally {
      await other.close();
    }
  });

  it('without privileges: changes nothing, says what is missing, and still shows the paths', async () => {
    twoUplinks();
    await host.settle();
    const before = host.snapshot();
    const program = await bundleTypeScript(new URL('support/up-child.ts', import.meta.url));
    // Without CAP_NET_ADMIN in the user namespace that owns the network namespace.
    const drop = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
    const child = host.node.spawn([...drop, process.execPath, program, '-', host.stateFolder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = createInterface(child.stdout!)[Symbol.asyncIterator]();
    const { value: mode } = (await output.next()) as { value: string };
    expect(mode).toBe('unprivileged');
    const { value: report } = (await output.next()) as { value: string };
    const status = JSON.parse(report) as { reason: string; paths: { state: string; why?: string }[] };
    expect(status.reason).toContain('CAP_NET_ADMIN');
    expect(status.paths).toMatchObject([
      { state: 'active' },
      { state: 'waiting', why: expect.stringContaining('may not change this host') as string },
    ]);
    expect(host.changesSince(before).filter((text) => !text.includes('process'))).toEqual([]);
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
});
