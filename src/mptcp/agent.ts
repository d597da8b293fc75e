/**
 * http.Agent and https.Agent whose connections are MPTCP where that can be had, and TCP where not. All else is
 * Node's: keep-alive, limits, queueing.
 *
 * Node counts a connection against its limits only when it is there, and expects failures from a socket rather
 * than from the callback (a queued request would otherwise be tried for ever). So while a connection is made, a
 * placeholder socket stands for it in the agent's lists, and a failure is handed over as a socket that dies of it.
 * agent.destroy() destroys placeholders too, which stops what they stand for.
 *
 * Node's agents always call createConnection with a callback; a direct call without one, and a Unix socket path,
 * get what Node's own createConnection gives.
 */
import { Agent as HttpAgent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import {
  Agent as HttpsAgent,
  type AgentOptions as HttpsAgentOptions,
  type RequestOptions as HttpsRequestOptions,
} from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type MptcpSocket } from './connect-socket.ts';

/** What the agents take beside Node's own options. */
export interface MultipathOptions {
  /** `false` asks for plain TCP. Default `true`. */
  readonly multipath?: boolean;
  /** Name of the link that each connection's first subflow is bound to. */
  readonly localLink?: string;
  /** Called with each new connection; `socket.multipath` says what it speaks, and why if it is TCP. */
  readonly onConnect?: (socket: MptcpSocket) => void;
}

type Created = (error: Error | null, stream: Duplex) => void;

/** What Node puts into the options on the way, beside what its types name. */
interface ConnectionArgs extends ClientRequestArgs {
  readonly keepAlive?: boolean;
  readonly keepAliveInitialDelay?: number;
  readonly noDelay?: boolean;
}

/** The agent's own lists; `totalSocketCount` is public in fact, and missing in Node's documentation. */
interface Counted {
  readonly sockets: NodeJS.Dict<Socket[]>;
  totalSocketCount: number;
}

/** Puts a placeholder into the agent's lists and gives back what takes it out again. */
function reserve(agent: HttpAgent, name: string, placeholder: Socket): () => void {
  const counted = agent as unknown as Counted & { sockets: Record<string, Socket[]> };
  (counted.sockets[name] ??= []).push(placeholder);
  counted.totalSocketCount++;
  return () => {
    counted.totalSocketCount--;
    const list = counted.sockets[name];
    const at = list?.indexOf(placeholder) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    if (list.length === 0) delete counted.sockets[name];
  };
}

/** Stands for a connection that could not be made: takes a request's bytes, sends none, and is destroyed soon. */
class DeadSocket extends Socket {
  override _write(): void {}
  override _writev(): void {}
}

async function connectFor(
  options: ConnectionArgs,
  settings: MultipathOptions,
  signal: AbortSignal,
): Promise<MptcpSocket> {
  const { host, port, family, localAddress, localPort, lookup, timeout } = options;
  const { localLink, multipath } = settings;
  const socket = await connect({
    host: host ?? 'localhost',
    port: Number(port ?? options.defaultPort ?? 80),
    signal,
    ...(family === undefined ? {} : { family }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
    ...(localLink === undefined ? {} : { localLink }),
    ...(multipath === undefined ? {} : { multipath }),
    ...(lookup === undefined ? {} : { lookup }),
    ...(timeout === undefined || timeout <= 0 ? {} : { timeoutMs: timeout }),
  });
  // What net.createConnection would have set.
  if (options.noDelay === true) socket.setNoDelay(true);
  if (options.keepAlive === true) socket.setKeepAlive(true, options.keepAliveInitialDelay ?? 0);
  if (timeout !== undefined && timeout > 0) socket.setTimeout(timeout);
  return socket;
}

/** Makes one connection for the agent and hands it, or its failure, to Node. */
function createFor(
  agent: HttpAgent,
  options: ConnectionArgs,
  settings: MultipathOptions,
  wrap: (socket: MptcpSocket) => Duplex,
  created: Created,
): void {
  const stop = new AbortController();
  const placeholder = new Socket();
  placeholder.once('close', () => stop.abort());
  const release = reserve(agent, agent.getName(options), placeholder);
  connectFor(options, settings, stop.signal)
    .then((socket) => {
      try {
        settings.onConnect?.(socket);
        return wrap(socket);
      } catch (error) {
        socket.destroy();
        throw error;
      }
    })
    .then(
      (stream) => {
        release();
        created(null, stream);
      },
      (error: Error) => {
        release();
        const dead = new DeadSocket();
        created(null, dead);
        // Node attaches the request's listeners within this turn of the event loop.
        setImmediate(() => dead.destroy(error));
      },
    );
}

export class MptcpAgent extends HttpAgent {
  readonly #settings: MultipathOptions;

  constructor(options: AgentOptions & MultipathOptions = {}) {
    super(options);
    this.#settings = options;
  }

  override createConnection(options: ClientRequestArgs, created?: Created): Duplex | null | undefined {
    if (created === undefined || typeof options.socketPath === 'string') {
      return super.createConnection(options, created);
    }
    createFor(this, options, this.#settings, (socket) => socket, created);
    return undefined;
  }
}

export class MptcpHttpsAgent extends HttpsAgent {
  readonly #settings: MultipathOptions;

  constructor(options: HttpsAgentOptions & MultipathOptions = {}) {
    super(options);
    this.#settings = options;
  }

  override createConnection(options: HttpsRequestOptions, created?: Created): Duplex | null | undefined {
    if (created === undefined || typeof options.socketPath === 'string') {
      return super.createConnection(options, created);
    }
    // Node's own agent does TLS over the socket it is given, with its session cache.
    const secure = (socket: MptcpSocket) =>
      super.createConnection({ ...options, socket } as HttpsRequestOptions) ?? socket;
    createFor(this, { defaultPort: 443, ...options }, this.#settings, secure, created);
    return undefined;
  }
}
