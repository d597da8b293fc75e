/**
 * The appliance, booted for real: `weft up --backend appliance` on a host with two uplinks, one of which comes later.
 *
 *             weftvm0 ─┐           wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client    weftvm1 ─┼─ QEMU                                              server (203.0.113.10, MPTCP)
 *             weftvm2 ─┘           lte0  ~~~ air ~~~ lan  router1  wan ── up1
 *
 * One machine is booted for all of it, because that takes ten seconds under plain emulation.
 */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { chooseUser, readUserFacts } from '../src/appliance/index.ts';
import { contentSha256, diffSnapshots, Lab } from '../src/lab/index.ts';
import { callControl, findControlSockets } from '../src/service/control-client.ts';
import { ImageStore, WEFT_FACE, type StatusReport } from '../src/service/index.ts';
import { currentUser } from '../src/service/runtime-folder.ts';
import { applianceImage } from './support/appliance-image.ts';
import { hostState } from './support/test-labs.ts';
import { eventually } from './support/tunnel-lab.ts';
import { RunningWeft, runtimeFiles, runWeft, startWeft, weftCommand } from './support/weft-program.ts';

const BOOT_TIMEOUT_MS = 150_000;
// A guest that is emulated on a busy machine is in no hurry.
vi.setConfig({ testTimeout: BOOT_TIMEOUT_MS });
/** A table of the user's own. */
const USERS_TABLE = 'table inet users { chain c { type filter hook forward priority 5; policy accept; }; }';

let lab: Lab;
let store: string;
let weft: RunningWeft | undefined;
let before: string[];

const client = () => lab.node('client');
const nft = (...args: string[]) => client().inside(() => execFileSync('nft', args, { encoding: 'utf8' }));
const clientState = () => hostState(client());
const received = () => lab.uplinks.map((uplink) => uplink.received.bytes);

beforeAll(async () => {
  const image = await applianceImage();
  store = mkdtempSync('/run/weft-image-store-');
  process.env['WEFT_APPLIANCE_DIR'] = store;
  await new ImageStore(store).adopt(image.folder);
  lab = await Lab.twoUplinks({ rateBps: 50e6, delayMs: 5 });
  nft(USERS_TABLE);
  // The second uplink is there and configured by nobody yet.
  lab.uplink(1).removeAddresses();
  await eventually('links at rest', () => !/tentative/.test(clientState().join('\n')) || undefined);
  before = clientState();
  weft = await startWeft(client(), ['--backend', 'appliance']);
}, BOOT_TIMEOUT_MS);

afterAll(async () => {
  await weft?.stop();
  await lab?.close();
  delete process.env['WEFT_APPLIANCE_DIR'];
  rmSync(store, { recursive: true, force: true });
});

/** Arguments of the processes that a process has started. */
function children(parent: number | undefined): string {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes
    .map((pid) => {
      try {
        const [, parentPid] = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ');
        return Number(parentPid) === parent ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
      } catch {
        // It has ended meanwhile.
        return '';
      }
    })
    .join('\n');
}

interface Download {
  readonly sha256: string;
  readonly bytes: number;
}

/** By curl, as a program of this host would, through 127.0.0.1:13128. */
async function download(url: string, onBytes: (bytes: number) => void = () => {}): Promise<Download> {
  const curl = client().spawn(
    ['curl', '-sS', '--fail', '--max-time', '55', '-x', 'http://127.0.0.1:13128', url],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of curl.stdout as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  return { sha256: hash.digest('hex'), bytes };
}

const expected = (bytes: number, seed: number) => ({ bytes, sha256: contentSha256(bytes, seed) });

/** Asked without a process for each question: those would take the processor from the guest. */
async function readStatus(): Promise<StatusReport> {
  const sockets = findControlSockets(WEFT_FACE, currentUser(), statSync(client().path).ino);
  return (await callControl(WEFT_FACE, WEFT_FACE.calls.status, sockets)) as StatusReport;
}

const statusWith = (what: string, wanted: (status: StatusReport) => boolean) =>
  eventually(
    what,
    async () => {
      const status = await readStatus();
      return wanted(status) ? status : undefined;
    },
    120_000,
  );

it('boots, and says what it is', async () => {
  const status = await statusWith(
    'one path, and a proxy',
    ({ appliance, paths }) =>
      appliance?.proxy?.alive === true && paths.some(({ state }) => state === 'active'),
  );
  expect(status).toMatchObject({ mode: 'single-path', backend: { kind: 'appliance' } });
  expect(status.appliance).toMatchObject({ state: 'running', proxy: { port: 13128, alive: true } });
  expect(status.appliance?.links.map(({ link, state }) => `${link} ${state}`)).toEqual(['wifi0 active']);
  const bytes = 2_000_000;
  expect(await download(lab.url(bytes, 1))).toEqual(expected(bytes, 1));
  const [first = 0, second = 0] = received();
  expect(first).toBeGreaterThan(bytes);
  expect(second).toBeLessThan(100_000);
});

it('runs QEMU as nobody, and touches no setting but its own links’', async () => {
  const { appliance } = await readStatus();
  // In a user namespace with one user there is nobody.
  const { uid = 0 } = chooseUser(readUserFacts());
  expect(statSync(`/proc/${appliance?.pid}`).uid).toBe(uid);
  expect(nft('list', 'table', 'inet', 'users')).toContain('chain c');
  const forwarding = (name: string) =>
    client().inside(() =>
      execFileSync('cat', [`/proc/sys/net/ipv4/conf/${name}/forwarding`], { encoding: 'utf8' }).trim(),
    );
  expect(forwarding('all')).toBe('0');
  expect(forwarding('wifi0')).toBe('1');
  expect(forwarding('lte0')).toBe('0');
});

it('takes an uplink that comes while it runs, and uses it', async () => {
  lab.uplink(1).addAddresses();
  lab.uplink(1).addRoutes();
  const status = await statusWith(
    'both uplinks in the guest',
    ({ appliance, mode }) =>
      mode === 'multipath' && appliance?.links.filter(({ state }) => state === 'active').length === 2,
  );
  expect(status.appliance?.links.map(({ link }) => link).sort()).toEqual(['lte0', 'wifi0']);
  const bytes = 8_000_000;
  const start = received();
  expect(await download(lab.url(bytes, 3))).toEqual(expected(bytes, 3));
  const carried = received().map((now, index) => now - (start[index] ?? 0));
  expect(Math.min(...carried)).toBeGreaterThan(bytes / 10);
});

it('is a router for nobody else', async () => {
  const [one, two] = [lab.node('router0'), lab.node('router1')];
  // Neighbours on the two uplinks who take this host for one, and could reach one another by it.
  for (const [node, destination, via] of [
    [one, '10.2.0.0/24', '10.1.0.2'],
    [two, '10.1.0.0/24', '10.2.0.2'],
  ] as const) {
    expect((await node.run(['ip', 'route', 'replace', destination, 'via', via])).code).toBe(0);
  }
  const ping = () => one.run(['ping', '-c', '2', '-W', '1', '-i', '0.2', '10.2.0.1']);
  expect((await ping()).code).toBe(1);
  // Without its firewall it would be one.
  const table = nft('list', 'table', 'inet', 'weft-appliance');
  expect(table).toContain('meta nfproto ipv4 iifname "wifi0" drop');
  await eventually('a way through', async () => {
    // It may be back before the question is asked.
    nft('add table inet weft-appliance; delete table inet weft-appliance');
    return (await ping()).code === 0;
  });
  // Whoever takes it away gets it back.
  await eventually('the firewall', () => nft('list', 'tables').includes('weft-appliance'));
  expect((await ping()).code).toBe(1);
});

it('carries IPv6 by both uplinks', async () => {
  const bytes = 8_000_000;
  const start = received();
  const url = lab.url(bytes, 4).replace(lab.serverAddress, `[${lab.serverAddress6}]`);
  expect(await download(url)).toEqual(expected(bytes, 4));
  const carried = received().map((now, index) => now - (start[index] ?? 0));
  expect(Math.min(...carried)).toBeGreaterThan(bytes / 10);
});

it.each(['cut', 'unplug', 'removeAddresses'] as const)(
  'loses no byte when an uplink is lost in mid-download by %s',
  async (fault) => {
    const bytes = 12_000_000;
    let lost = false;
    const result = await download(lab.url(bytes, 5), (got) => {
      if (lost || got < bytes / 4) return;
      lost = true;
      lab.uplink(0)[fault]();
    });
    expect(lost).toBe(true);
    expect(result).toEqual(expected(bytes, 5));
    if (fault === 'cut') lab.uplink(0).restore();
    if (fault === 'unplug') lab.uplink(0).plug();
    if (fault === 'removeAddresses') {
      lab.uplink(0).addAddresses();
      lab.uplink(0).addRoutes();
    }
    await statusWith(
      'both uplinks again',
      ({ appliance }) => appliance?.links.every(({ state }) => state === 'active') === true,
    );
  },
);

it('boots again when QEMU dies, with the same address for the proxy', async () => {
  const { appliance } = await readStatus();
  process.kill(appliance?.pid ?? 0, 'SIGKILL');
  const status = await statusWith(
    'another machine that carries',
    (now) =>
      now.appliance?.pid !== appliance?.pid &&
      now.appliance?.state === 'running' &&
      now.appliance.links.length === 2 &&
      now.appliance.links.every(({ state }) => state === 'active'),
  );
  expect(status.appliance?.proxy).toMatchObject({ address: appliance?.proxy?.address });
  expect(status.actions['restarts']).toBe(1);
  const bytes = 2_000_000;
  expect(await download(lab.url(bytes, 6))).toEqual(expected(bytes, 6));
});

it('leaves the host as it was', async () => {
  lab.uplink(1).removeAddresses();
  await statusWith('one path', ({ mode }) => mode === 'single-path');
  expect(await weft?.stop()).toBe(0);
  weft = undefined;
  expect(diffSnapshots(before, clientState())).toEqual([]);
  expect(nft('list', 'tables').trim()).toBe('table inet users');
  expect(runtimeFiles(client())).toEqual([]);
  expect((await runWeft(client(), 'down')).code).toBe(0);
});

it('leaves the host as it was when it is killed and taken down', async () => {
  const killed = new RunningWeft(
    client().spawn(weftCommand('up', '--backend', 'appliance'), { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await eventually('its QEMU', () => children(killed.process.pid).includes('qemu-system-x86_64'));
  await killed.stop('SIGKILL');
  expect(client().netlink.linkByName('weftvm1')).toBeDefined();
  const down = await runWeft(client(), 'down');
  expect(down).toMatchObject({ code: 0, stderr: '' });
  expect(diffSnapshots(before, clientState())).toEqual([]);
  expect(nft('list', 'tables').trim()).toBe('table inet users');
  expect(runtimeFiles(client())).toEqual([]);
});
