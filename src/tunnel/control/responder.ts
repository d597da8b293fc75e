/**
 * Exchanges begun by peers, seen from the side that is asked. Pure: bytes, time and random tokens are arguments.
 *
 * Invariants: a request is handed out to be executed only after a round 1 from the same address and port and a
 * round 3 that fits it; with types 1 and 2 round 3 carries the token that round 2 of this exchange brought, and with
 * type 2 every message is authentic. One token executes once: round 3 again gets the same answer again. With a token
 * nothing is executed after what the same peer wanted later for the same connection. Unknown connections and, with
 * type 2, messages that are not authentic cost no state.
 *
 * What the protocol leaves open: type 0 authenticates nobody. An original initiator may send token 0 in a create, so
 * somebody who recorded a create can repeat it under the same source address until the key is changed; Weft's own
 * creates, marked as such, are held to their token.
 *
 * Refused, though the original executes it: round 0, and a round 3 repeated before the next round 1.
 */
import { cutToLines } from './create-body.ts';
import { isSealedWith, equalBytes, sealMessage, type Sha256 } from './authentication.ts';
import { exchangeIdentity, PHASE_MS } from './exchange.ts';
import { ExchangeTable, type Exchange } from './exchange-table.ts';
import {
  ControlCommand,
  controlHeaderBytes,
  ControlResult,
  emitControlMessage,
  parseControlMessage,
  WEFT_INITIATOR_MARK,
  WEFT_RESPONDER_MARK,
  type AuthType,
  type ControlMessage,
} from './message.ts';

/** What the driver knows about the connection that a message names. */
export type Admission<Connection> =
  | {
      readonly kind: 'known';
      readonly connection: Connection;
      /** What a bounded part of the memory is given to: the connection; for creates the peer's address. */
      readonly owner: string;
      /** The only type accepted; 2 for every create. */
      readonly authType: AuthType;
      readonly key: Uint8Array;
      /** Where answers are made with another key than requests. */
      readonly answerKey?: Uint8Array;
      /** Asked for each request that would be executed; `false`: dropped as busy, and the peer repeats it. */
      readonly mayExecute?: () => boolean;
    }
  /** Answered with result 4, as the original does, where that needs no key. */
  | { readonly kind: 'unknown' }
  /** Not answered: creates that are not allowed here, sources that have no business here. */
  | { readonly kind: 'ignored' };

export interface ResponderOptions<Connection> {
  /** Finds the connection with (ip_local, ip_remote) = (message's ip_remote, ip_local). Must not keep anything. */
  readonly resolve: (message: ControlMessage, from: string) => Admission<Connection>;
  /** 0..2^32-1, unpredictable. */
  readonly randomToken: () => number;
  readonly sha256: Sha256;
}

/** Why a datagram was dropped; each is counted. */
export const DROP_REASONS = [
  'malformed',
  'unknown connection',
  'not admitted',
  'wrong authentication type',
  'not authentic',
  'round 0',
  'no request',
  'out of order',
  'wrong token',
  'replayed',
  'still running',
  'busy',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

export type ResponderAction<Connection> =
  | { readonly kind: 'send'; readonly datagram: Uint8Array }
  /** Execute the request and then call `complete` with its ticket, whatever came of it. */
  | {
      readonly kind: 'execute';
      readonly ticket: number;
      readonly connection: Connection;
      readonly message: ControlMessage;
      /** Where the request came from; with type 2 an address that may be learned. */
      readonly from: string;
      readonly peerIsWeft: boolean;
    }
  | { readonly kind: 'drop'; readonly reason: DropReason };

/** Requests handed out and not completed. */
const MAX_RUNNING = 256;
/** A type 1 token has 32 bits: guessing stops here. */
const MAX_WRONG_TOKENS = 16;

export class Responder<Connection> {
  readonly #options: ResponderOptions<Connection>;
  readonly #table = new ExchangeTable<Connection>();
  /** BOUNDED: at most `MAX_RUNNING`. */
  readonly #running = new Map<number, Exchange<Connection>>();
  readonly #drops = new Map<DropReason, number>(DROP_REASONS.map((reason) => [reason, 0]));
  #nextTicket = 1;
  #nextSerial = 1;
  #executed = 0;
  #repeated = 0;

  constructor(options: ResponderOptions<Connection>) {
    this.#options = options;
  }

  /** Counters since the start. */
  counters(): {
    readonly drops: ReadonlyMap<DropReason, number>;
    readonly executed: number;
    /** Answers sent again for a repeated round 3. */
    readonly repeated: number;
    readonly evicted: number;
    readonly exchanges: number;
  } {
    return {
      drops: this.#drops,
      executed: this.#executed,
      repeated: this.#repeated,
      evicted: this.#table.evicted,
      exchanges: this.#table.size,
    };
  }

  /** A datagram to the command port that is no local command. `from` is `ADDRESS:PORT` as the driver writes it. */
  handleDatagram(bytes: Uint8Array, from: string, nowMs: number): ResponderAction<Connection> {
    this.#table.expire(nowMs);
    const message = parseControlMessage(bytes);
    if (typeof message === 'string') return this.#drop('malformed');
    if (message.round === 0) return this.#drop('round 0');
    if (message.round !== 1 && message.round !== 3) return this.#drop('no request');
    const admission = this.#options.resolve(message, from);
    if (admission.kind === 'ignored') return this.#drop('not admitted');
    if (admission.kind === 'unknown') return this.#answerUnknown(message);
    if (message.authType !== admission.authType) return this.#drop('wrong authentication type');
    if (message.authType === 2 && !isSealedWith(bytes, admission.key, this.#options.sha256)) {
      return this.#drop('not authentic');
    }
    const identity = exchangeIdentity(message, message.status, from);
    const exchange = this.#table.find(admission.owner, identity);
    if (message.round === 3) {
      return this.#handleThird(bytes, message, exchange, nowMs, admission.mayExecute ?? always);
    }
    const continued = exchange !== undefined && !endsBefore(exchange, message, nowMs) ? exchange : undefined;
    return this.#handleFirst(
      message,
      continued ?? {
        identity,
        owner: admission.owner,
        from,
        connection: admission.connection,
        answerKey: admission.answerKey ?? admission.key,
        token: this.#options.randomToken(),
        state: 'open',
        running: undefined,
        answered: exchange?.answered,
        wrongTokens: 0,
        serial: this.#nextSerial++,
        seenAtMs: nowMs,
      },
      nowMs,
    );
  }

  /**
   * Answers an executed request; returns where to send what. `undefined` when the exchange is forgotten: the peer has
   * given up. A body for an original initiator is cut to whole lines so that the answer is not longer than its
   * request, because it would cut the answer there and then refuse it.
   */
  complete(
    ticket: number,
    result: number,
    body: Uint8Array,
    nowMs: number,
  ): { readonly to: string; readonly datagram: Uint8Array } | undefined {
    const exchange = this.#running.get(ticket);
    const request = exchange?.running?.request;
    this.#running.delete(ticket);
    if (exchange === undefined || request === undefined) return undefined;
    const message = parseControlMessage(request) as ControlMessage;
    const room = request.length - controlHeaderBytes(message.authType);
    const fitting = isMarked(message) ? body : cutToLines(body, room);
    const reply = this.#answer(message, 4, exchange.token, result, fitting, exchange.answerKey);
    exchange.state = 'answered';
    exchange.running = undefined;
    exchange.answered = { token: exchange.token, request, reply, atMs: nowMs };
    if (this.#table.find(exchange.owner, exchange.identity) !== exchange) return undefined;
    this.#table.touch(exchange, nowMs);
    return { to: exchange.from, datagram: reply };
  }

  #handleFirst(
    message: ControlMessage,
    exchange: Exchange<Connection>,
    nowMs: number,
  ): ResponderAction<Connection> {
    this.#table.touch(exchange, nowMs);
    const datagram = this.#answer(
      message,
      2,
      exchange.token,
      ControlResult.ok,
      message.body,
      exchange.answerKey,
    );
    return { kind: 'send', datagram };
  }

  #handleThird(
    bytes: Uint8Array,
    message: ControlMessage,
    exchange: Exchange<Connection> | undefined,
    nowMs: number,
    mayExecute: () => boolean,
  ): ResponderAction<Connection> {
    if (exchange === undefined) return this.#drop(message.authType === 2 ? 'replayed' : 'out of order');
    const tokenless = message.authType === 0 || isTokenlessCreate(message);
    const { answered } = exchange;
    if (answered !== undefined && equalBytes(bytes, answered.request)) {
      const sameExchange = exchange.state === 'answered' || (!tokenless && message.token !== exchange.token);
      // A create of an original is the same bytes each time; only a fresh one counts as a repetition.
      const repeatedCreate = isTokenlessCreate(message) && nowMs - answered.atMs < PHASE_MS;
      if (sameExchange || repeatedCreate) {
        this.#repeated++;
        this.#table.touch(exchange, nowMs);
        return { kind: 'send', datagram: answered.reply };
      }
    }
    if (!tokenless && message.token !== exchange.token) return this.#refuseToken(message, exchange);
    if (exchange.state === 'running') return this.#drop('still running');
    if (exchange.state === 'answered') return this.#drop('replayed');
    if (this.#running.size >= MAX_RUNNING || !mayExecute()) return this.#drop('busy');
    const request = bytes.slice();
    exchange.state = 'running';
    exchange.running = { ticket: this.#nextTicket++, request };
    this.#running.set(exchange.running.ticket, exchange);
    // What a peer gave up must not happen after what it wanted next. Type 0 of an original is spared: nothing tells
    // its exchanges apart, and its threads run several of them at once.
    if (message.authType > 0 || isMarked(message)) this.#table.supersede(exchange);
    this.#table.touch(exchange, nowMs);
    this.#executed++;
    return {
      kind: 'execute',
      ticket: exchange.running.ticket,
      connection: exchange.connection,
      message: parseControlMessage(request) as ControlMessage,
      from: exchange.from,
      peerIsWeft: isMarked(message),
    };
  }

  #refuseToken(message: ControlMessage, exchange: Exchange<Connection>): ResponderAction<Connection> {
    if (message.authType === 2) return this.#drop('replayed');
    exchange.wrongTokens++;
    if (exchange.wrongTokens >= MAX_WRONG_TOKENS && exchange.state === 'open') this.#table.remove(exchange);
    return this.#drop('wrong token');
  }

  /** No state, and never longer than the request. */
  #answerUnknown(message: ControlMessage): ResponderAction<Connection> {
    this.#count('unknown connection');
    if (message.authType === 2) return { kind: 'drop', reason: 'unknown connection' };
    const round = message.round === 1 ? 2 : 4;
    const datagram = this.#answer(message, round, message.token, ControlResult.unknown, NOTHING, NOTHING);
    return { kind: 'send', datagram };
  }

  #answer(
    message: ControlMessage,
    round: 2 | 4,
    token: number,
    result: number,
    body: Uint8Array,
    key: Uint8Array,
  ): Uint8Array {
    const datagram = emitControlMessage({
      ...message,
      status: result,
      token,
      round,
      mark: isMarked(message) ? WEFT_RESPONDER_MARK : message.mark,
      body,
    });
    if (message.authType === 2) sealMessage(datagram, key, this.#options.sha256);
    return datagram;
  }

  #drop(reason: DropReason): ResponderAction<Connection> {
    this.#count(reason);
    return { kind: 'drop', reason };
  }

  #count(reason: DropReason): void {
    this.#drops.set(reason, this.#drops.get(reason)! + 1);
  }
}

const NOTHING = new Uint8Array(0);

const always = () => true;

/**
 * Whether this round 1 begins a new exchange instead of repeating the one that is there. While that is not answered,
 * a repetition: it gets the same token, or a delayed round 2 would spoil the exchange. Afterwards a marked one that
 * can still be a repetition is one; from an original it may begin the next exchange.
 */
function endsBefore<Connection>(
  exchange: Exchange<Connection>,
  message: ControlMessage,
  nowMs: number,
): boolean {
  if (exchange.state !== 'answered') return false;
  return !isMarked(message) || nowMs - exchange.answered!.atMs >= PHASE_MS;
}

const isMarked = (message: ControlMessage) => message.mark === WEFT_INITIATOR_MARK;

const isTokenlessCreate = (message: ControlMessage) =>
  message.command === ControlCommand.create && message.token === 0 && !isMarked(message);
