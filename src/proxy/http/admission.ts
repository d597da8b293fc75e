/**
 * The HTTP side of the front door: who asks (Basic, RFC 7617, where the policy has users), whether it may ask once
 * more now, and the PAC file; then the forwarder or a tunnel.
 *
 * Invariant: nothing goes on without its client being known; Proxy-Authorization ends here (http/fields.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { asUser, type Access } from '../access.ts';
import { clientOf, type Client } from '../client.ts';
import type { Refusal } from '../counters.ts';
import type { PacFile } from '../pac.ts';
import type { UserVerdict } from '../users.ts';
import { answerFields, answerText } from './answer.ts';
import { parseBasic } from './basic.ts';
import type { ConnectHandler } from './connect.ts';
import { valuesOf } from './fields.ts';
import type { Forwarder } from './forwarder.ts';
import type { Refusals } from './refusals.ts';

export interface AdmissionOptions {
  readonly access: Access;
  readonly refusals: Refusals;
  readonly forwarder: Forwarder;
  readonly connect: ConnectHandler;
  readonly pac: PacFile;
}

interface Denied {
  readonly status: number;
  readonly refusal: Refusal;
  readonly reason: string;
  readonly fields: Readonly<Record<string, string>>;
}

const CHALLENGE = { 'Proxy-Authenticate': 'Basic realm="weft", charset="UTF-8"' } as const;

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  handleRequest(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const { forwarder, refusals, pac } = this.#options;
    // Programs fetch it before they know that there is a proxy, so no user can be asked for.
    const file = pac.answerTo(request);
    if (file !== undefined) {
      response.writeHead(file.status, file.fields);
      response.end(request.method === 'HEAD' ? undefined : file.text);
      return;
    }
    this.#whenAdmitted(request, request.socket, (admitted) => {
      // The response is there as long as the connection is; another request of it may have been refused meanwhile.
      if (response.destroyed || refusals.has(request.socket)) return;
      if (!('status' in admitted)) {
        forwarder.handleRequest(request, response, expectsContinue, admitted);
        return;
      }
      const { status, refusal, reason, fields } = admitted;
      refusals.note(request.socket, refusal);
      const text = answerText(reason);
      response.writeHead(status, { ...answerFields(text), ...fields, Connection: 'close' });
      response.end(text);
      request.resume();
    });
  }

  handleConnect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { connect, refusals } = this.#options;
    const socket = stream as Socket;
    socket.on('error', () => socket.destroy());
    this.#whenAdmitted(request, socket, (admitted) => {
      if (socket.destroyed) return;
      if (!('status' in admitted)) {
        connect.handleConnect(request, socket, head, admitted);
        return;
      }
      const { status, refusal, reason, fields } = admitted;
      refusals.refuseWith(socket, refusal, status, reason, fields);
    });
  }

  /** Calls at once when nothing has to be computed first, which is nearly always. */
  #whenAdmitted(request: IncomingMessage, socket: Socket, go: (admitted: Client | Denied) => void): void {
    const known = this.#identify(request, clientOf(socket));
    if (known instanceof Promise) void known.then((found) => go(this.#admit(found, request)));
    else go(this.#admit(known, request));
  }

  /** Tunnels are counted where they are made. */
  #admit(known: Client | Denied, { method }: IncomingMessage): Client | Denied {
    if ('status' in known || method === 'CONNECT') return known;
    const over = this.#options.access.clients.takeNew(known);
    if (over === undefined) return known;
    return { ...over, refusal: 'client-limit', fields: over.status === 429 ? { 'Retry-After': '1' } : {} };
  }

  #identify(request: IncomingMessage, client: Client): Client | Denied | Promise<Client | Denied> {
    const { users } = this.#options.access;
    if (!users.required) return client;
    const given = valuesOf(request.rawHeaders, 'proxy-authorization');
    const credentials = given.length === 1 ? parseBasic(given[0]!) : undefined;
    if (credentials === undefined) {
      return {
        status: 407,
        refusal: 'user-missing',
        reason: 'this proxy asks for a user and a password',
        fields: CHALLENGE,
      };
    }
    const { user, password } = credentials;
    const verdict = users.check(client.address, user, password);
    return verdict instanceof Promise
      ? verdict.then((found) => judge(client, found))
      : judge(client, verdict);
  }
}

function judge(client: Client, verdict: UserVerdict): Client | Denied {
  if (verdict.kind === 'accepted') return asUser(client, verdict.user);
  if (verdict.kind === 'wrong') {
    const reason = 'the user or the password is wrong';
    return { status: 407, refusal: 'user-wrong', reason, fields: CHALLENGE };
  }
  const seconds = Math.ceil(verdict.waitMs / 1000);
  return {
    status: 429,
    refusal: 'user-slowed',
    reason: `too many wrong passwords came from your address; try again in ${seconds} s`,
    fields: { 'Retry-After': String(seconds) },
  };
}
