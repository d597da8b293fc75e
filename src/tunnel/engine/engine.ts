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
import { monotonicMs } from '../../native/index.ts';
import type { ClientCommand } from '../client/command.ts';
import { readTotalCounters } from '../data/data-counters.ts';
import { executeCommand, statusReport } from './commands.ts';
import { TunnelCore } from './core.ts';
import type { CommandAnswer, TunnelEngineOptions, TunnelEngineStatus, TunnelEvent } from './types.ts';

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
    const core = this.#core;
    const { acceptRemote, ipv4, ipv6, name } = core.config.interface;
    const { device } = core.host;
    const { sent, received } = readTotalCounters(core.plane.outboundTotals, core.plane.inboundTotals);
    const nowMs = monotonicMs();
    return {
      tunnel: {
        interfaceName: name,
        mtu: device.mtuBytes,
        ...(ipv4 && { ipv4: `${ipv4.address}/${ipv4.length}` }),
        ...(ipv6 && { ipv6: `${ipv6.address}/${ipv6.length}` }),
        commandPort: core.port.port,
        acceptRemote,
        uptimeS: Math.round((nowMs - core.startedMs) / 1000),
        hasVirtioHeader: device.hasVirtioHeader,
        hasTcpOffload: device.hasTcpOffload,
        hasUdpOffload: device.hasUdpOffload,
        troubles: [...core.events.troubles],
      },
      connections: core.connections.map((connection) => connection.toStatus(nowMs)),
      totals: {
        noConnection: sent.noConnection,
        malformed: sent.malformed,
        tunReads: sent.reads,
        tunWrites: received.writes,
        tunWriteErrors: received.writeErrors,
      },
      control: core.port.counters(),
    };
  }

  /** What `mpt show status` answers and `mptsrv` prints; begins with an empty line. */
  report(): string {
    return statusReport(this.#core);
  }

  /** Does a command of the client and answers as the original does. Never rejects: what fails is an answer. */
  execute(command: ClientCommand): Promise<CommandAnswer> {
    return executeCommand(this.#core, command);
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
