/**
 * One process's tunnel: the device, the connections with their paths, the command port and what is said over it.
 */
import type { ClientCommand } from '../client/command.ts';
import type { CommandAnswer, TunnelEngineOptions, TunnelEngineStatus, TunnelEvent } from './types.ts';

const soon = (): never => {
  throw new Error('the engine is being written');
};

export class TunnelEngine {
  private constructor() {
    soon();
  }

  /** Starts everything or nothing. Throws WeftError (SystemError EPERM, TUNNEL_PORT_IN_USE …). */
  static start(_options: TunnelEngineOptions): Promise<TunnelEngine> {
    return soon();
  }

  /** The UDP port that commands come to. */
  get commandPort(): number {
    return soon();
  }

  status(): TunnelEngineStatus {
    return soon();
  }

  /** What `mpt show status` answers and `mptsrv` prints, from `Tunnel information:` on. */
  report(): string {
    return soon();
  }

  execute(_command: ClientCommand): Promise<CommandAnswer> {
    return soon();
  }

  /** Calls `listener` for each event until the returned function is called. */
  watch(_listener: (event: TunnelEvent) => void): () => void {
    return soon();
  }

  /** Ends everything and removes exactly what was made. May be called again. */
  stop(): Promise<void> {
    return soon();
  }
}
