/**
 * QEMU's command line on a Mac (pure): one card on QEMU's user network, by which only this Mac reaches the guest's
 * proxy, and one bridged card for each uplink. vmnet needs root; the proxy's port is on loopback only.
 *
 * References: qemu-system(1): -netdev user, hostfwd; -netdev vmnet-bridged (QEMU 7.1 and newer, macOS 10.15).
 */
import { AGENT_PORT_NAME, GUEST_PROXY_PORT } from '../guest/protocol.ts';
import { USER_NETWORK, type MacUplink } from './mac-plan.ts';

export interface MacMachine {
  readonly architecture: 'arm64' | 'x64';
  /** `hvf` is the Mac's own; `tcg` plain emulation. */
  readonly accelerator: 'hvf' | 'tcg';
  readonly kernel: string;
  readonly initramfs: string;
  readonly memoryMiB: number;
  readonly processors: number;
  /** Unix sockets in a private folder. */
  readonly monitorPath: string;
  readonly agentPath: string;
  /** On 127.0.0.1. */
  readonly proxyPort: number;
  readonly uplinks: readonly MacUplink[];
}

const KERNEL_WORDS = {
  arm64: 'console=ttyAMA0 panic=-1 quiet',
  x64: 'console=ttyS0 panic=-1 quiet',
} as const;

/** QEMU's option syntax: a comma in a value is written twice. */
const value = (text: string) => text.replaceAll(',', ',,');

const machineWord = ({ architecture }: MacMachine) => (architecture === 'arm64' ? 'virt' : 'q35');

export const macQemuProgram = (architecture: MacMachine['architecture']): string =>
  architecture === 'arm64' ? 'qemu-system-aarch64' : 'qemu-system-x86_64';

/** One card of a link that came while the guest runs, for `netdev_add` and `device_add` as well. */
export function bridgedNetdev({ device, slot }: MacUplink): Readonly<Record<string, string>> {
  return { type: 'vmnet-bridged', id: `net${slot}`, ifname: device };
}

export function bridgedDevice({ mac, slot }: MacUplink): Readonly<Record<string, string>> {
  return {
    driver: 'virtio-net-pci',
    id: `nic${slot}`,
    netdev: `net${slot}`,
    mac,
    bus: `rp${slot}`,
    romfile: '',
  };
}

function optionText(first: string, options: Readonly<Record<string, string>>): string {
  const rest = Object.entries(options).flatMap(([key, text]) =>
    key === first ? [] : [`${key}=${value(text)}`],
  );
  return [value(options[first] ?? ''), ...rest].join(',');
}

/** BOUNDED: as many as there may be uplinks; empty ones cost nothing. */
const PORTS = 8;

function rootPorts(): string[] {
  return Array.from({ length: PORTS }, (_, i) => i + 1).flatMap((slot) => [
    '-device',
    `pcie-root-port,id=rp${slot},chassis=${slot},slot=${slot}`,
  ]);
}

export function macQemuArguments(machine: MacMachine): string[] {
  const { accelerator, agentPath, architecture, initramfs, kernel, memoryMiB, monitorPath } = machine;
  const forward = `hostfwd=tcp:127.0.0.1:${machine.proxyPort}-${USER_NETWORK.guest}:${GUEST_PROXY_PORT}`;
  const words: readonly (readonly string[])[] = [
    ['-name', 'weft-appliance', '-M', machineWord(machine)],
    ['-accel', accelerator, '-cpu', accelerator === 'hvf' ? 'host' : 'max'],
    ['-m', String(memoryMiB), '-smp', String(machine.processors)],
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ['-chardev', `socket,id=monitor,path=${value(monitorPath)},server=on,wait=off`],
    ['-mon', 'chardev=monitor,mode=control'],
    ['-device', 'virtio-serial-pci,id=serial'],
    ['-chardev', `socket,id=agent,path=${value(agentPath)},server=on,wait=off`],
    ['-device', `virtserialport,bus=serial.0,chardev=agent,name=${AGENT_PORT_NAME}`],
    ['-device', 'virtio-rng-pci'],
    rootPorts(),
    // restrict: the guest reaches nothing by this card, it is only reached.
    ['-netdev', `user,id=net0,restrict=on,${forward}`],
    ['-device', `virtio-net-pci,netdev=net0,mac=${USER_NETWORK.mac},romfile=`],
    ...machine.uplinks.map((uplink) => [
      '-netdev',
      optionText('type', bridgedNetdev(uplink)),
      '-device',
      optionText('driver', bridgedDevice(uplink)),
    ]),
    ['-kernel', kernel, '-initrd', initramfs, '-append', KERNEL_WORDS[architecture]],
  ];
  return words.flat();
}
