/**
 * QEMU's arguments (pure). The machine has what the appliance needs and nothing else: no display, no user's
 * configuration, no disk unless the image is one, no network but the TAP descriptors that it is given, no path that
 * it opens for writing.
 *
 *   pcie.0 ─┬─ virtio-serial ── port "weft.agent.0" ══ socket pair ══ Weft
 *           ├─ nic0 (the link that only the host has)
 *           └─ root ports rp1 … rp8, one NIC each, which can be plugged and unplugged while it runs
 *
 * Everything that is open is inherited: monitor, agent and TAP links are descriptors, so that QEMU needs no rights of
 * its own and nobody else can reach them.
 *
 * References: qemu-system-x86_64(1); QEMU's docs/pcie.txt.
 */
import { AGENT_PORT_NAME } from '../guest/protocol.ts';
import { UPLINKS_MAX } from './numbers.ts';

export type Accelerator = 'kvm' | 'tcg';

/** What is booted. */
export type BootSource =
  | {
      readonly kind: 'kernel';
      readonly kernel: string;
      readonly initramfs: string;
      readonly commandLine?: string;
    }
  /** A disk of somebody else's making, which has our agent inside. It is never written to. */
  | { readonly kind: 'disk'; readonly path: string; readonly format: 'qcow2' | 'raw' };

export interface QemuNic {
  readonly slot: number;
  readonly mac: string;
  /** The number that the TAP link's descriptor has in QEMU. */
  readonly fd: number;
}

export interface QemuMachine {
  /** A UUID by which this very process is found again (qemu-process.ts). */
  readonly uuid: string;
  readonly accelerator: Accelerator;
  readonly memoryMiB: number;
  readonly processors: number;
  readonly boot: BootSource;
  /** Descriptors as QEMU sees them. */
  readonly monitorFd: number;
  readonly agentFd: number;
  readonly nics: readonly QemuNic[];
  /** `false`: this QEMU has no seccomp filter. */
  readonly sandbox: boolean;
}

/** Panic means reset, and `-no-reboot` makes that QEMU's end. */
const COMMAND_LINE = 'console=ttyS0 panic=-1 quiet';

export const nicId = (slot: number): string => `nic${slot}`;
export const netdevId = (slot: number): string => `net${slot}`;

/** QEMU's option syntax: a comma in a value is written twice. */
const value = (text: string) => text.replaceAll(',', ',,');

/** Where a NIC is plugged: the host's link directly, uplinks into their root port. */
const busOf = (slot: number) => (slot === 0 ? 'pcie.0' : `rp${slot}`);

function bootArguments(boot: BootSource): string[] {
  if (boot.kind === 'kernel') {
    const append = boot.commandLine ?? COMMAND_LINE;
    return ['-kernel', boot.kernel, '-initrd', boot.initramfs, '-append', append];
  }
  return ['-drive', `if=virtio,file=${value(boot.path)},format=${boot.format},snapshot=on,file.locking=off`];
}

function rootPorts(): string[] {
  return Array.from({ length: UPLINKS_MAX }, (_, i) => i + 1).flatMap((slot) => [
    '-device',
    // All of one PCI device's functions: enumerating them costs the guest's start next to nothing.
    `pcie-root-port,id=rp${slot},bus=pcie.0,chassis=${slot},slot=${slot},addr=0x8.0x${slot - 1}${slot === 1 ? ',multifunction=on' : ''}`,
  ]);
}

/** What `device_add` takes, too. */
export function nicDevice(slot: number, mac: string): Readonly<Record<string, string>> {
  return {
    driver: 'virtio-net-pci',
    id: nicId(slot),
    netdev: netdevId(slot),
    mac,
    bus: busOf(slot),
    // Without an option ROM, which nobody boots from.
    romfile: '',
  };
}

function nicArguments({ fd, mac, slot }: QemuNic): string[] {
  const { driver, ...properties } = nicDevice(slot, mac);
  const list = Object.entries(properties).map(([key, text]) => `${key}=${text}`);
  return ['-netdev', `tap,id=${netdevId(slot)},fd=${fd}`, '-device', [driver, ...list].join(',')];
}

export function qemuArguments(machine: QemuMachine): string[] {
  const { accelerator, agentFd, boot, memoryMiB, monitorFd, nics, processors, sandbox, uuid } = machine;
  return [
    '-name',
    'weft-appliance',
    '-uuid',
    uuid,
    '-M',
    'q35,usb=off,smbus=off,vmport=off',
    '-accel',
    accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi,tb-size=64',
    // The guest waits for random numbers, and for nothing longer; the default processor has no instruction for them.
    ...(accelerator === 'kvm' ? [] : ['-cpu', 'qemu64,+rdrand']),
    // A processor with an instruction for random numbers, for which the guest's kernel would otherwise wait a second.
    ...(accelerator === 'tcg' && process.arch === 'x64' ? ['-cpu', 'qemu64,+rdrand'] : []),
    '-m',
    String(memoryMiB),
    '-smp',
    String(processors),
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
    '-serial',
    'stdio',
    ...(sandbox
      ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']
      : []),
    '-chardev',
    `socket,id=monitor,fd=${monitorFd}`,
    '-mon',
    'chardev=monitor,mode=control',
    '-device',
    'virtio-serial-pci,id=serial',
    '-chardev',
    `socket,id=agent,fd=${agentFd}`,
    '-device',
    `virtserialport,bus=serial.0,chardev=agent,name=${AGENT_PORT_NAME}`,
    '-device',
    'virtio-rng-pci',
    ...rootPorts(),
    ...nics.flatMap(nicArguments),
    ...bootArguments(boot),
  ];
}
