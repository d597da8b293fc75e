/**
 * Tells the service manager how the daemon is, with sd_notify(3)'s protocol: datagrams of NAME=VALUE lines to the
 * socket that NOTIFY_SOCKET names. Without that variable every call does nothing.
 *
 *   READY=1 · STATUS=text · RELOADING=1 and MONOTONIC_USEC=µs, then READY=1 · STOPPING=1 · WATCHDOG=1
 *
 * The watchdog is fed at half of the time that WATCHDOG_USEC allows, from the event loop: who does not turn it any
 * more is started again. The variables are taken out of the environment, so that no child speaks in our name.
 *
 * References: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) (Type=notify, NotifyAccess=main).
 */
import { EAGAIN, errnoText, UnixDatagram } from '../../native/index.ts';

type Environment = Record<string, string | undefined>;

export interface NotifySettings {
  readonly socket?: string;
  /** Half of what the manager waits. */
  readonly watchdogEveryMs?: number;
}

/** Node's timers run at once when they are asked for more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What the environment asks for. Pure. */
export function notifySettings(env: Readonly<Environment>, pid: number): NotifySettings {
  const socket = env['NOTIFY_SOCKET'];
  if (socket === undefined || !/^[/@]./.test(socket)) return {};
  const timeoutUs = Number(env['WATCHDOG_USEC'] ?? '');
  const forUs = env['WATCHDOG_PID'] === undefined || Number(env['WATCHDOG_PID']) === pid;
  if (!forUs || !Number.isSafeInteger(timeoutUs) || timeoutUs <= 0) return { socket };
  const everyMs = Math.floor(timeoutUs / 2000);
  return { socket, watchdogEveryMs: Math.min(Math.max(1, everyMs), LONGEST_TIMER_MS) };
}

/** BOUNDED: 100 ms in all. */
const SEND_TRIES = 20;
const SEND_WAIT_MS = 5;

const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'];

/** Status texts are one line. */
const oneLine = (text: string) => text.replaceAll(/[\r\n]+/g, ' ');

export class ServiceManager {
  #socket: UnixDatagram | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  readonly #problem: (text: string) => void;

  /**
   * @param env the process's environment; its variables of this protocol are removed
   * @param problem is told, once, when the manager cannot be reached
   */
  constructor(env: Environment, pid: number, problem: (text: string) => void) {
    this.#problem = problem;
    const { socket, watchdogEveryMs } = notifySettings(env, pid);
    for (const name of VARIABLES) delete env[name];
    if (socket === undefined) return;
    try {
      this.#socket = new UnixDatagram(socket);
    } catch (error) {
      this.#fail((error as Error).message);
      return;
    }
    if (watchdogEveryMs === undefined) return;
    this.#watchdog = setInterval(() => this.#send('WATCHDOG=1'), watchdogEveryMs);
    this.#watchdog.unref();
  }

  #fail(text: string): void {
    this.close();
    this.#problem(`the service manager cannot be told: ${text}`);
  }

  #send(...lines: string[]): void {
    const datagram = Buffer.from(lines.join('\n'));
    let errno = this.#socket?.send(datagram) ?? 0;
    // The manager reads when it is busy too, only later.
    for (let tries = 1; errno === EAGAIN && tries < SEND_TRIES; tries++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SEND_WAIT_MS);
      errno = this.#socket?.send(datagram) ?? 0;
    }
    if (errno !== 0 && errno !== EAGAIN) this.#fail(errnoText(errno));
  }

  ready(status: string): void {
    this.#send('READY=1', `STATUS=${oneLine(status)}`);
  }

  status(text: string): void {
    this.#send(`STATUS=${oneLine(text)}`);
  }

  /** Followed by `ready` when it is over, whatever came of it. */
  reloading(): void {
    const monotonicUs = process.hrtime.bigint() / 1000n;
    this.#send('RELOADING=1', `MONOTONIC_USEC=${monotonicUs}`);
  }

  stopping(): void {
    this.#send('STOPPING=1', 'STATUS=stopping');
  }

  close(): void {
    clearInterval(this.#watchdog);
    this.#socket?.close();
    this.#socket = undefined;
  }
}
