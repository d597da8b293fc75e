/**
 * One request of the page's server: the guard's verdict, then the session, a file of the page, or a control call.
 * The calls themselves are the service's listener, the same as on the control socket.
 *
 * Invariant: nothing is answered that the guard has not passed; every answer has the common headers; neither a token
 * nor a cookie is ever part of a log line or of an answer but the session's own.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from '../base/index.ts';
import { NOT_BUILT, sendFailure, sendRefusal, sendText, setCommonHeaders } from './answers.ts';
import { Askers } from './asker.ts';
import { cookieName, guard, type GuardRules, type Passed, type Refused } from './guard.ts';
import type { WebKeys } from './keys.ts';
import { sendPageFile, type PageFiles } from './page-files.ts';
import { WrongKeys } from './wrong-keys.ts';

export interface HandlerOptions {
  readonly rules: GuardRules;
  readonly keys: WebKeys;
  readonly files: PageFiles;
  /** Carries out control calls, the live stream and whatever is asked for by path but the page itself. */
  readonly calls: RequestListener;
  /** As answers name the program. */
  readonly server: string;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/** BOUNDED: streams to browsers; what the control socket's clients read is not taken away by them. */
export const STREAMS_MAX = 16;

const LIVE = '/v1/live';

/** One line about wrong tokens at most so often. */
const WARN_INTERVAL_MS = 60_000;

export interface WebCounters {
  readonly requests: number;
  readonly wrongTokens: number;
  readonly sessions: number;
  readonly refusedByReason: Readonly<Record<string, number>>;
}

/** A browser that will show what it gets, not a program. */
const isForPerson = (request: IncomingMessage): boolean =>
  (request.headers.accept ?? '').includes('text/html');

export class WebHandler {
  readonly #options: HandlerOptions;
  readonly #wrongKeys = new WrongKeys();
  readonly #askers = new Askers();
  /** BOUNDED: the guard's codes. */
  readonly #refused = new Map<string, number>();
  /** Answers that are held back. BOUNDED: `DELAYED_MAX`. */
  readonly #timers = new Set<NodeJS.Timeout>();
  /** In the order in which they began. BOUNDED: `STREAMS_MAX`. */
  readonly #streams = new Set<ServerResponse>();
  #requests = 0;
  #warnedAtMs = -Infinity;

  constructor(options: HandlerOptions) {
    this.#options = options;
  }

  counters(): WebCounters {
    return {
      requests: this.#requests,
      wrongTokens: this.#wrongKeys.total,
      sessions: this.#options.keys.sessionCount,
      refusedByReason: Object.fromEntries(this.#refused),
    };
  }

  /** Answers that are held back are not given any more. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const { keys, rules, server } = this.#options;
    this.#requests++;
    // A client that leaves is no error of ours.
    response.on('error', () => {});
    setCommonHeaders(response, server);
    const { localAddress = '', localPort = 0 } = request.socket;
    const local = { address: localAddress, port: localPort };
    const asker = () => this.#askers.of(request.socket);
    const verdict = guard(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        rawHeaders: request.rawHeaders,
        local,
        asker,
      },
      rules,
      keys,
    );
    if (verdict.kind === 'refused') this.#refuse(request, response, verdict);
    else if (verdict.kind === 'entered') this.#enter(response, cookieName(local), verdict.secure, asker());
    else this.#answer(request, response, verdict);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, verdict: Refused): void {
    this.#refused.set(verdict.code, (this.#refused.get(verdict.code) ?? 0) + 1);
    const forPerson = isForPerson(request);
    if (verdict.wrongKey !== true) {
      sendRefusal(response, verdict, forPerson);
      return;
    }
    const nowMs = this.#options.nowMs();
    const delayMs = this.#wrongKeys.handleWrong(nowMs);
    this.#warn(request, nowMs);
    if (delayMs === undefined) {
      sendRefusal(
        response,
        { ...verdict, status: 429, code: 'TOO_MANY', reason: 'too many wrong tokens' },
        false,
      );
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#wrongKeys.handleAnswered();
      sendRefusal(response, verdict, forPerson);
    }, delayMs);
    this.#timers.add(timer);
  }

  #warn(request: IncomingMessage, nowMs: number): void {
    if (nowMs - this.#warnedAtMs < WARN_INTERVAL_MS) return;
    this.#warnedAtMs = nowMs;
    const { total } = this.#wrongKeys;
    this.#options.logger.warn(
      { client: request.socket.remoteAddress },
      `the page was asked for with a wrong token (${total} since the start)`,
    );
  }

  /** The token leaves the address bar and becomes a cookie that is not the token. */
  #enter(response: ServerResponse, name: string, secure: boolean, asker: string): void {
    const { cookie } = this.#options.keys.openSession(asker);
    const attributes = ['HttpOnly', 'SameSite=Strict', 'Path=/', ...(secure ? ['Secure'] : [])];
    response.writeHead(303, {
      location: '/',
      'set-cookie': [`${name}=${cookie}`, ...attributes].join('; '),
      'content-length': 0,
    });
    response.end();
  }

  #answer(request: IncomingMessage, response: ServerResponse, passed: Passed): void {
    const { calls, files } = this.#options;
    const { headers, method, path } = passed;
    const file = method === 'POST' ? undefined : files.get(path);
    if (file !== undefined) sendPageFile(response, file, headers.get('if-none-match'));
    else if (path === '/' && method !== 'POST')
      sendText(response, 200, 'text/html; charset=utf-8', NOT_BUILT);
    else if (path === '/v1/session' && method !== 'POST') this.#tellSession(response, passed);
    else if (path === LIVE && method === 'HEAD') {
      sendFailure(response, 405, { error: 'a stream has no head alone', code: 'BAD_METHOD' });
    } else if (path === LIVE && !this.#countStream(response)) {
      sendFailure(response, 503, { error: 'too many pages are open already', code: 'TOO_MANY' });
    } else {
      if (headers.has('expect')) response.writeContinue();
      // Node leaves out the body by the method that came.
      if (method === 'HEAD') request.method = 'GET';
      calls(request, response);
    }
  }

  /** @returns whether there is room for one more */
  #countStream(response: ServerResponse): boolean {
    if (this.#streams.size >= STREAMS_MAX && !this.#endStalledStream()) return false;
    this.#streams.add(response);
    response.on('close', () => this.#streams.delete(response));
    // A reverse proxy passes on what there is, when there is something.
    response.setHeader('x-accel-buffering', 'no');
    return true;
  }

  /** Who does not read makes room: a computer that sleeps, a tab that its browser has stopped. */
  #endStalledStream(): boolean {
    for (const stream of this.#streams) {
      if (!stream.writableNeedDrain) continue;
      this.#streams.delete(stream);
      stream.destroy();
      return true;
    }
    return false;
  }

  /** What a page of this origin needs to change something: no other site can read it. */
  #tellSession(response: ServerResponse, { by, session }: Passed): void {
    if (session === undefined) {
      sendFailure(response, 404, {
        error: `who comes with the ${by} needs no session`,
        code: 'NO_SUCH_CALL',
      });
      return;
    }
    sendText(response, 200, 'application/json', JSON.stringify({ token: session.changeToken }));
  }
}
