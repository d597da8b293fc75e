/**
 * SOCKS5, SOCKS4 and SOCKS4a on client connections: greeting, user, request, and then a tunnel (tunnels.ts) or an
 * association for datagrams (udp/associations.ts).
 *
 * A connection, in order: greeting → method → user and password, where users are asked for → request → tunnel. What
 * the client sends ahead of the answers goes on as the tunnel's first bytes.
 *
 * Invariant: every connection given to `handleConnection` ends as a tunnel's, as an association's, or closed.
 * References: RFC 1928, RFC 1929; socks4.ts.
 */
import type { Socket } from 'node:net';
import type { Logger } from '../../base/index.ts';
import { asUser, type Access } from '../access.ts';
import { clientOf, type Client } from '../client.ts';
import type { ProxyTallies, Refusal } from '../counters.ts';
import type { Refusals } from '../http/refusals.ts';
import type { Tunnels } from '../tunnels.ts';
import type { UdpAssociations } from '../udp/associations.ts';
import { HandshakeEnded, HandshakeInput } from './handshake-input.ts';
import { replyOf } from './replies.ts';
import { emitSocks4Reply, parseSocks4, SOCKS4_REPLIES } from './socks4.ts';
import {
  emitChoice,
  emitReply,
  emitVerdict,
  parseCredentials,
  parseGreeting,
  parseRequest,
  SOCKS5_METHODS,
  SOCKS5_REPLIES,
  SOCKS5_VERSION,
  type Socks5Destination,
  type Socks5Reply,
} from './socks5.ts';

export interface SocksServerOptions {
  readonly access: Access;
  readonly tunnels: Tunnels;
  readonly associations: UdpAssociations;
  readonly refusals: Refusals;
  readonly tallies: ProxyTallies;
  readonly logger: Logger;
  /** For the whole handshake. */
  readonly timeoutMs: number;
}

const ESTABLISHED5 = emitReply(SOCKS5_REPLIES.succeeded);
const ESTABLISHED4 = emitSocks4Reply(SOCKS4_REPLIES.granted);
const NO_BYTES = Buffer.alloc(0);

/** Ends a handshake with an answer. */
class Refused extends Error {
  readonly refusal: Refusal;
  readonly answer: Buffer;

  constructor(refusal: Refusal, answer: Buffer, reason: string) {
    super(reason);
    this.refusal = refusal;
    this.answer = answer;
  }
}

export class SocksServer {
  readonly #options: SocksServerOptions;

  constructor(options: SocksServerOptions) {
    this.#options = options;
  }

  /** @param version the connection's first byte, which is still in it */
  handleConnection(socket: Socket, version: number): void {
    const { refusals, tallies, logger, timeoutMs } = this.#options;
    socket.on('error', () => socket.destroy());
    const client = clientOf(socket);
    const input = new HandshakeInput(socket);
    const timer = setTimeout(() => {
      tallies.refusals.add('header-timeout');
      socket.destroy();
    }, timeoutMs);
    const serving =
      version === SOCKS5_VERSION ? this.#serve5(socket, input, client) : this.#serve4(socket, input, client);
    serving
      .catch((error: unknown) => {
        input.release();
        if (error instanceof Refused || (error instanceof HandshakeEnded && error.kind === 'malformed')) {
          tallies.refusals.add(error instanceof Refused ? error.refusal : 'malformed');
          logger.debug({ client: client.text }, `SOCKS client refused: ${error.message}`);
          refusals.closeWith(socket, error instanceof Refused ? error.answer : NO_BYTES);
          return;
        }
        if (!(error instanceof HandshakeEnded))
          logger.error({ err: error }, 'a SOCKS client could not be served');
        socket.destroy();
      })
      .finally(() => clearTimeout(timer));
  }

  async #serve5(socket: Socket, input: HandshakeInput, client: Client): Promise<void> {
    const known = await this.#authenticate(socket, input, client);
    const { command, destination } = await input.take(parseRequest);
    if (destination === undefined) {
      throw refused5('malformed', SOCKS5_REPLIES.addressTypeNotSupported, 'an unknown type of address');
    }
    if (command === 'connect') {
      this.#open5(socket, input, known, destination);
    } else if (command === 'udp-associate') {
      await this.#associate(socket, input, known, destination);
    } else {
      throw refused5('not-implemented', SOCKS5_REPLIES.commandNotSupported, `command "${command}"`);
    }
  }

  /** Agrees on a method, and finds out who the client is where that is asked for. */
  async #authenticate(socket: Socket, input: HandshakeInput, client: Client): Promise<Client> {
    const { users } = this.#options.access;
    const methods = await input.take(parseGreeting);
    const { none, user: byUser, unacceptable } = SOCKS5_METHODS;
    const wanted = users.required ? [byUser] : [none, byUser];
    const method = wanted.find((candidate) => methods.includes(candidate));
    if (method === undefined) {
      const refusal = users.required ? 'user-missing' : 'not-implemented';
      throw new Refused(refusal, emitChoice(unacceptable), 'no method that is spoken here');
    }
    socket.write(emitChoice(method));
    if (method === none) return client;
    const { user, password } = await input.take(parseCredentials);
    if (!users.required) {
      // The client insists on telling; nobody asked.
      socket.write(emitVerdict(true));
      return client;
    }
    const verdict = await this.#options.access.check(socket, user, password);
    if (verdict.kind !== 'accepted') {
      const refusal = verdict.kind === 'wrong' ? 'user-wrong' : 'user-slowed';
      throw new Refused(refusal, emitVerdict(false), `user or password ${verdict.kind}`);
    }
    socket.write(emitVerdict(true));
    return asUser(client, verdict.user);
  }

  #open5(socket: Socket, input: HandshakeInput, client: Client, destination: Socks5Destination): void {
    if (destination.port === 0) throw refused5('bad-target', SOCKS5_REPLIES.failed, 'port 0');
    this.#options.tunnels.open({
      kind: 'socks',
      destination,
      client,
      socket,
      head: input.release(),
      established: ESTABLISHED5,
      refuse: (failure) => this.#options.refusals.closeWith(socket, emitReply(replyOf(failure))),
    });
  }

  async #associate(
    socket: Socket,
    input: HandshakeInput,
    client: Client,
    announced: Socks5Destination,
  ): Promise<void> {
    const association = await this.#options.associations.open({ socket, client, announced });
    if ('refusal' in association) {
      throw refused5(association.refusal, SOCKS5_REPLIES.failed, association.reason);
    }
    input.release();
    // What comes on this connection means nothing; its end is what counts.
    socket.resume();
    socket.write(emitReply(SOCKS5_REPLIES.succeeded, association.address, association.port));
  }

  async #serve4(socket: Socket, input: HandshakeInput, client: Client): Promise<void> {
    const { command, host, port } = await input.take(parseSocks4);
    const rejected = emitSocks4Reply(SOCKS4_REPLIES.rejected);
    if (this.#options.access.users.required) {
      throw new Refused('user-missing', rejected, 'SOCKS4 has no passwords, and users are asked for');
    }
    if (command !== 'connect') throw new Refused('not-implemented', rejected, 'a command other than CONNECT');
    if (port === 0) throw new Refused('bad-target', rejected, 'port 0');
    this.#options.tunnels.open({
      kind: 'socks',
      destination: { host, port },
      client,
      socket,
      head: input.release(),
      established: ESTABLISHED4,
      refuse: () => this.#options.refusals.closeWith(socket, rejected),
    });
  }
}

function refused5(refusal: Refusal, reply: Socks5Reply, reason: string): Refused {
  return new Refused(refusal, emitReply(reply), reason);
}
