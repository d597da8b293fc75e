/**
 * One plain request on its way through the proxy (forwarder.ts says which steps).
 *
 * Invariant: `#settled` is set once, by whichever comes first: the response passed on whole, an answer of our own,
 * or the client's going away. After it nothing more is written to the client.
 */
import {
  type ClientRequest,
  type IncomingMessage,
  request as startRequest,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Writable } from 'node:stream';
import { errorText, formatSocketAddress } from '../../base/index.ts';
import type { Client } from '../client.ts';
import type { ProxyTallies } from '../counters.ts';
import { DialError } from '../dialer/dial-error.ts';
import type { ProxyLimits } from '../options.ts';
import type { UpstreamAgent, UpstreamRequestOptions } from '../upstream-agent.ts';
import { answerFields, answerText } from './answer.ts';
import { acceptsTrailers, endToEndFields, listMembers, valuesOf, withVia, type Body } from './fields.ts';
import type { AbsoluteTarget } from './target.ts';

export interface ExchangeOptions {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: AbsoluteTarget;
  readonly body: Body;
  readonly expectsContinue: boolean;
  readonly maxForwards: string | undefined;
  readonly client: Client;
  readonly agent: UpstreamAgent;
  readonly tallies: ProxyTallies;
  readonly limits: ProxyLimits;
}

/** May be sent again when a kept connection died before it answered (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** Without a body these have no Content-Length; others must say that theirs is empty. */
const WITHOUT_BODY_BY_NATURE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'DELETE']);

/** Interim responses and 204 have no body; a length would make some clients wait for one (RFC 9110 section 8.6). */
const WITHOUT_LENGTH = ['content-length', 'trailer'];
/** BOUNDED: what a client that does not read lets pile up; interim responses beyond it are left out. */
const MAX_UNSENT_FOR_INTERIM_BYTES = 64 * 1024;

export class Exchange {
  readonly #options: ExchangeOptions;
  #abortDial: (() => void) | undefined;
  #upstreamRequest: ClientRequest | undefined;
  #responseBegun = false;
  #settled = false;

  readonly #noteDial = (abort: () => void): void => {
    this.#abortDial = abort;
  };

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  run(): void {
    const { request, response } = this.#options;
    response.once('close', () => {
      if (!response.writableFinished) this.#handleClientGone();
    });
    // Node reports a client that goes away in mid-body here too; `close` of the response is what acts.
    request.on('error', () => {});
    response.on('error', () => {});
    // Answers to earlier requests of this connection come first, and what those do is done before (RFC 9112
    // section 9.3.2). A client that goes away takes those that wait here with it.
    if (response.socket === null) response.once('socket', () => this.#send(false));
    else this.#send(false);
  }

  /** @param fresh do not use a kept connection */
  #send(fresh: boolean): void {
    const { request, target, body, client, agent, limits } = this.#options;
    const method = request.method ?? 'GET';
    const options: UpstreamRequestOptions = {
      method,
      host: target.host,
      port: target.port,
      path: target.path,
      // Flat, so that order, case and repetition stay.
      headers: this.#requestFields(method),
      setHost: false,
      timeout: limits.exchangeIdleTimeoutMs,
      maxHeaderSize: limits.maxHeaderBytes,
      insecureHTTPParser: false,
      dialContext: { client, onDial: this.#noteDial },
      ...(fresh
        ? {
            createConnection: (given, created) => {
              agent.connectFor(given as UpstreamRequestOptions, created);
              return undefined;
            },
          }
        : { agent }),
    };
    const upstreamRequest = startRequest(options);
    this.#upstreamRequest = upstreamRequest;
    // Every field is to be seen, not the first thousand: a dropped one could change the meaning.
    upstreamRequest.maxHeadersCount = 0;
    upstreamRequest.once('socket', (socket) => agent.noteClient(socket, client.text));
    upstreamRequest.on('information', (interim) => this.#handleInterim(interim));
    upstreamRequest.once('response', (upstreamResponse) =>
      this.#handleResponse(upstreamRequest, upstreamResponse),
    );
    upstreamRequest.once('timeout', () => this.#handleTimeout());
    upstreamRequest.on('error', (error) => this.#handleUpstreamError(upstreamRequest, error));
    // Without an error before it: an upgrade that nobody asked for, of which Node drops the connection.
    upstreamRequest.once('close', () => {
      this.#handleUpstreamError(upstreamRequest, new Error('connection closed without an answer'));
    });
    if (body.kind === 'none') upstreamRequest.end();
    else carry(request, upstreamRequest);
  }

  #requestFields(method: string): string[] {
    const { request, target, body, maxForwards } = this.#options;
    const { rawHeaders, httpVersion } = request;
    const fields = ['Host', target.hostField];
    const drop = ['host', 'content-length'];
    if (maxForwards !== undefined) drop.push('max-forwards');
    if (body.kind !== 'chunked') drop.push('trailer');
    fields.push(...endToEndFields(rawHeaders, drop));
    if (body.kind === 'length') fields.push('Content-Length', body.length);
    else if (body.kind === 'chunked') fields.push('Transfer-Encoding', 'chunked');
    else if (!WITHOUT_BODY_BY_NATURE.has(method)) fields.push('Content-Length', '0');
    if (maxForwards !== undefined) fields.push('Max-Forwards', maxForwards);
    if (acceptsTrailers(rawHeaders)) fields.push('TE', 'trailers', 'Connection', 'keep-alive, TE');
    return withVia(fields, httpVersion);
  }

  /** 1xx: passed on as they come, to clients that can have them (RFC 9110 section 15.2). */
  #handleInterim(interim: {
    readonly statusCode: number;
    readonly statusMessage: string;
    readonly rawHeaders: readonly string[];
  }): void {
    const { request, response, expectsContinue } = this.#options;
    if (request.httpVersion !== '1.1' || response.headersSent || this.#settled) return;
    if (interim.statusCode === 100) {
      // Node closes a connection whose client was to wait for 100 and got its answer without it; so it must know.
      if (expectsContinue) response.writeContinue();
      return;
    }
    // Only the answer that is at the head of the connection's queue has the socket.
    const socket = response.socket;
    if (socket === null || socket.writableLength > MAX_UNSENT_FOR_INTERIM_BYTES) return;
    // The reason phrase is left behind: Node checks that of the last response only.
    const lines = [`HTTP/1.1 ${interim.statusCode} ${STATUS_CODES[interim.statusCode] ?? ''}`];
    const fields = endToEndFields(interim.rawHeaders, WITHOUT_LENGTH);
    for (let i = 0; i + 1 < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  }

  #handleResponse(upstreamRequest: ClientRequest, upstreamResponse: IncomingMessage): void {
    const { request, response } = this.#options;
    if (this.#settled) {
      upstreamResponse.destroy();
      return;
    }
    const codings = listMembers(upstreamResponse.rawHeaders, 'transfer-encoding');
    if (codings.length > 1 || (codings.length === 1 && codings[0] !== 'chunked')) {
      this.#fail(502, `${this.#where()} answered with a transfer coding other than "chunked"`);
      return;
    }
    const status = upstreamResponse.statusCode ?? 0;
    // 101 for an upgrade that nobody asked for, since Upgrade stays behind, or no status at all.
    if (status < 200) {
      this.#fail(502, `${this.#where()} answered with status ${status}, which ends no request`);
      return;
    }
    this.#responseBegun = true;
    const hasLength = valuesOf(upstreamResponse.rawHeaders, 'content-length').length > 0;
    const mayChunk = !hasLength && request.httpVersion === '1.1' && request.method !== 'HEAD';
    const drop = status === 204 ? WITHOUT_LENGTH : mayChunk ? [] : ['trailer'];
    const fields = endToEndFields(upstreamResponse.rawHeaders, drop);
    withVia(fields, upstreamResponse.httpVersion);
    try {
      response.writeHead(status, upstreamResponse.statusMessage, fields);
    } catch (error) {
      this.#responseBegun = false;
      this.#fail(502, `${this.#where()} answered with a head that cannot be passed on: ${errorText(error)}`);
      return;
    }
    upstreamResponse.once('error', () => this.#breakOff());
    // An answer without length ends with its connection, however that ends: Node calls it complete, after this.
    upstreamRequest.once('error', () => {
      if (!upstreamResponse.complete) this.#breakOff();
    });
    carry(upstreamResponse, response);
    upstreamResponse.once('end', () => {
      this.#settled = true;
    });
  }

  /** Truncated: what the client has must not look whole. */
  #breakOff(): void {
    if (this.#settled) return;
    this.#settled = true;
    const { response, tallies } = this.#options;
    tallies.exchangesFailed++;
    response.socket?.resetAndDestroy();
    response.destroy();
  }

  #handleTimeout(): void {
    const { request, limits } = this.#options;
    const seconds = limits.exchangeIdleTimeoutMs / 1000;
    if (request.complete) this.#fail(504, `${this.#where()} did not answer within ${seconds} s`);
    else this.#fail(408, `the request's body stopped coming for ${seconds} s`);
  }

  #handleUpstreamError(upstreamRequest: ClientRequest, error: Error): void {
    const { request, body, tallies } = this.#options;
    if (upstreamRequest !== this.#upstreamRequest || this.#settled || this.#responseBegun) return;
    if (error instanceof DialError) {
      tallies.dialFailures.add(error.failure);
      this.#fail(error.status, error.message);
      return;
    }
    const retry =
      upstreamRequest.reusedSocket && body.kind === 'none' && IDEMPOTENT.has(request.method ?? '');
    if (retry) {
      tallies.requestsRetried++;
      this.#send(true);
      return;
    }
    tallies.exchangesFailed++;
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code?.startsWith('HPE_') === true ? 'sent something that is not HTTP' : 'broke the connection';
    this.#fail(502, `${this.#where()} ${why}: ${errorText(error)}${code === undefined ? '' : ` (${code})`}`);
  }

  #handleClientGone(): void {
    this.#settled = true;
    this.#abortDial?.();
    this.#upstreamRequest?.destroy();
  }

  #where(): string {
    return formatSocketAddress(this.#options.target.host, this.#options.target.port);
  }

  /** Ends the exchange with an answer of our own, or, when the response has begun, by breaking it off. */
  #fail(status: number, reason: string): void {
    if (this.#settled) return;
    this.#settled = true;
    const { request, response } = this.#options;
    this.#upstreamRequest?.destroy();
    if (response.headersSent) {
      response.socket?.resetAndDestroy();
      response.destroy();
      return;
    }
    const text = answerText(reason);
    // Named, because the phrase of a head that could not be passed on would stay, and be refused again.
    response.writeHead(status, STATUS_CODES[status] ?? 'Error', {
      ...answerFields(text),
      ...(request.complete ? {} : { Connection: 'close' }),
    });
    response.end(text);
    // Read on and drop what of the body still comes, so that closing does not become a reset that eats the answer.
    request.unpipe();
    request.resume();
  }
}

/** Carries a message's body, then its trailers, then its end. Failures are their owners' events. */
function carry(source: IncomingMessage, sink: Writable & { addTrailers(fields: never): void }): void {
  source.pipe(sink, { end: false });
  source.once('end', () => {
    const trailers = endToEndFields(source.rawTrailers, ['host', 'content-length']);
    if (trailers.length > 0) {
      const pairs: [string, string][] = [];
      for (let i = 0; i + 1 < trailers.length; i += 2) pairs.push([trailers[i]!, trailers[i + 1]!]);
      sink.addTrailers(pairs as never);
    }
    sink.end();
  });
}
