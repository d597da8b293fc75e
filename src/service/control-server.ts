/**
 * The control calls on a unix socket that only the user of the process can reach. One server per network namespace:
 * whoever holds the lock beside the socket is the running Weft, and a socket without a lock holder is what a killed
 * one left, so it is replaced.
 *
 * References: unix(7) (permissions), control-api.ts (the calls).
 */
import { rmSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { errorText, WeftError, type Logger } from '../base/index.ts';
import { FileLock } from '../native/index.ts';
import { takeLock } from './abandoned.ts';
import { CONTROL_CALLS, type ControlApi, type ControlFailure } from './control-api.ts';
import { controlSocketPath, lockPath } from './runtime-folder.ts';

/** BOUNDED: what one client, and all clients, may ask of a process whose main job is something else. */
const BODY_MAX_BYTES = 64 << 10;
const HEADER_MAX_BYTES = 8 << 10;
const CLIENTS_MAX = 32;
const REQUEST_TIMEOUT_MS = 5000;
const SOCKET_MODE_MASK = 0o177;

/** The longest path of a unix socket (sun_path of sockaddr_un, with its terminating zero). */
const SOCKET_PATH_MAX_BYTES = 107;

/**
 * Takes the lock that makes this process the running Weft of its network namespace. The lock comes before anything
 * is changed on the host; the socket comes when there is something to tell.
 * @throws WeftError `ALREADY_RUNNING`
 */
export function takeServiceLock(folder: string, netnsInode: number): FileLock {
  const path = lockPath(folder, netnsInode);
  const lock = takeLock(path);
  if (lock !== undefined) return lock;
  const holder = FileLock.holderOf(path);
  throw new WeftError(`Weft is already running here${holder === undefined ? '' : ` (process ${holder})`}`, {
    code: 'ALREADY_RUNNING',
    hint: '"weft status" shows it; stop it before you start another',
  });
}

async function buildServer(api: ControlApi): Promise<FastifyInstance> {
  // Loaded when it is wanted: commands that only ask do without.
  const { fastify } = await import('fastify');
  const app = fastify({
    logger: false,
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: true,
    http: { maxHeaderSize: HEADER_MAX_BYTES },
  });
  for (const [name, call] of Object.entries(CONTROL_CALLS)) {
    app.route({ method: call.method, url: call.path, handler: () => api[name as keyof ControlApi]() });
  }
  app.setNotFoundHandler((_request, reply) => {
    const failure: ControlFailure = { error: 'there is no such control call', code: 'NO_SUCH_CALL' };
    return reply.code(404).send(failure);
  });
  app.setErrorHandler((error, _request, reply) => {
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    const code = error instanceof WeftError ? error.code : 'CONTROL';
    const failure: ControlFailure = { error: errorText(error), code };
    return reply.code(status).send(failure);
  });
  return app;
}

export class ControlServer {
  readonly socketPath: string;
  readonly #app: FastifyInstance;

  private constructor(socketPath: string, app: FastifyInstance) {
    this.socketPath = socketPath;
    this.#app = app;
  }

  /**
   * Listens. The caller holds the lock of `takeServiceLock` for the same folder and namespace.
   * @param folder from `prepareRuntimeFolder`
   * @throws WeftError `SOCKET_PATH`; the errors of bind(2)
   */
  static async listen(
    api: ControlApi,
    folder: string,
    netnsInode: number,
    logger: Logger,
  ): Promise<ControlServer> {
    const path = controlSocketPath(folder, netnsInode);
    if (Buffer.byteLength(path) > SOCKET_PATH_MAX_BYTES) {
      throw new WeftError(`the path of the control socket is too long: "${path}"`, {
        code: 'SOCKET_PATH',
        hint: 'name a folder with a shorter path in the environment variable WEFT_RUNTIME_DIR',
      });
    }
    const app = await buildServer(api);
    await app.ready();
    rmSync(path, { force: true });
    app.server.maxConnections = CLIENTS_MAX;
    await new Promise<void>((resolve, reject) => {
      app.server.once('error', reject);
      app.server.once('listening', resolve);
      // bind(2) happens within listen(), so the socket has its narrow mode from its first instant.
      const umask = process.umask(SOCKET_MODE_MASK);
      try {
        app.server.listen({ path });
      } finally {
        process.umask(umask);
      }
    });
    app.server.on('error', (err) => logger.warn({ err }, 'the control socket failed'));
    return new ControlServer(path, app);
  }

  /** Ends open requests and removes the socket. */
  async close(): Promise<void> {
    await this.#app.close();
    rmSync(this.socketPath, { force: true });
  }
}
