/**
 * One running virtual machine: QEMU, its monitor, the guest's agent, and the NICs that are plugged in. From a start
 * that ends with a guest that answers, to its end.
 *
 * Invariants: a machine is in the record before it is started, and until it has ended; when `start` throws, nothing of
 * it is left.
 */
import { randomUUID } from 'node:crypto';
import { errorText, WeftError } from '../../base/index.ts';
import { closeFd } from '../../native/index.ts';
import type { RouteNetlink } from '../../netlink/index.ts';
import type { GuestEvent, GuestHello } from '../guest/protocol.ts';
import { AgentClient } from './agent-client.ts';
import type { ApplianceLedger } from './journal.ts';
import { netdevId, nicDevice, nicId, type Accelerator, type BootSource } from './qemu-command.ts';
import { QemuProcess, type QemuNicDescriptor } from './qemu-process.ts';
import type { QemuUser } from './qemu-user.ts';
import { QmpClient } from './qmp.ts';
import { openTap, type TapOptions } from './taps.ts';
import type { LinkPlan, SlotAddress, UplinkSlot } from './types.ts';

export interface MachineOptions {
  readonly program: string;
  readonly boot: BootSource;
  readonly accelerator: Accelerator;
  readonly memoryMiB: number;
  readonly processors: number;
  readonly sandbox: boolean;
  readonly user: QemuUser;
  readonly ledger: ApplianceLedger;
  readonly netlink: RouteNetlink;
  /** File of the network namespace of the TAP links; default is this thread's own. */
  readonly netns?: string;
  /** Until the guest answers. */
  readonly bootTimeoutMs: number;
  /** Gives the start up. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: GuestEvent) => void;
  /** It has ended without being asked to; why, for the user. */
  readonly onEnd: (why: string) => void;
}

const POWER_OFF_MS = 5000;
/** A guest under plain emulation on a busy machine takes its time to let a device go. */
const UNPLUG_MS = 20_000;

export class Machine {
  readonly uuid: string;
  readonly accelerator: Accelerator;
  readonly agent: AgentClient;
  readonly hello: GuestHello;
  readonly #options: MachineOptions;
  readonly #process: QemuProcess;
  readonly #monitor: QmpClient;
  /** BOUNDED by the slots: NICs that are plugged in, with what they stand for. */
  readonly #plugged = new Map<number, SlotAddress>();
  #ending = false;

  private constructor(
    uuid: string,
    parts: { process: QemuProcess; monitor: QmpClient; agent: AgentClient; hello: GuestHello },
    slots: readonly SlotAddress[],
    options: MachineOptions,
  ) {
    this.uuid = uuid;
    this.accelerator = options.accelerator;
    this.#process = parts.process;
    this.#monitor = parts.monitor;
    this.agent = parts.agent;
    this.hello = parts.hello;
    this.#options = options;
    for (const slot of slots) this.#plugged.set(slot.slot, slot);
    void this.#process.exited.then(() => {
      if (!this.#ending) options.onEnd(whyEnded(this.#process));
    });
  }

  /**
   * Boots with the plan's links plugged in, and waits until the guest answers.
   * @throws WeftError NO_QEMU, BOOT (the guest does not come up), ABORTED, and those of TAP links; nothing is left then
   */
  static async start(plan: LinkPlan, options: MachineOptions): Promise<Machine> {
    const { ledger } = options;
    const uuid = randomUUID();
    ledger.setMachines([...ledger.machines, uuid]);
    let process: QemuProcess | undefined;
    let monitor: QmpClient | undefined;
    let agent: AgentClient | undefined;
    try {
      const slots = [plan.host, ...plan.uplinks];
      process = await startQemu(uuid, slots, options);
      monitor = new QmpClient(process.monitorFd);
      // Its end is seen by the process's.
      agent = new AgentClient(process.agentFd, options.onEvent, () => {});
      const hello = await bootGuest(process, monitor, agent, options);
      return new Machine(uuid, { process, monitor, agent, hello }, slots, options);
    } catch (error) {
      await process?.kill();
      monitor?.close();
      agent?.close();
      forget(ledger, uuid);
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  get plugged(): readonly SlotAddress[] {
    return [...this.#plugged.values()];
  }

  /** @throws WeftError; the NIC is not there then */
  async plug(slot: SlotAddress, mtuBytes?: number): Promise<void> {
    const { netlink, netns } = this.#options;
    const id = netdevId(slot.slot);
    const tap = openTap(slot, netlink, tapOptions(netns, mtuBytes));
    try {
      await this.#monitor.giveDescriptor(id, tap);
      await this.#monitor.execute('netdev_add', { type: 'tap', id, fd: id });
    } finally {
      closeFd(tap);
    }
    try {
      await this.#monitor.execute('device_add', nicDevice(slot.slot, slot.mac));
    } catch (error) {
      await this.#monitor.execute('netdev_del', { id });
      throw error;
    }
    this.#plugged.set(slot.slot, slot);
  }

  /** Takes the NIC out; its TAP link ends with it. @throws WeftError TIMEOUT when the guest holds on to it */
  async unplug(slot: number): Promise<void> {
    this.#plugged.delete(slot);
    try {
      await this.#monitor.removeDevice(nicId(slot), UNPLUG_MS);
    } finally {
      // Also when the guest holds on to its card: the cable is cut on this side.
      await this.#monitor.execute('netdev_del', { id: netdevId(slot) });
    }
  }

  /** The carrier that the guest sees. */
  async setCarrier(slot: number, up: boolean): Promise<void> {
    await this.#monitor.execute('set_link', { name: nicId(slot), up });
  }

  consoleTail(lines?: number): string[] {
    return this.#process.consoleTail(lines);
  }

  /** Lets the guest power off, or ends it when it does not. Harmless when it has ended. */
  async stop(): Promise<void> {
    this.#ending = true;
    if (this.#process.exit === undefined) {
      await Promise.race([
        this.agent.ask({ do: 'stop' }, POWER_OFF_MS).then(
          () => waitFor(this.#process.exited, POWER_OFF_MS),
          () => {},
        ),
        this.#process.exited,
      ]);
    }
    await this.#process.kill();
    this.#monitor.close();
    this.agent.close();
    forget(this.#options.ledger, this.uuid);
  }
}

function forget(ledger: ApplianceLedger, uuid: string): void {
  ledger.setMachines(ledger.machines.filter((other) => other !== uuid));
}

async function waitFor(what: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([what, timeout]);
  clearTimeout(timer);
}

function tapOptions(netns: string | undefined, mtuBytes: number | undefined): TapOptions {
  return {
    ...(netns === undefined ? {} : { netns }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
  };
}

const isUplinkSlot = (slot: SlotAddress | UplinkSlot): slot is UplinkSlot => 'uplink' in slot;

async function startQemu(
  uuid: string,
  slots: readonly SlotAddress[],
  options: MachineOptions,
): Promise<QemuProcess> {
  const { accelerator, boot, memoryMiB, netlink, netns, processors, program, sandbox, user } = options;
  const nics: QemuNicDescriptor[] = [];
  try {
    for (const slot of slots) {
      const mtuBytes = isUplinkSlot(slot) ? slot.uplink.mtuBytes : undefined;
      const fd = openTap(slot, netlink, tapOptions(netns, mtuBytes));
      nics.push({ slot: slot.slot, mac: slot.mac, fd });
    }
    return await QemuProcess.start({
      uuid,
      program,
      boot,
      accelerator,
      memoryMiB,
      processors,
      sandbox,
      user,
      nics,
    });
  } finally {
    for (const { fd } of nics) closeFd(fd);
  }
}

async function bootGuest(
  process: QemuProcess,
  monitor: QmpClient,
  agent: AgentClient,
  { bootTimeoutMs, signal }: MachineOptions,
): Promise<GuestHello> {
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  try {
    await monitor.begin();
  } catch (error) {
    // When QEMU has ended, what it said tells more than the closed monitor.
    await waitFor(process.exited, 1000);
    const why = process.exit === undefined ? errorText(error) : whyEnded(process);
    throw new WeftError(`the appliance did not start: ${why}`, { code: 'BOOT', cause: error });
  }
  const hello = await Promise.race([
    agent.waitForHello(bootTimeoutMs),
    process.exited.then(() => undefined),
    aborted,
  ]);
  if (hello !== undefined) return hello;
  if (signal.aborted) throw new WeftError('the start of the appliance was given up', { code: 'ABORTED' });
  const why =
    process.exit === undefined ? `it did not answer within ${bootTimeoutMs / 1000} s` : whyEnded(process);
  const tail = process.consoleTail(3).join(' | ');
  throw new WeftError(`the appliance did not come up: ${why}${tail === '' ? '' : `; its console: ${tail}`}`, {
    code: 'BOOT',
  });
}

function whyEnded(process: QemuProcess): string {
  const { code, signal } = process.exit ?? {};
  const how = signal === null || signal === undefined ? `with exit code ${code}` : `by ${signal}`;
  const tail = process.consoleTail(2).join(' | ');
  return `QEMU ended ${how}${tail === '' ? '' : ` (${tail})`}`;
}
