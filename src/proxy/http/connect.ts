/**
 * CONNECT: what of the request is refused here, and how a tunnel's client is answered in HTTP (RFC 9110 section
 * 9.3.6). The tunnel itself is tunnels.ts.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { clientOf, type Client } from '../client.ts';
import type { Refusal } from '../counters.ts';
import type { Tunnels } from '../tunnels.ts';
import { hasTooManyFields, isBadFraming, requestBody } from './fields.ts';
import { answerUnderWay, type Refusals } from './refusals.ts';
import { isMalformed, parseAuthority } from './target.ts';

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');

export interface ConnectHandlerOptions {
  readonly tunnels: Tunnels;
  readonly refusals: Refusals;
}

export class ConnectHandler {
  readonly #options: ConnectHandlerOptions;

  constructor(options: ConnectHandlerOptions) {
    this.#options = options;
  }

  /**
   * Takes the socket of a CONNECT request over.
   * @param head what the client sent after the request
   * @param client who asks, when that is more than the socket tells
   */
  handleConnect(request: IncomingMessage, stream: Duplex, head: Buffer, client?: Client): void {
    const { tunnels, refusals } = this.#options;
    const socket = stream as Socket;
    socket.on('error', () => socket.destroy());
    const authority = parseAuthority(request.url ?? '');
    const problem =
      problemOf(request, socket) ??
      (isMalformed(authority) ? ([400, 'bad-target', authority.reason] as const) : undefined);
    if (problem !== undefined) {
      const [status, refusal, reason] = problem;
      refusals.refuse(socket, refusal, status, reason);
    } else if (!isMalformed(authority)) {
      tunnels.open({
        kind: 'connect',
        destination: authority,
        client: client ?? clientOf(socket),
        socket,
        head,
        established: ESTABLISHED,
        refuse: ({ status, reason }) => refusals.answerAndClose(socket, status, reason),
      });
    }
  }
}

function problemOf(
  request: IncomingMessage,
  socket: Socket,
): readonly [status: number, refusal: Refusal, reason: string] | undefined {
  const body = requestBody(request.rawHeaders, request.httpVersion);
  if (request.httpVersion !== '1.1' && request.httpVersion !== '1.0') {
    return [505, 'malformed', `HTTP/${request.httpVersion} is not spoken here`];
  }
  if (hasTooManyFields(request.rawHeaders)) return [431, 'header-too-large', 'too many header fields'];
  if (isBadFraming(body)) return [400, 'malformed', `refused a request with ${body.reason}`];
  if (body.kind !== 'none' && !(body.kind === 'length' && Number(body.length) === 0)) {
    return [400, 'malformed', 'refused a CONNECT request with a body'];
  }
  // Answers to earlier requests of this connection are still on their way.
  if (socket.writableLength > 0 || answerUnderWay(socket) !== undefined) {
    return [400, 'malformed', 'refused a CONNECT request before the end of earlier ones'];
  }
  return undefined;
}
