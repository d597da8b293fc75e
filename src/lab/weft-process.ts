/**
 * The real `weft up` as a process in the client of a lab, from its start until it is ready and to its end.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '../base/errors.ts';
import { closeFd } from '../native/index.ts';
import { connectFd, EndpointFlag, PathManager } from '../mptcp/index.ts';
import type { Lab } from './lab.ts';

/** Where `weft up` listens unless told otherwise. */
export const PROXY = { address: '127.0.0.1', port: 13128 } as const;

const START_TIMEOUT_MS = 20_000;
const STEP_MS = 20;
/** BOUNDED: what is kept of the log, for error messages. */
const LOG_LINES = 50;

export interface WeftProcessOptions {
  /** Program and arguments before `up`. */
  readonly command: readonly string[];
  /** Arguments after `up`. */
  readonly arguments?: readonly string[];
  readonly signal?: AbortSignal;
}

export class WeftProcess {
  readonly #lab: Lab;
  readonly #child: ChildProcess;
  readonly #log: string[] = [];
  #end: string | undefined;

  private constructor(lab: Lab, options: WeftProcessOptions) {
    this.#lab = lab;
    const argv = [...options.command, 'up', ...(options.arguments ?? [])];
    this.#child = lab.node('client').spawn(argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log.push(...text.trimEnd().split('\n'));
        this.#log.splice(0, this.#log.length - LOG_LINES);
      });
    }
    this.#child.once('error', (error) => {
      this.#end = error.message;
    });
    this.#child.once('exit', (code, signal) => {
      this.#end = `exit ${code ?? signal}`;
    });
  }

  /**
   * Starts it and resolves when it serves and has an endpoint for the address of each uplink. Rejects with the end
   * of its log when that does not happen within 20 s.
   */
  static async start(lab: Lab, options: WeftProcessOptions): Promise<WeftProcess> {
    const weft = new WeftProcess(lab, options);
    const manager = PathManager.open({ netns: lab.node('client').path });
    try {
      const deadline = performance.now() + START_TIMEOUT_MS;
      while (!(await weft.#isReady(manager))) {
        if (weft.#end !== undefined || performance.now() > deadline) {
          const what = weft.#end === undefined ? 'did not become ready' : `ended (${weft.#end})`;
          throw new WeftError(`"weft up" ${what}: ${weft.log.join(' | ')}`, { code: 'WEFT_UP' });
        }
        await sleep(STEP_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
      }
      return weft;
    } catch (error) {
      weft.#child.kill('SIGKILL');
      throw error;
    } finally {
      manager.close();
    }
  }

  async #isReady(manager: PathManager): Promise<boolean> {
    const addresses = new Set(
      manager
        .endpoints()
        .filter(({ flags }) => (flags & EndpointFlag.subflow) !== 0)
        .map(({ address }) => address),
    );
    if (!this.#lab.uplinks.every((uplink) => addresses.has(uplink.address))) return false;
    try {
      const probe = this.#lab.node('client').inside(() => connectFd({ ...PROXY, multipath: false }));
      closeFd((await probe).fd);
      return true;
    } catch {
      return false;
    }
  }

  /** The last lines that it wrote. */
  get log(): readonly string[] {
    return this.#log;
  }

  /** Ends it with a signal and resolves with its exit code (`null`: the signal ended it). */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    const [code] = (await ended) as [number | null];
    return code;
  }
}
