/**
 * What the appliance on a Mac shares with other systems, for real: QEMU started with the Mac's command line under plain
 * emulation, its sockets by path, the agent, and the proxy inside reached by QEMU's user network on loopback. Only
 * bridged cards (vmnet) and the Mac's own acceleration are missing here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { RunningMacMachine, type MacMachine } from '../src/appliance/index.ts';
import { silentLogger } from '../src/base/index.ts';
import { readProcessIdentity } from '../src/native/index.ts';
import { findQemu, isProxyAlive } from '../src/service/index.ts';
import { applianceImage } from './support/appliance-image.ts';
import { eventually } from './support/tunnel-lab.ts';

const BOOT_TIMEOUT_MS = 150_000;
const PORT = 13_128;

let folder: string | undefined;
let machine: RunningMacMachine | undefined;

afterEach(async () => {
  await machine?.stop();
  machine = undefined;
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}, BOOT_TIMEOUT_MS);

async function describeMachine(): Promise<MacMachine> {
  const image = await applianceImage();
  folder = mkdtempSync('/run/weft-mac-');
  return {
    architecture: process.arch === 'arm64' ? 'arm64' : 'x64',
    accelerator: 'tcg',
    kernel: join(image.folder, 'vmlinuz'),
    initramfs: join(image.folder, 'initramfs.gz'),
    memoryMiB: Math.max(512, image.manifest.memoryMiB),
    processors: 2,
    monitorPath: join(folder, 'monitor'),
    agentPath: join(folder, 'agent'),
    proxyPort: PORT,
    uplinks: [],
  };
}

it(
  'boots, and its proxy answers on loopback',
  async () => {
    const ends: string[] = [];
    machine = await RunningMacMachine.start({
      program: findQemu() ?? 'qemu-system-x86_64',
      machine: await describeMachine(),
      bootTimeoutMs: 120_000,
      logger: silentLogger,
      onEnd: (why) => ends.push(why),
    });
    expect(machine.hello).toMatchObject({ mptcp: true });
    await eventually('the proxy inside', async () => isProxyAlive(`127.0.0.1:${PORT}`));
    const pid = machine.pid!;
    await machine.stop();
    expect(readProcessIdentity(pid)).toBeUndefined();
    expect(await isProxyAlive(`127.0.0.1:${PORT}`)).toBe(false);
    expect(ends).toEqual([]);
  },
  BOOT_TIMEOUT_MS,
);

it(
  'one that does not start says what QEMU says, and has ended',
  async () => {
    const bad = { ...(await describeMachine()), kernel: '/nowhere/vmlinuz' };
    const start = RunningMacMachine.start({
      program: findQemu() ?? 'qemu-system-x86_64',
      machine: bad,
      bootTimeoutMs: 120_000,
      logger: silentLogger,
      onEnd: () => {},
    });
    await expect(start).rejects.toThrow(
      /the appliance did not start: QEMU has ended \(exit code 1\); it said: .*vmlinuz/,
    );
  },
  BOOT_TIMEOUT_MS,
);
