/**
 * A running QEMU on a Mac: its process, its monitor and the guest's agent, both by unix sockets in a private folder.
 * The driver behind mac-qemu.ts. Not tried on a Mac yet; what it shares with other systems (everything but bridged
 * cards and hvf) is.
 *
 * Invariant: when `start` has failed, or `stop` has resolved, the process has ended.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { errorText, WeftError, type Logger } from '../../base/index.ts';
import type { GuestHello, GuestLink } from '../guest/protocol.ts';
import { AgentClient } from '../host/agent-client.ts';
import { LineCalls } from '../host/line-calls.ts';
import { guestLinkOf, HOST_LINK, USER_NETWORK, type MacUplink } from './mac-plan.ts';
import { bridgedDevice, bridgedNetdev, macQemuArguments, type MacMachine } from './mac-qemu.ts';

export interface MacMachineOptions {
  /** QEMU's name or path. */
  readonly program: string;
  readonly machine: MacMachine;
  readonly bootTimeoutMs: number;
  readonly logger: Logger;
  /** It has ended without having been told to; why. */
  readonly onEnd: (why: string) => void;
}

const CONNECT_RETRY_MS = 100;
const ASK_MS = 10_000;
const LINK_WAIT_MS = 15_000;
const STOP_MS = 5000;
/** BOUNDED: of what QEMU and the guest's console say, for the error. */
const CONSOLE_MAX = 4000;

const sleep = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });

function connectOnce(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

/** QEMU's own answers. */
function readMonitorAnswer(answer: Record<string, unknown>): { result: unknown } | { error: WeftError } {
  const error = answer['error'] as { readonly desc?: unknown } | undefined;
  if (error === undefined) return { result: answer['return'] };
  return { error: new WeftError(`QEMU: ${String(error.desc)}`, { code: 'QMP' }) };
}

export class RunningMacMachine {
  readonly #options: MacMachineOptions;
  readonly #process: ChildProcess;
  #console = '';
  #ended: string | undefined;
  #stopping = false;
  #agent: AgentClient | undefined;
  #monitor: LineCalls | undefined;

  private constructor(options: MacMachineOptions) {
    this.#options = options;
    const child = spawn(options.program, macQemuArguments(options.machine), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text).slice(-CONSOLE_MAX);
      });
    }
    child.once('error', (error) => this.#handleEnd(errorText(error)));
    child.once('exit', (code, signal) =>
      this.#handleEnd(`QEMU has ended (${signal ?? `exit code ${code}`})`),
    );
  }

  /** @throws WeftError BOOT: it has ended, or its guest has said nothing in time */
  static async start(options: MacMachineOptions): Promise<RunningMacMachine> {
    const machine = new RunningMacMachine(options);
    try {
      await machine.#boot();
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get hello(): GuestHello | undefined {
    return this.#agent?.hello;
  }

  get agent(): AgentClient {
    if (this.#agent === undefined) throw new WeftError('the guest is not up yet', { code: 'NOT_STARTED' });
    return this.#agent;
  }

  #handleEnd(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    this.#agent?.close();
    this.#monitor?.close();
    if (!this.#stopping && this.hello !== undefined) this.#options.onEnd(why);
  }

  #bootError(why: string): WeftError {
    const said = this.#console.trim().split('\n').at(-1) ?? '';
    return new WeftError(`the appliance did not start: ${why}${said === '' ? '' : `; it said: ${said}`}`, {
      code: 'BOOT',
    });
  }

  async #connect(path: string, endMs: number): Promise<Socket> {
    for (;;) {
      if (this.#ended !== undefined) throw this.#bootError(this.#ended);
      // oxlint-disable-next-line no-await-in-loop -- one try after another
      const socket = await connectOnce(path);
      if (socket !== undefined) return socket;
      if (performance.now() >= endMs) throw this.#bootError(`"${path}" was not there in time`);
      // oxlint-disable-next-line no-await-in-loop
      await sleep(CONNECT_RETRY_MS);
    }
  }

  async #boot(): Promise<void> {
    const { bootTimeoutMs, logger, machine } = this.#options;
    const endMs = performance.now() + bootTimeoutMs;
    const monitor = await this.#connect(machine.monitorPath, endMs);
    this.#monitor = new LineCalls(monitor, {
      who: 'QEMU',
      formatCall: (id, call) => JSON.stringify({ ...call, id }),
      readAnswer: readMonitorAnswer,
      onEvent: () => {},
    });
    await this.#monitor.call({ execute: 'qmp_capabilities' }, ASK_MS);
    const end = await this.#connect(machine.agentPath, endMs);
    this.#agent = new AgentClient(
      end,
      (event) => logger.debug({ ...event }, 'the guest told something'),
      () => {},
    );
    const hello = await this.#agent.waitForHello(Math.max(0, endMs - performance.now()));
    if (hello === undefined) throw this.#bootError(this.#ended ?? 'its guest has said nothing in time');
    await this.#tellLink(HOST_LINK);
    await this.#agent.ask({ do: 'proxy', proxy: { address: USER_NETWORK.guest } }, LINK_WAIT_MS);
    for (const uplink of machine.uplinks) {
      // oxlint-disable-next-line no-await-in-loop -- one after another
      await this.#tellLink(guestLinkOf(uplink));
    }
  }

  async #tellLink(link: GuestLink): Promise<void> {
    await this.agent.ask({ do: 'link', link, waitMs: LINK_WAIT_MS }, LINK_WAIT_MS + ASK_MS);
  }

  #tellMonitor(execute: string, args: Readonly<Record<string, string>>): Promise<unknown> {
    return (
      this.#monitor?.call({ execute, arguments: args }, ASK_MS) ??
      Promise.reject(new WeftError('QEMU is not up yet', { code: 'NOT_STARTED' }))
    );
  }

  /** A link that came. @throws WeftError QMP; the guest's */
  async plug(uplink: MacUplink): Promise<void> {
    await this.#tellMonitor('netdev_add', bridgedNetdev(uplink));
    await this.#tellMonitor('device_add', bridgedDevice(uplink));
    await this.#tellLink(guestLinkOf(uplink));
  }

  /** A link that went. @throws WeftError QMP; the guest's */
  async unplug({ mac, slot }: MacUplink): Promise<void> {
    await this.agent.ask({ do: 'unlink', mac }, ASK_MS);
    await this.#tellMonitor('device_del', { id: `nic${slot}` });
    await this.#tellMonitor('netdev_del', { id: `net${slot}` }).catch(() => undefined);
  }

  /** In order if it can, and in any case. Never throws. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const ended =
      this.#ended === undefined
        ? new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
        : Promise.resolve();
    await this.#agent?.ask({ do: 'stop' }, STOP_MS).catch(() => undefined);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS);
    if (this.#agent === undefined) this.#process.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
    this.#agent?.close();
    this.#monitor?.close();
  }
}
