/**
 * Control calls on a unix socket that only the user of the process can reach. One server of a kind per network
 * namespace: whoever holds the lock beside the socket is the running one, and a socket without a lock holder is what a
 * killed one left, so it is replaced.
 *
 * References: unix(7) (permissions), control-face.ts (the calls).
 */
import type { Server } from 'node:http';
import { fileError, WeftError, type Logger } from '../base/index.ts';
import { FileLock, removeFile } from '../native/index.ts';
import { takeLock } from './abandoned.ts';
import type { EventFeed, FeedSource } from './control-event-feed.ts';
import type { ControlFace } from './control-face.ts';
import type { ControlRoute } from './control-request.ts';
import { controlSocketPath, lockPath } from './runtime-folder.ts';

/** BOUNDED: what one client, and all clients, may ask of a process whose main job is something else. */
const HEADER_MAX_BYTES = 8 << 10;
// More than both streams take readers, so that a question always finds a place.
const CLIENTS_MAX = 64;
const REQUEST_TIMEOUT_MS = 5000;
const SOCKET_MODE_MASK = 0o177;

const NO_ROOM_HINT = 'make the folder writable, or name another one in WEFT_RUNTIME_DIR';

/** The longest path of a unix socket (sun_path of sockaddr_un, with its terminating zero). */
const SOCKET_PATH_MAX_BYTES = 107;

/**
 * Takes the lock that makes this process the running Weft of its network namespace. The lock comes before anything
 * is changed on the host; the socket comes when there is something to tell.
 * @throws WeftError `ALREADY_RUNNING`
 */
export function takeServiceLock(folder: string, netnsInode: number): FileLock {
  const path = lockPath(folder, netnsInode);
  let lock: FileLock | undefined;
  try {
    lock = takeLock(path);
  } catch (error) {
    throw fileError(`take the lock "${path}"`, error, NO_ROOM_HINT);
  }
  if (lock !== undefined) return lock;
  const holder = FileLock.holderOf(path);
  throw new WeftError(`Weft is already running here${holder === undefined ? '' : ` (process ${holder})`}`, {
    code: 'ALREADY_RUNNING',
    hint: '"weft status" shows it; stop it before you start another',
  });
}

export interface ControlServerOptions<Api> {
  readonly face: ControlFace<Api>;
  readonly api: Api;
  /** What the face's stream tells, when it has one. */
  readonly source?: FeedSource;
  /** What is answered beside the calls, by path. */
  readonly routes?: ReadonlyMap<string, ControlRoute>;
  /** From `prepareRuntimeFolder`. */
  readonly folder: string;
  readonly netnsInode: number;
  readonly logger: Logger;
  /** How long a client may take for its request, and be silent between two. Default 5000. */
  readonly requestTimeoutMs?: number;
}

/** HTTP is loaded here: what starts before, starts sooner. */
async function buildServer<Api>(
  { api, face, requestTimeoutMs = REQUEST_TIMEOUT_MS, routes }: ControlServerOptions<Api>,
  feed: EventFeed | undefined,
): Promise<Server> {
  const { controlRequestListener } = await import('./control-request.ts');
  // Not imported: in a CommonJS program the first `import()` of a module of Node's starts its module loader, 7 ms.
  const { createServer } = process.getBuiltinModule('node:http');
  const server = createServer(
    {
      maxHeaderSize: HEADER_MAX_BYTES,
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs,
    },
    controlRequestListener({
      calls: face.calls,
      api,
      ...(feed === undefined || face.stream === undefined ? {} : { stream: { face: face.stream, feed } }),
      ...(routes === undefined ? {} : { routes }),
    }),
  );
  server.setTimeout(requestTimeoutMs);
  server.maxConnections = CLIENTS_MAX;
  return server;
}

export class ControlServer {
  readonly socketPath: string;
  readonly #server: Server;
  readonly #feed: EventFeed | undefined;

  private constructor(socketPath: string, server: Server, feed: EventFeed | undefined) {
    this.socketPath = socketPath;
    this.#server = server;
    this.#feed = feed;
  }

  /**
   * Listens. The caller holds the lock of its kind for the same folder and namespace.
   * @throws WeftError `SOCKET_PATH`; the errors of bind(2)
   */
  static async listen<Api>(options: ControlServerOptions<Api>): Promise<ControlServer> {
    const { face, folder, logger, netnsInode, source } = options;
    const path = controlSocketPath(folder, netnsInode, face.file);
    if (Buffer.byteLength(path) > SOCKET_PATH_MAX_BYTES) {
      throw new WeftError(`the path of the control socket is too long: "${path}"`, {
        code: 'SOCKET_PATH',
        hint: 'name a folder with a shorter path in the environment variable WEFT_RUNTIME_DIR',
      });
    }
    const { EventFeed } = await import('./control-event-feed.ts');
    const feed = source === undefined ? undefined : new EventFeed(source);
    const server = await buildServer(options, feed);
    removeFile(path);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
      // bind(2) happens within listen(), so the socket has its narrow mode from its first instant.
      const umask = process.umask(SOCKET_MODE_MASK);
      try {
        server.listen({ path });
      } finally {
        process.umask(umask);
      }
    });
    server.on('error', (err) => logger.warn({ err }, 'the control socket failed'));
    return new ControlServer(path, server, feed);
  }

  /** Ends open requests and streams, and removes the socket. */
  async close(): Promise<void> {
    this.#feed?.close();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    removeFile(this.socketPath);
  }
}
