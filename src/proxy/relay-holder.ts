/**
 * The relay thread, made anew at the next tunnel after it has failed.
 */
import { errorText, type Logger } from '../base/index.ts';
import type { ProxyLimits } from './options.ts';
import { RelayThread, type TunnelEnd } from './relay/relay-thread.ts';

export interface RelayThreadHolderOptions {
  readonly limits: ProxyLimits;
  readonly logger: Logger;
  readonly onClosed: (end: TunnelEnd) => void;
}

export class RelayThreadHolder {
  readonly #options: RelayThreadHolderOptions;
  #thread: RelayThread | undefined;

  constructor(options: RelayThreadHolderOptions) {
    this.#options = options;
  }

  /** The thread, started when there is none. @throws WeftError NO_WORKER */
  start(): RelayThread {
    if (this.#thread !== undefined) return this.#thread;
    const { limits, logger, onClosed } = this.#options;
    const thread = new RelayThread(
      {
        idleTimeoutMs: limits.tunnelIdleTimeoutMs,
        halfClosedIdleTimeoutMs: limits.halfClosedTimeoutMs,
        heldBytesSoftLimit: limits.heldBytesSoftLimit,
        maxPipes: limits.maxPipes,
      },
      {
        onClosed,
        onFailure: (error) => {
          if (this.#thread === thread) this.#thread = undefined;
          logger.error(
            { error: error.stack },
            `relay thread failed, its tunnels are closed: ${errorText(error)}`,
          );
        },
      },
    );
    this.#thread = thread;
    return thread;
  }

  bytesOf(id: number): { readonly up: number; readonly down: number } {
    return this.#thread?.bytesOf(id) ?? { up: 0, down: 0 };
  }

  async stop(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.stop();
  }
}
