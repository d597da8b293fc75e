/**
 * What the appliance on a Mac shares with other systems, for real: QEMU started with the Mac's command line under plain
 * emulation, its sockets by path, the agent, and the proxy inside reached by QEMU's user network on loopback. Only
 * bridged cards (vmnet) and the Mac's own acceleration are missing here.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { RunningMacMachine, type MacMachine } from '../src/appliance/index.ts';
import { silentLogger } from '../src/base/index.ts';
import { readProcessIdentity } from '../src/native/index.ts';
import { ControlClient, findQemu, isProxyAlive, MacWeft } from '../src/service/index.ts';
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
  'weft up of a Mac starts it, tells of it over the control socket, and takes back what it made',
  async () => {
    await describeMachine();
    const before = process.env['WEFT_RUNTIME_DIR'];
    process.env['WEFT_RUNTIME_DIR'] = join(folder!, 'run');
    const commands: string[] = [];
    let stops = 0;
    const weft = new MacWeft({
      version: '1.2.3',
      image: await applianceImage(),
      port: PORT,
      wanted: [],
      exclude: [],
      logger: silentLogger,
      onStopRequest: () => stops++,
      accelerators: ['tcg'],
      // A Mac without any link: what it says is nothing, and forwarding is off.
      run: ({ args, program }) => {
        commands.push([program, ...args].join(' '));
        return Promise.resolve(args.includes('-n') && program.endsWith('sysctl') ? '0\n' : 'Token : 7\n');
      },
    });
    try {
      await weft.start();
      const status = await new ControlClient().reconcile();
      expect(status).toMatchObject({
        backend: { kind: 'appliance' },
        mode: 'single-path',
        appliance: { state: 'running', accelerator: 'tcg', proxy: { port: PORT, alive: true } },
        proxy: { addresses: [`127.0.0.1:${PORT}`] },
      });
      expect(await new ControlClient().stop()).toEqual({ pid: process.pid });
      await eventually('the wish to stop', () => stops === 1);
      expect(readdirSync(join(folder!, 'run'))).toContain('mac-appliance.json');
    } finally {
      await weft.end();
      if (before === undefined) delete process.env['WEFT_RUNTIME_DIR'];
      else process.env['WEFT_RUNTIME_DIR'] = before;
    }
    expect(commands.slice(-3)).toEqual([
      '/sbin/pfctl -a com.apple/weft -F all',
      '/sbin/pfctl -X 7',
      '/usr/sbin/sysctl -w net.inet.ip.forwarding=0',
    ]);
    expect(readdirSync(join(folder!, 'run')).filter((name) => name.endsWith('.json'))).toEqual([]);
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
