/**
 * The walk through mptcp-virtual's README, word for word but for names of the image and the server: import, start, a
 * program that uses the proxy, monitor, stop. Once on a host whose kernel has MPTCP, once on one that has it switched
 * off, where the same words boot the appliance.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, MPTCP)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { contentSha256, diffSnapshots, Lab, type LabNode } from '../src/lab/index.ts';
import { exportImage, ImageStore, type StatusReport } from '../src/service/index.ts';
import { applianceImage } from './support/appliance-image.ts';
import { endBackground, mptcpctlCommand, runMptcpctl } from './support/background.ts';
import { eventually } from './support/tunnel-lab.ts';
import { hostState } from './support/test-labs.ts';
import { RunningWeft, runtimeFiles } from './support/weft-program.ts';

const BOOT_TIMEOUT_MS = 240_000;

let folder: string;
let image: string;
let lab: Lab | undefined;

beforeAll(async () => {
  const made = await applianceImage();
  folder = mkdtempSync('/run/weft-walk-');
  image = join(folder, 'weft-appliance.ova');
  const store = new ImageStore(join(folder, 'maker'));
  await store.adopt(made.folder);
  await exportImage(store, image);
}, BOOT_TIMEOUT_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

afterEach(async () => {
  if (lab !== undefined) {
    await endBackground(lab.node('client'));
    await lab.close();
  }
  lab = undefined;
  delete process.env['WEFT_APPLIANCE_DIR'];
}, BOOT_TIMEOUT_MS);

/** `http_proxy="127.0.0.1:13128" curl URL`, in a shell as a user types it. */
async function curl(node: LabNode, url: string): Promise<string> {
  const shell = node.spawn(['sh', '-c', 'http_proxy="127.0.0.1:13128" curl -sS --max-time 100 "$0"', url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const hash = createHash('sha256');
  for await (const chunk of shell.stdout as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

async function statusOf(node: LabNode): Promise<StatusReport | undefined> {
  const { stdout } = await runMptcpctl(node, 'status', '--json');
  return (JSON.parse(stdout) as { status?: StatusReport }).status;
}

/** @param mapping what `start` says of where wifi0 is inside */
async function walk(node: LabNode, walked: Lab, mapping: RegExp): Promise<void> {
  const links = () => walked.uplinks.map((uplink) => uplink.received.bytes);
  // $ mptcpctl import /tmp/mptcp-virtual.ova
  const imported = await runMptcpctl(node, 'import', image);
  expect(imported).toMatchObject({ code: 0, stderr: '' });
  expect(imported.stdout).toMatch(/^\[global\] imported: /m);
  const before = hostState(node);
  // $ mptcpctl start
  const start = await runMptcpctl(node, 'start');
  expect(start).toMatchObject({ code: 0, stderr: '' });
  expect(start.stdout).toMatch(/^\[global\] not yet running! -> warming up$/m);
  expect(start.stdout).toMatch(mapping);
  expect(start.stdout).toMatch(/^\[wifi0\] is the current default interface$/m);
  await eventually('both links to be used', async () => {
    const report = await statusOf(node);
    return (
      new Set(report?.paths.filter(({ state }) => state === 'active').map(({ link }) => link)).size === 2
    );
  });
  // $ http_proxy="127.0.0.1:13128" curl …
  const bytes = 30_000_000;
  const [first = 0, second = 0] = links();
  const download = curl(node, walked.url(bytes, 7));
  const seen = await eventually('MPTCP from end to end', async () => {
    const { multipath } = (await statusOf(node)) ?? {};
    return multipath !== undefined && multipath.endToEnd.severalPaths > 0 && multipath;
  });
  expect(seen.inUse).toBe(true);
  expect(await download).toBe(contentSha256(bytes, 7));
  const [firstNow = 0, secondNow = 0] = links();
  expect(Math.min(firstNow - first, secondNow - second)).toBeGreaterThan(bytes / 20);
  // $ mptcpctl monitor
  const monitor = new RunningWeft(
    node.spawn(mptcpctlCommand('monitor'), { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await monitor.seen(/monitoring/);
  walked.uplink(1).down();
  await monitor.seen(/^\[lte0\] is now down and was used -> cleanup$/m);
  walked.uplink(1).up();
  await monitor.seen(/^\[lte0\] is now up and thus can be used -> setting up/m);
  expect(await monitor.stop('SIGINT')).toBe(0);
  // $ mptcpctl stop
  const stop = await runMptcpctl(node, 'stop');
  expect(stop).toMatchObject({ code: 0, stderr: '' });
  expect(stop.stdout).toMatch(/^\[wifi0\] -> cleaning up$/m);
  expect(stop.stdout).toMatch(/^\[global\] this machine is as it was$/m);
  expect(diffSnapshots(before, hostState(node))).toEqual([]);
  expect(runtimeFiles(node).filter((path) => !path.includes('kvm'))).toEqual([]);
  expect(await statusOf(node)).toBeUndefined();
}

const buildLab = async () => {
  lab = await Lab.twoUplinks({ rateBps: 20e6, delayMs: 5 });
  return lab;
};

it(
  'on a kernel that has MPTCP',
  async () => {
    process.env['WEFT_APPLIANCE_DIR'] = join(folder, 'native');
    const walked = await buildLab();
    await walk(walked.node('client'), walked, /^\[wifi0\] is mapped to itself$/m);
  },
  BOOT_TIMEOUT_MS,
);

it(
  'on a kernel that has none, with the appliance',
  async () => {
    process.env['WEFT_APPLIANCE_DIR'] = join(folder, 'appliance');
    const walked = await buildLab();
    const node = walked.node('client');
    node.setSysctl('mptcp/enabled', 0);
    await walk(node, walked, /^\[wifi0\] is mapped to eth\d$/m);
  },
  BOOT_TIMEOUT_MS,
);
