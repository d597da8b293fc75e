/**
 * One process's tunnel: the device, the connections with their paths, the command port and what is said over it. This
 * is the face; what runs is in core.ts.
 *
 *   commands   mpt, mptsrv, weft tunnel ──► execute ──► commands.ts, creation.ts, reload.ts ──► core.ts
 *   events     core.ts ──► watch
 *   data       never passes through here (../data)
 *
 * Invariant: after `stop` nothing is left of what `start` and the commands made, except what the commands were told to
 * change on the host (`address`, `interface`) and in the folder (`save`, `delete`).
 */
import type { ClientCommand } from '../client/command.ts';
import { changePath, executeCommand } from './commands.ts';
import { TunnelCore } from './core.ts';
import { reportEngine, statusReport } from './engine-report.ts';
import type {
  CommandAnswer,
  TunnelEngineOptions,
  TunnelEngineStatus,
  TunnelEvent,
  TunnelPathChange,
} from './types.ts';

export class TunnelEngine {
  readonly #core: TunnelCore;

  private constructor(core: TunnelCore) {
    this.#core = core;
  }

  /**
   * Starts everything or nothing.
   * @throws WeftError EEXIST (the link's name is taken), EPERM, EACCES (no right), EADDRINUSE (a port is taken), NO_WORKER
   */
  static async start(options: TunnelEngineOptions): Promise<TunnelEngine> {
    const core = new TunnelCore({ ...options, executeCommand });
    await core.start();
    return new TunnelEngine(core);
  }

  /** The UDP port that commands come to. */
  get commandPort(): number {
    return this.#core.port.port;
  }

  status(): TunnelEngineStatus {
    return reportEngine(this.#core);
  }

  /** What `mpt show status` answers and `mptsrv` prints; begins with an empty line. */
  report(): string {
    return statusReport(this.#core);
  }

  /** Does a command of the client and answers as the original does. Never rejects: what fails is an answer. */
  execute(command: ClientCommand): Promise<CommandAnswer> {
    return executeCommand(this.#core, command);
  }

  /**
   * Sets a path up or down by hand, or gives it another weight, at once and without loss. A reload of a changed file
   * puts the weight back, `save` writes it down.
   * @throws WeftError `TUNNEL_REFUSED` when there is no such path
   */
  setPath(change: TunnelPathChange): void {
    changePath(this.#core, change);
  }

  /** Calls `listener` for each event until the returned function is called. */
  watch(listener: (event: TunnelEvent) => void): () => void {
    return this.#core.events.watch(listener);
  }

  /** Ends everything and removes exactly what was made. May be called again. */
  stop(): Promise<void> {
    return this.#core.stop();
  }
}
