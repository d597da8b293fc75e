/**
 * Control exchanges of the stand-in for the original program: one command at a time, answers read from the command
 * socket by whoever waits, tokens that anybody can guess, and the rest of its habits that a peer has to live with.
 *
 * It answers as the original was recorded to (test/data/mpt; mpt-peer.test.ts compares).
 */
import { EventEmitter, once } from 'node:events';
import {
  controlMessage,
  isHashRight,
  lengthField,
  readControlMessage,
  sixteen,
  type OriginalMessage,
} from './mpt-peer-wire.ts';

const TRIES = 6;
const WAIT_MS = 500;

/** What the exchange needs of a connection. */
export interface ExchangeConnection {
  readonly authType: number;
  /** Of messages about it. */
  readonly key: Uint8Array;
  token: number;
  /** Highest round that is listened to; never goes back. */
  expected: number;
}

export interface ExchangeHost {
  /** Key of creates for connections that are not there. */
  readonly globalKey: Uint8Array;
  readonly acceptsRemote: boolean;
  send(datagram: Buffer, address: string, port: number): void;
  find(ipLocal: Buffer, ipRemote: Buffer): ExchangeConnection | undefined;
  /** Round 3, and round 0 for the types without hash. Gives result code and body of the answer. */
  execute(
    message: OriginalMessage,
    connection: ExchangeConnection | undefined,
  ): { code: number; body: Buffer };
  /** The same second gives the same. */
  randomToken(): number;
  log(line: string): void;
}

export interface Request {
  readonly command: 0xa2 | 0xa3;
  readonly status: number;
  readonly authType: number;
  readonly key: Uint8Array;
  /** A create for a connection of type 0 keeps the token 0 and compares none. */
  readonly withToken: boolean;
  readonly ipVersion: 4 | 6;
  readonly ipLocal: string;
  readonly ipRemote: string;
  readonly body: Buffer;
  readonly address: string;
  readonly port: number;
}

export interface Outcome {
  readonly code: number;
  readonly body: Buffer;
}

/** Sends an answer, and once more those whose length has the high bit in its low byte. */
function sendAnswer(host: ExchangeHost, datagram: Buffer, address: string, port: number): void {
  host.send(datagram, address, port);
  if ((datagram.length & 0x80) !== 0) setTimeout(() => host.send(datagram, address, port), 5);
}

export function respond(host: ExchangeHost, datagram: Buffer, address: string, port: number): void {
  const message = readControlMessage(datagram);
  if (message === undefined || (message.command !== 0xa2 && message.command !== 0xa3)) return;
  const connection = host.find(message.ipRemote, message.ipLocal);
  const isCreate = message.command === 0xa3;
  if (connection === undefined && !isCreate) {
    const answer = { ...message, status: 4, round: message.round + 1 };
    if (message.authType !== 2) sendAnswer(host, controlMessage(answer, host.globalKey), address, port);
    return;
  }
  if (isCreate && !host.acceptsRemote) {
    host.log('CMD arrived - no global server enabled...');
    return;
  }
  const key = connection?.key ?? host.globalKey;
  if (message.authType === 2) {
    // A create is sent under the global key, also about a connection that has another.
    if (!isHashRight(datagram, isCreate ? host.globalKey : key)) {
      host.log('Authentication error');
      return;
    }
  }
  if (!isCreate && message.authType !== connection!.authType) return;
  const expected = connection?.expected ?? 3;
  if (message.round >= 4 || (message.round !== 1 && message.round > expected)) return;
  if (message.round === 1) {
    const token = connection === undefined || message.authType === 0 ? 0 : host.randomToken();
    if (connection !== undefined) {
      connection.token = token;
      connection.expected = 3;
    }
    sendAnswer(host, controlMessage({ ...message, status: 0, token, round: 2 }, key), address, port);
    return;
  }
  if (message.round === 2) return;
  const comparesToken = message.round === 3 && connection !== undefined && connection.authType > 0;
  if (comparesToken && message.token !== connection.token) {
    host.log('Token error');
    return;
  }
  const { code, body } = host.execute(message, connection);
  const token = connection?.token ?? message.token;
  const answer = controlMessage(
    { ...message, status: code, token, round: message.round + 1, rest: body },
    key,
  );
  sendAnswer(host, answer, address, port);
}

/** The side that asks. While it runs, every datagram of the command port is taken for its answer. */
export class Initiating {
  readonly #host: ExchangeHost;
  readonly #request: Request;
  readonly #finish: (outcome: Outcome) => void;
  #round: 1 | 3 = 1;
  #token = 0;
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(host: ExchangeHost, request: Request, finish: (outcome: Outcome) => void) {
    this.#host = host;
    this.#request = request;
    this.#finish = finish;
  }

  static run(
    host: ExchangeHost,
    request: Request,
  ): { readonly exchange: Initiating; readonly outcome: Promise<Outcome> } {
    const ended = new EventEmitter();
    const outcome = once(ended, 'end').then(([result]) => result as Outcome);
    const exchange = new Initiating(host, request, (result) => ended.emit('end', result));
    exchange.#send();
    return { exchange, outcome };
  }

  get #datagram(): Buffer {
    const { body } = this.#request;
    return controlMessage(
      {
        command: this.#request.command,
        status: this.#request.status,
        authType: this.#request.authType,
        token: this.#round === 1 || !this.#request.withToken ? 0 : this.#token,
        round: this.#round,
        ipVersion: this.#request.ipVersion,
        unused: Buffer.alloc(2),
        ipLocal: sixteen(this.#request.ipLocal),
        ipRemote: sixteen(this.#request.ipRemote),
        rest: this.#round === 1 ? lengthField(body.length) : body,
      },
      this.#request.key,
    );
  }

  #send(): void {
    if (this.#tries++ === TRIES) {
      this.#host.log(`error: No answer from peer (Round ${this.#round + 1}).`);
      this.#end({ code: 1, body: Buffer.alloc(0) });
      return;
    }
    this.#host.send(this.#datagram, this.#request.address, this.#request.port);
    this.#timer = setTimeout(() => this.#send(), WAIT_MS);
  }

  #end(outcome: Outcome): void {
    clearTimeout(this.#timer);
    this.#finish(outcome);
  }

  cancel(): void {
    this.#end({ code: 1, body: Buffer.alloc(0) });
  }

  handleDatagram(received: Buffer): void {
    // An answer is cut to the length of what was sent.
    const datagram = received.subarray(0, this.#datagram.length);
    const message = readControlMessage(datagram);
    if (message === undefined) return;
    // The second copy of round 2 comes while round 4 is waited for.
    if (this.#round === 3 && message.round === 2 && message.command === this.#request.command) return;
    if (message.round !== this.#round + 1) {
      this.#host.log('Round number error');
      this.#end({ code: 9, body: Buffer.alloc(0) });
      return;
    }
    if (this.#request.authType === 2 && !isHashRight(datagram, this.#request.key)) {
      // The program knows the zero key of connections made by a peer as little as we do; it does not compare then.
      if (!(this.#request.command === 0xa3 && isHashRight(datagram, Buffer.alloc(32)))) {
        this.#host.log('Authentication failed');
        this.#end({ code: 3, body: Buffer.alloc(0) });
        return;
      }
    }
    if (this.#round === 1) {
      clearTimeout(this.#timer);
      this.#token = message.token;
      this.#round = 3;
      this.#tries = 0;
      this.#send();
      return;
    }
    const comparesToken = this.#request.authType > 0 && this.#request.withToken;
    if (comparesToken && message.token !== this.#token) {
      this.#end({ code: 3, body: Buffer.alloc(0) });
      return;
    }
    this.#end({ code: message.status, body: Buffer.from(message.rest) });
  }
}
