/**
 * The daemon's control socket: the calls of control-api.ts and the stream of events, carried out by a PathDaemon.
 */
import type { Logger } from '../../base/index.ts';
import type { PathDaemon } from '../../pathmanager/index.ts';
import { ControlServer } from '../control-server.ts';
import type { Observation } from '../observe/service.ts';
import { DAEMON_API_VERSION, DAEMON_FACE, type DaemonApi, type DaemonControlApi } from './control-api.ts';

/** What of PathDaemon is made available. */
export type ControlledDaemon = Pick<PathDaemon, 'setInterface' | 'status' | 'watch'>;

export interface DaemonControlOptions {
  readonly daemon: ControlledDaemon;
  readonly observation: Pick<Observation, 'routes' | 'socketApi'>;
  /** The package's version. */
  readonly version: string;
  /** From `prepareDaemonFolder`; the caller holds the daemon's lock there. */
  readonly folder: string;
  readonly netnsInode: number;
  readonly logger: Logger;
}

function controlApi(daemon: ControlledDaemon, version: string): DaemonControlApi {
  return {
    async status() {
      const status = daemon.status();
      return {
        apiVersion: DAEMON_API_VERSION,
        version,
        pid: process.pid,
        upForMs: Math.max(0, Date.now() - status.startedAtMs),
        ...status,
      };
    },
    setInterface: ({ backup, name }) => daemon.setInterface(name, { backup }),
  };
}

export class DaemonControl {
  readonly #server: ControlServer;

  private constructor(server: ControlServer) {
    this.#server = server;
  }

  /**
   * Listens; for when the daemon is ready, because HTTP is loaded here.
   * @throws WeftError `SOCKET_PATH`; the errors of bind(2)
   */
  static async listen({
    daemon,
    folder,
    logger,
    netnsInode,
    observation,
    version,
  }: DaemonControlOptions): Promise<DaemonControl> {
    const api: DaemonApi = { ...controlApi(daemon, version), ...observation.socketApi };
    const server = await ControlServer.listen({
      face: DAEMON_FACE,
      api,
      source: daemon,
      routes: observation.routes,
      folder,
      netnsInode,
      logger,
    });
    return new DaemonControl(server);
  }

  get socketPath(): string {
    return this.#server.socketPath;
  }

  /** Ends streams and open requests, and removes the socket. */
  close(): Promise<void> {
    return this.#server.close();
  }
}
