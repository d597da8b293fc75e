/**
 * What an appliance does on the host, without waiting for a guest: that a start that fails, or is killed at any step,
 * leaves nothing, whoever cleans up; and that nothing of others is touched.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ImageFolder } from '../src/appliance/index.ts';
import { silentLogger } from '../src/base/index.ts';
import { diffSnapshots, Lab } from '../src/lab/index.ts';
import { ApplianceBackend } from '../src/service/appliance/backend.ts';
import { undoAppliance } from '../src/service/appliance/leftovers.ts';
import { applianceImage } from './support/appliance-image.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { hostState } from './support/test-labs.ts';
import { eventually } from './support/tunnel-lab.ts';

const run = promisify(execFile);

let lab: Lab;
let image: ImageFolder;
let child: string;
let stateFolder: string;
let before: string[];

const client = () => lab.node('client');
const nft = (...args: string[]) => client().inside(() => execFileSync('nft', args, { encoding: 'utf8' }));
const clientState = () => hostState(client());

/** QEMUs that serve this folder's appliance would have an open image; theirs is found by the arguments. */
function machines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').includes('weft-appliance');
      } catch {
        return false;
      }
    });
}

let machinesOfOthers: string[];

const ownMachines = () => machines().filter((pid) => !machinesOfOthers.includes(pid));

function backend(qemu = 'qemu-system-x86_64', bootTimeoutMs = 1): ApplianceBackend {
  const options = { image, qemu, logger: silentLogger, stateFolder, netns: client().path, bootTimeoutMs };
  return new ApplianceBackend(options);
}

function expectNothingLeft(): void {
  expect(diffSnapshots(before, clientState())).toEqual([]);
  expect(nft('list', 'tables').trim()).toBe('table inet users');
  expect(ownMachines()).toEqual([]);
  expect(readdirSync(stateFolder)).toEqual([]);
}

beforeAll(async () => {
  image = await applianceImage();
  child = await bundleTypeScript(new URL('support/appliance-child.ts', import.meta.url));
  lab = await Lab.twoUplinks({ rateBps: 1e9, delayMs: 0, web: false, namePrefix: 'wah-' });
  nft('table inet users { chain c { type filter hook forward priority 5; policy accept; }; }');
  // The user's own: a link that forwards already, for something else.
  client().setSysctl('ipv4/conf/lte0/forwarding', 1);
  before = clientState();
  machinesOfOthers = machines();
}, 120_000);

beforeEach(() => {
  stateFolder = mkdtempSync('/run/weft-appliance-host-');
  return () => rmSync(stateFolder, { recursive: true, force: true });
});

afterAll(async () => {
  await lab?.close();
});

describe('a start that fails', () => {
  it.each([
    ['without QEMU', '/nonexistent/qemu', 'NO_QEMU'],
    ['with a QEMU that ends at once', '/bin/false', 'BOOT'],
    ['with a guest that does not come up', 'qemu-system-x86_64', 'BOOT'],
  ])('%s leaves nothing', async (_what, qemu, code) => {
    await expect(backend(qemu).start()).rejects.toMatchObject({ code });
    expectNothingLeft();
  });

  it('because a link has its name says so, and leaves that link', async () => {
    const link = () => client().netlink.linkByName('weftvm1');
    client().netlink.addLink({ name: 'weftvm1', kind: 'veth', peer: { name: 'weftpeer' } });
    try {
      await expect(backend().start()).rejects.toThrow(/make the appliance's link "weftvm1".*exists already/);
      expect(link()?.kind).toBe('veth');
    } finally {
      client().netlink.deleteLink(link()?.index ?? 0);
    }
    expectNothingLeft();
  });

  it('because another process has the appliance changes nothing of that one', async () => {
    const first = backend('/bin/false');
    const second = backend('/bin/false');
    const [one, two] = await Promise.allSettled([first.start(), second.start()]);
    expect([one, two].map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((two as PromiseRejectedResult).reason).toMatchObject({ code: 'ALREADY_RUNNING' });
    expectNothingLeft();
  });
});

it('that is given up ends at once, and leaves nothing', async () => {
  // Nobody would wait so long.
  const given = backend('qemu-system-x86_64', 600_000);
  const starting = given.start();
  const outcome = starting.then(
    () => 'started',
    (error: { readonly code?: string }) => error.code,
  );
  await eventually('QEMU', () => ownMachines().length > 0);
  await given.stop();
  expect(await outcome).toBe('ABORTED');
  expectNothingLeft();
});

it('killed at each step leaves nothing that a stop, or the next start, does not remove', async () => {
  let ended = false;
  let killed = 0;
  // BOUNDED: far above the number of steps.
  for (let deeds = 0; !ended && deeds < 100; deeds++) {
    const args = [child, client().path, stateFolder, image.folder, String(deeds)];
    const outcome = await run(process.execPath, args).catch((error: unknown) => error as { signal: string });
    ended = !('signal' in outcome);
    if (!ended) killed++;
    if (deeds % 2 === 0) await undoAppliance(stateFolder, silentLogger, client().path);
    else await expect(backend('/bin/false').start()).rejects.toMatchObject({ code: 'BOOT' });
    expect(diffSnapshots(before, clientState()), `after ${deeds} deeds`).toEqual([]);
  }
  expect(ended).toBe(true);
  expect(killed).toBeGreaterThan(8);
  expectNothingLeft();
}, 180_000);

it('stops twice, and without a start', async () => {
  const never = backend();
  await never.stop();
  await never.stop();
  expectNothingLeft();
});
