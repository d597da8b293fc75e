/**
 * The command port: one UDP socket of the process, over which peers' exchanges, own exchanges and the commands of the
 * `mpt` client go. The protocol is in ../control (pure); this is its driver.
 *
 * Invariants: a local command is taken from a loopback address that came to a loopback address only, and one that changes
 * something from root or the server's user only; answers leave from
 * the address that the question came to; each exchange begun here ends its promise once; nothing that was received is
 * thrown or logged per datagram.
 */
import { errorText, formatSocketAddress, isLoopback, WeftError, type Logger } from '../../base/index.ts';
import {
  DatagramSocket,
  EPOLLIN,
  monotonicMs,
  monotonicUs,
  reactor,
  type DatagramOrigin,
  type ReceivedDatagram,
  type SocketAddress,
  type Watch,
} from '../../native/index.ts';
import { formatCommand, isReading, parseCommandText, type ClientCommand } from '../client/command.ts';
import { classifyCommandDatagram } from '../control/command-port.ts';
import type { ExchangeOutcome, ExchangeRequest } from '../control/exchange.ts';
import { InitiatorDesk, type DeskOutput } from '../control/initiator-desk.ts';
import { emitLocalEnd, emitLocalReply, parseLocalRequest } from '../control/local-protocol.ts';
import { ControlResult, type ControlMessage } from '../control/message.ts';
import { nodeRandomToken, nodeSha256 } from '../control/node-crypto.ts';
import { TokenBucket } from '../data/token-bucket.ts';
import { isFromAdministrator } from '../host/local-sender.ts';
import { Responder, type Admission } from '../control/responder.ts';
import type { CommandAnswer, TunnelEngineStatus } from './types.ts';

/** A peer's request that is to be executed. */
export interface PeerRequest<Target> {
  readonly target: Target;
  readonly message: ControlMessage;
  readonly from: SocketAddress;
  readonly peerIsWeft: boolean;
}

export interface PeerAnswer {
  readonly result: number;
  readonly body: Uint8Array;
}

export interface CommandPortHandlers<Target> {
  readonly resolve: (message: ControlMessage, from: string) => Admission<Target>;
  readonly executeRequest: (request: PeerRequest<Target>) => PeerAnswer | Promise<PeerAnswer>;
  readonly executeCommand: (command: ClientCommand) => Promise<CommandAnswer>;
  /** `nextMs` may have become earlier. */
  readonly onDeadline: () => void;
}

/** An exchange to begin. */
export interface OwnExchange {
  readonly request: ExchangeRequest;
  readonly key: Uint8Array;
  readonly refusalKeys?: readonly Uint8Array[];
  readonly to: SocketAddress;
  /** Address and link that it leaves from; absent: as the routes say. */
  readonly origin?: DatagramOrigin;
}

interface Running {
  readonly to: SocketAddress;
  readonly origin: DatagramOrigin;
  readonly resolve: (outcome: ExchangeOutcome) => void;
  readonly reject: (error: Error) => void;
}

/** BOUNDED: datagrams read in one turn. */
const DATAGRAMS_PER_TURN = 64;
const LOCAL_COMMANDS_MAX = 64;
/**
 * BOUNDED: local commands taken, and refusals logged, a second and at once. Any user may send them, and who sent one is
 * looked up in the list of all sockets.
 */
const LOCAL_COMMANDS = { perSecond: 50, burst: 100 } as const;
/**
 * BOUNDED: as many more, kept for sockets that sent less than `NEWCOMER_COMMANDS` in this second: who floods the server
 * from one socket does not shut the administrator out.
 */
const NEWCOMERS = { perSecond: 50, burst: 50 } as const;
const NEWCOMER_COMMANDS = 4;
const SECOND_US = 1e6;
const REFUSALS_LOGGED = { perSecond: 0.1, burst: 10 } as const;
const NOTHING = new Uint8Array(0);

export class CommandPort<Target> {
  readonly #socket: DatagramSocket;
  readonly #watch: Watch;
  readonly #handlers: CommandPortHandlers<Target>;
  readonly #logger: Logger;
  readonly #responder: Responder<Target>;
  readonly #desk = new InitiatorDesk(nodeRandomToken());
  /** By number of the exchange. BOUNDED by the desk. */
  readonly #running = new Map<number, Running>();
  /** How to reach `ADDRESS:PORT` texts of running exchanges. BOUNDED by the desk. */
  readonly #routes = new Map<string, Running>();
  /** Commands of each source port in this second. */
  readonly #commandsOfPorts = new Uint16Array(65_536);
  #secondBeganUs = 0;
  readonly #newcomers = new TokenBucket(NEWCOMERS.perSecond, NEWCOMERS.burst);
  readonly #localBudget = new TokenBucket(LOCAL_COMMANDS.perSecond, LOCAL_COMMANDS.burst);
  readonly #refusalsLogged = new TokenBucket(REFUSALS_LOGGED.perSecond, REFUSALS_LOGGED.burst);
  #localUnderWay = 0;
  #localCommands = 0;
  #strays = 0;
  #isRetired = false;
  #isClosed = false;

  /** @throws SystemError EADDRINUSE, EACCES */
  constructor(port: number, handlers: CommandPortHandlers<Target>, logger: Logger) {
    this.#handlers = handlers;
    this.#logger = logger;
    this.#responder = new Responder({
      resolve: handlers.resolve,
      randomToken: nodeRandomToken,
      sha256: nodeSha256,
    });
    this.#socket = DatagramSocket.open(port);
    this.#watch = reactor.watch(this.#socket.fd, EPOLLIN, () => this.#read());
  }

  get port(): number {
    return this.#socket.port;
  }

  /** When `handleTime` has something to do; Infinity for never. */
  get nextMs(): number {
    return this.#desk.pollDeadline() ?? Infinity;
  }

  handleTime(nowMs: number): void {
    if (nowMs >= this.nextMs) this.#take(this.#desk.handleTimeout(nowMs));
  }

  /**
   * Begins an exchange; exchanges about one connection run one after another.
   * @returns its end, whatever the peer says; rejects with WeftError TUNNEL_BUSY, TUNNEL_MESSAGE_TOO_LONG,
   *   TUNNEL_STOPPED
   */
  exchange(own: OwnExchange): Promise<ExchangeOutcome> {
    const { request, key, refusalKeys, to, origin = {} } = own;
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw stopped();
      const text = formatSocketAddress(to.address, to.port);
      const submission = {
        request,
        key,
        ...(refusalKeys && { refusalKeys }),
        sha256: nodeSha256,
        to: text,
      };
      const { id, outputs } = this.#desk.submit(submission, monotonicMs());
      const running: Running = { to, origin, resolve, reject };
      this.#running.set(id, running);
      this.#routes.set(text, running);
      this.#take(outputs);
      this.#handlers.onDeadline();
    });
  }

  counters(): TunnelEngineStatus['control'] {
    const { drops, executed, repeated } = this.#responder.counters();
    return {
      localCommands: this.#localCommands,
      executed,
      repeated,
      strays: this.#strays + this.#desk.strays,
      drops: Object.fromEntries(drops),
      exchanges: this.#desk.size,
    };
  }

  /** Takes nothing more, but answers the commands that are under way, and then closes. */
  retire(): void {
    this.#watch.close();
    this.#isRetired = true;
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    if (this.#isRetired && this.#localUnderWay === 0) this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#socket.close();
    for (const { reject } of this.#running.values()) reject(stopped());
    this.#running.clear();
    this.#routes.clear();
  }

  #read(): void {
    for (let i = 0; i < DATAGRAMS_PER_TURN && !this.#isClosed; i++) {
      const datagram = this.#socket.receive();
      if (datagram === undefined) break;
      this.#handle(datagram);
    }
    if (!this.#isClosed) this.#handlers.onDeadline();
  }

  #handle(datagram: ReceivedDatagram): void {
    const { bytes, from, to } = datagram;
    const isLocal = isLoopback(from.address) && (to === undefined || isLoopback(to));
    switch (classifyCommandDatagram(bytes, isLocal)) {
      case 'local':
        return this.#handleLocal(datagram);
      case 'answer': {
        const text = formatSocketAddress(from.address, from.port);
        return this.#take(this.#desk.handleDatagram(bytes, text, monotonicMs()));
      }
      case 'request':
        return this.#handleRequest(datagram);
      default:
        this.#strays++;
    }
  }

  #handleRequest({ bytes, from, to }: ReceivedDatagram): void {
    const origin: DatagramOrigin = to === undefined ? {} : { address: to };
    const text = formatSocketAddress(from.address, from.port);
    const action = this.#responder.handleDatagram(bytes, text, monotonicMs());
    if (action.kind === 'send') this.#socket.send(action.datagram, from, origin);
    if (action.kind !== 'execute') return;
    const { ticket, connection: target, message, peerIsWeft } = action;
    const complete = ({ result, body }: PeerAnswer): void => {
      const reply = this.#responder.complete(ticket, result, body, monotonicMs());
      if (reply !== undefined && !this.#isClosed) this.#socket.send(reply.datagram, from, origin);
    };
    void (async () => {
      try {
        complete(await this.#handlers.executeRequest({ target, message, from, peerIsWeft }));
      } catch (error) {
        this.#logger.warn({ peer: text, error: errorText(error) }, 'a request of a peer failed');
        complete({ result: ControlResult.unknown, body: NOTHING });
      }
    })();
  }

  #handleLocal({ bytes, from, to }: ReceivedDatagram): void {
    const text = parseLocalRequest(bytes);
    if (text === undefined) {
      this.#strays++;
      return;
    }
    this.#localCommands++;
    const answer = ({ ok, text: reply }: CommandAnswer): void => {
      if (this.#isClosed) return;
      const origin = to === undefined ? {} : { address: to };
      this.#socket.send(emitLocalReply(ok, reply), from, origin);
      this.#socket.send(emitLocalEnd(), from, origin);
    };
    if (!this.#mayTakeLocal(from.port)) return answer({ ok: false, text: 'ERROR: busy' });
    const reading = parseCommandText(text);
    if (!('command' in reading)) return answer({ ok: false, text: 'ERROR: Illegal command' });
    const { command } = reading;
    // Looking costs nobody anything; changing is root's and the server's user's.
    if (!isReading(command) && !isFromAdministrator(from.address, from.port)) {
      if (this.#refusalsLogged.take(monotonicUs())) {
        this.#logger.warn({ command: command.kind }, 'a local command of another user was refused');
      }
      return answer({ ok: false, text: 'ERROR: Only root and the user of mptsrv may change the tunnel' });
    }
    if (this.#localUnderWay >= LOCAL_COMMANDS_MAX) return answer({ ok: false, text: 'ERROR: busy' });
    this.#localUnderWay++;
    void (async () => {
      try {
        const { ok, text: reply } = await this.#handlers.executeCommand(command);
        // The original repeats the words as they came, abbreviated or not.
        answer({ ok, text: reply === formatCommand(command) ? text : reply });
      } catch (error) {
        answer({ ok: false, text: `ERROR: ${errorText(error)}` });
      } finally {
        this.#localUnderWay--;
        this.#closeIfIdle();
      }
    })();
  }

  #mayTakeLocal(port: number): boolean {
    const nowUs = monotonicUs();
    if (nowUs - this.#secondBeganUs > SECOND_US) {
      this.#secondBeganUs = nowUs;
      this.#commandsOfPorts.fill(0);
    }
    const count = this.#commandsOfPorts[port]!;
    this.#commandsOfPorts[port] = Math.min(count + 1, NEWCOMER_COMMANDS);
    if (this.#localBudget.take(nowUs)) return true;
    return count < NEWCOMER_COMMANDS && this.#newcomers.take(nowUs);
  }

  #take(outputs: readonly DeskOutput[]): void {
    for (const output of outputs) {
      if (output.kind === 'send') {
        const route = this.#routes.get(output.to);
        if (route !== undefined) this.#socket.send(output.datagram, route.to, route.origin);
        continue;
      }
      const running = this.#running.get(output.id);
      this.#running.delete(output.id);
      if (running === undefined) continue;
      const text = formatSocketAddress(running.to.address, running.to.port);
      if (this.#routes.get(text) === running) this.#forget(text);
      running.resolve(output.outcome);
    }
  }

  /** Another exchange may still go to the same address. */
  #forget(text: string): void {
    for (const other of this.#running.values()) {
      if (formatSocketAddress(other.to.address, other.to.port) !== text) continue;
      this.#routes.set(text, other);
      return;
    }
    this.#routes.delete(text);
  }
}

function stopped(): WeftError {
  return new WeftError('the exchange ended with the tunnel', { code: 'TUNNEL_STOPPED' });
}
