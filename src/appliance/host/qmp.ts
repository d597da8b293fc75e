/**
 * QEMU's machine protocol, as far as the appliance needs it: NICs that come and go, a link's carrier, powering off.
 * The monitor is one end of a socket pair that QEMU inherits, so nobody else can speak to it.
 *
 *   ◄ {"QMP": {…}}   ► {"execute": "qmp_capabilities", "id": 1}   ◄ {"return": {}, "id": 1}
 *   ► {"execute": "device_del", "arguments": {"id": "nic1"}, "id": 2}   ◄ {"event": "DEVICE_DELETED", …}
 *
 * Invariant: nothing else is being written while a descriptor is sent.
 *
 * References: QEMU's docs/interop/qmp-spec.rst, qapi/net.json, qapi/qdev.json.
 */
import { Socket } from 'node:net';
import { WeftError } from '../../base/index.ts';
import { sendDescriptor } from '../../native/index.ts';
import { LineCalls } from './line-calls.ts';

const TIMEOUT_MS = 10_000;
/** BOUNDED: what QMP answers to these commands is short. */
const LINE_MAX_BYTES = 1 << 20;

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** QEMU refused a command. */
export class QmpError extends WeftError {
  /** `GenericError`, `DeviceNotFound` … */
  readonly className: string;

  constructor(command: string, className: string, description: string) {
    super(`QEMU refused "${command}": ${description}`, { code: 'QMP' });
    this.className = className;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readAnswer(
  answer: Record<string, unknown>,
  call: Record<string, unknown>,
): { result: unknown } | { error: WeftError } {
  const { error } = answer;
  if (!isRecord(error)) return { result: answer['return'] };
  return { error: new QmpError(String(call['execute']), String(error['class']), String(error['desc'])) };
}

export class QmpClient {
  readonly #fd: number;
  readonly #socket: Socket;
  readonly #calls: LineCalls;
  /** BOUNDED by the number of device_del commands that wait. */
  readonly #eventWaiters = new Set<(event: QmpEvent) => void>();
  #greeted: (() => void) | undefined;
  #hasGreeting = false;

  /**
   * @param fd the host's end of the monitor's socket pair; this object's from now on
   * @param onEnd QEMU has closed its end
   */
  constructor(fd: number, onEnd?: (why: string) => void) {
    this.#fd = fd;
    this.#socket = new Socket({ fd });
    this.#calls = new LineCalls(this.#socket, {
      who: 'QEMU',
      lineMaxBytes: LINE_MAX_BYTES,
      formatCall: (id, call) => JSON.stringify({ ...call, id }),
      readAnswer,
      onEvent: (event) => this.#handleEvent(event),
      ...(onEnd === undefined ? {} : { onEnd }),
    });
  }

  #handleEvent(message: Record<string, unknown>): void {
    if ('QMP' in message) {
      this.#hasGreeting = true;
      this.#greeted?.();
      return;
    }
    const { data, event } = message;
    if (typeof event !== 'string') return;
    const told = { event, data: isRecord(data) ? data : {} };
    for (const waiter of this.#eventWaiters) waiter(told);
  }

  get ended(): string | undefined {
    return this.#calls.ended;
  }

  /** Waits for QEMU's greeting and answers it. @throws WeftError ENDED, TIMEOUT */
  async begin(timeoutMs = TIMEOUT_MS): Promise<void> {
    if (!this.#hasGreeting) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new WeftError(`QEMU did not greet within ${timeoutMs} ms`, { code: 'TIMEOUT' }));
        }, timeoutMs);
        const fail = () => {
          clearTimeout(timer);
          reject(new WeftError('QEMU ended before it greeted', { code: 'ENDED' }));
        };
        this.#socket.once('close', fail);
        this.#greeted = () => {
          clearTimeout(timer);
          this.#socket.off('close', fail);
          resolve();
        };
      });
    }
    await this.execute('qmp_capabilities');
  }

  execute(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    const call = args === undefined ? { execute: command } : { execute: command, arguments: args };
    return this.#calls.call(call, timeoutMs);
  }

  /** Gives QEMU a descriptor under a name, for `fd=NAME`. The caller's own stays open. */
  async giveDescriptor(name: string, descriptor: number): Promise<void> {
    const call = { execute: 'getfd', arguments: { fdname: name } };
    await this.#calls.call(call, TIMEOUT_MS, (line) => sendDescriptor(this.#fd, line, descriptor));
  }

  /** Asks for a device to be unplugged and waits until the guest has let it go. @throws WeftError TIMEOUT */
  async removeDevice(id: string, timeoutMs = TIMEOUT_MS): Promise<void> {
    let settle: ((gone: boolean) => void) | undefined;
    const gone = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const waiter = ({ data, event }: QmpEvent) => {
      if (event === 'DEVICE_DELETED' && data['device'] === id) settle?.(true);
    };
    this.#eventWaiters.add(waiter);
    const timer = setTimeout(() => settle?.(false), timeoutMs);
    try {
      await this.execute('device_del', { id });
      if (await gone) return;
      throw new WeftError(`the guest did not let "${id}" go within ${timeoutMs} ms`, { code: 'TIMEOUT' });
    } catch (error) {
      if (error instanceof QmpError && error.className === 'DeviceNotFound') return;
      throw error;
    } finally {
      clearTimeout(timer);
      this.#eventWaiters.delete(waiter);
    }
  }

  /** Harmless when done before. */
  close(): void {
    this.#calls.close();
  }
}
