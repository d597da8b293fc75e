/**
 * Plain HTTP/1.1 forwarding: one request in, the same request out to the host that its absolute target names, and
 * the response back, both streamed with back-pressure.
 *
 * A request, in order: check (fields, framing, target, loop) → send upstream → interim responses → response head →
 * body → trailers. One Exchange object lives that long.
 *
 * Invariants: a message's framing is never copied but made anew on each side; a truncated message is never passed
 * on as a whole one; whichever side goes away takes the other with it.
 *
 * References: RFC 9110 sections 7.6 and 9.2.2, RFC 9112 sections 3.2, 6, 7 and 9.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Client } from '../client.ts';
import type { ProxyTallies, Refusal } from '../counters.ts';
import type { ProxyLimits } from '../options.ts';
import type { UpstreamAgent } from '../upstream-agent.ts';
import { answerFields, answerText } from './answer.ts';
import { Exchange } from './exchange.ts';
import {
  hasTooManyFields,
  isBadFraming,
  maxForwards,
  requestBody,
  timesSeen,
  valuesOf,
  type Body,
} from './fields.ts';
import type { Refusals } from './refusals.ts';
import { isMalformed, parseAbsoluteTarget, type AbsoluteTarget } from './target.ts';

/** A message that has passed through this many Wefts goes round in a circle. */
const MAX_TIMES_SEEN = 8;

const ALLOWED = 'GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, TRACE, CONNECT';

/** Fields that TRACE must not echo (RFC 9110 section 9.3.8). */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

type Problem = readonly [status: number, refusal: Refusal, reason: string];

interface Accepted {
  readonly target: AbsoluteTarget;
  readonly body: Body;
}

export interface ForwarderOptions {
  readonly agent: UpstreamAgent;
  readonly tallies: ProxyTallies;
  readonly refusals: Refusals;
  readonly limits: ProxyLimits;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  /** Requests under way on each connection; BOUNDED by `maxPipelined`, and with the connections. */
  readonly #underWay = new WeakMap<Socket, number>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** @param expectsContinue the client waits for `100 Continue` before it sends the body */
  handleRequest(
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    client: Client,
  ): void {
    const { tallies, refusals, limits, agent } = this.#options;
    tallies.requests++;
    const accepted = this.#startsOneTooMany(request, response) ?? checkRequest(request);
    if (!('target' in accepted)) {
      const [status, refusal, reason] = accepted;
      refusals.note(request.socket, refusal);
      answer(response, status, reason);
      return;
    }
    const { target, body } = accepted;
    const forwards =
      request.method === 'OPTIONS' || request.method === 'TRACE'
        ? maxForwards(request.rawHeaders)
        : undefined;
    if (forwards?.last === true) {
      answerAsLastHop(request, response);
      return;
    }
    new Exchange({
      request,
      response,
      target,
      body,
      expectsContinue,
      maxForwards: forwards?.next,
      client,
      agent,
      tallies,
      limits,
    }).run();
  }

  /** Counts the request until its response is done. Each may need an upstream connection of its own. */
  #startsOneTooMany({ socket }: IncomingMessage, response: ServerResponse): Problem | undefined {
    const count = (this.#underWay.get(socket) ?? 0) + 1;
    const { maxPipelined } = this.#options.limits;
    if (count > maxPipelined) {
      return [503, 'too-many-requests', `more than ${maxPipelined} requests at once on one connection`];
    }
    this.#underWay.set(socket, count);
    response.once('close', () => this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1));
    return undefined;
  }
}

/** Why a request is answered by ourselves. */
function checkRequest(request: IncomingMessage): Accepted | Problem {
  const { httpVersion, rawHeaders } = request;
  const method = request.method ?? '';
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return [505, 'malformed', `HTTP/${httpVersion} is not spoken here; HTTP/1.1 is`];
  }
  if (hasTooManyFields(rawHeaders)) return [431, 'header-too-large', 'too many header fields'];
  const hosts = valuesOf(rawHeaders, 'host').length;
  if (hosts > 1) return [400, 'malformed', 'refused a request with more than one Host'];
  if (hosts === 0 && httpVersion === '1.1')
    return [400, 'malformed', 'refused an HTTP/1.1 request without Host'];
  const body = requestBody(rawHeaders, httpVersion);
  if (isBadFraming(body)) {
    const refusal = body.status === 501 ? 'not-implemented' : 'malformed';
    return [body.status, refusal, `refused a request with ${body.reason}`];
  }
  const target = parseAbsoluteTarget(method, request.url ?? '');
  if (isMalformed(target)) return [400, 'bad-target', target.reason];
  if (timesSeen(rawHeaders) >= MAX_TIMES_SEEN)
    return [508, 'loop', 'the request goes round in a circle of proxies'];
  return { target, body };
}

/** Refuses a request. The connection ends with it: where the next request begins cannot be trusted. */
function answer(response: ServerResponse, status: number, reason: string): void {
  const text = answerText(reason);
  response.writeHead(status, { ...answerFields(text), Connection: 'close' });
  response.end(text);
}

/** Max-Forwards of 0: this proxy is the one that was asked. */
function answerAsLastHop(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'OPTIONS') {
    response.writeHead(200, { Allow: ALLOWED, 'Content-Length': '0' });
    response.end();
    return;
  }
  const lines = [`TRACE ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!;
    if (!SECRET_FIELDS.has(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[i + 1]}`);
  }
  const text = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  response.writeHead(200, { 'Content-Type': 'message/http', 'Content-Length': String(text.length) });
  response.end(text);
}
