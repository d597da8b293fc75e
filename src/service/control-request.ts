/**
 * HTTP for the calls of a ControlFace: one request in, one JSON answer or one stream out. The same listener serves the
 * control socket and, behind a guard of its own, the page.
 *
 * Node's own HTTP server is enough for a handful of calls: a framework would take 80 ms of the loop and 19 MB when it
 * is loaded, in a process whose main job is to keep up with the kernel.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText, WeftError } from '../base/index.ts';
import { queryValues } from './control-arguments.ts';
import type { EventFeed } from './control-event-feed.ts';
import type { AnyCall, ControlCalls, ControlStream } from './control-face.ts';
import { failureOf, failureStatus, Refusal } from './control-failure.ts';

/** BOUNDED: what one client may send. */
const BODY_MAX_BYTES = 64 << 10;

/** What is answered beside calls, by GET: a stream, a text. It takes over the whole response. */
export type ControlRoute = (
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
) => Promise<void> | void;

export interface ControlListenerOptions<Api> {
  readonly calls: ControlCalls<Api>;
  readonly api: Api;
  /** Of the face's stream, when it has one. */
  readonly stream?: { readonly face: ControlStream; readonly feed: EventFeed };
  /** By path. */
  readonly routes?: ReadonlyMap<string, ControlRoute>;
}

type Answer = () => Promise<unknown>;
type Handler = (request: IncomingMessage, query: URLSearchParams) => Promise<Answer>;

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    request.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= BODY_MAX_BYTES) pieces.push(piece);
      else reject(new Refusal(413, 'TOO_LARGE', 'the body of the request is too large'));
    });
    request.on('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
    request.on('error', reject);
    request.on('close', () => reject(new Refusal(400, 'CUT_OFF', 'the request was cut off')));
  });
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const text = await readBody(request);
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'BAD_ARGUMENT', 'the body of the request is not JSON');
  }
}

/** What is wrong with an argument is the client's mistake, whatever its code is. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Refusal(400, error instanceof WeftError ? error.code : 'BAD_ARGUMENT', errorText(error));
  }
}

function handlersOf<Api>({ api, calls }: ControlListenerOptions<Api>): ReadonlyMap<string, Handler> {
  const handlers = new Map<string, Handler>();
  for (const [name, call] of Object.entries(calls) as [keyof Api, AnyCall][]) {
    const carryOut = (api[name] as (argument: unknown) => Promise<unknown>).bind(api);
    const { readArgument, readQuery } = call;
    handlers.set(`${call.method} ${call.path}`, async (request, query) => {
      if (readQuery !== undefined) {
        const argument = reading(() => readQuery(query));
        return () => carryOut(argument);
      }
      reading(() => queryValues(query, []));
      if (readArgument === undefined) return () => carryOut(undefined);
      const value = await readJson(request);
      const argument = reading(() => readArgument(value));
      return () => carryOut(argument);
    });
  }
  return handlers;
}

/** `?kind=mptcp&kind=network`: only lines of these kinds. */
function wantedKinds({ kinds }: ControlStream, query: URLSearchParams): ReadonlySet<string> | undefined {
  const wanted = query.getAll('kind');
  const unknown = wanted.find((kind) => !kinds.includes(kind));
  if (unknown !== undefined)
    throw new Refusal(400, 'BAD_ARGUMENT', `there is no kind "${unknown}": ${kinds.join(', ')}`);
  return wanted.length === 0 ? undefined : new Set(wanted);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

export function sendFailure(response: ServerResponse, error: unknown): void {
  // What is left of a refused request is not read.
  if (error instanceof Refusal) response.shouldKeepAlive = false;
  sendJson(response, failureStatus(error), failureOf(error));
}

/** The listener for an HTTP server's requests. */
export function controlRequestListener<Api>(
  options: ControlListenerOptions<Api>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const handlers = handlersOf(options);
  const { routes, stream } = options;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { url = '' } = request;
    const mark = url.indexOf('?');
    const path = mark < 0 ? url : url.slice(0, mark);
    const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
    if (stream !== undefined && stream.face.path === path && request.method === 'GET') {
      const kinds = wantedKinds(stream.face, query);
      if (stream.feed.isFull) throw new Refusal(503, 'TOO_MANY', 'too many are reading events already');
      stream.feed.open(response, kinds);
      return;
    }
    const route = request.method === 'GET' ? routes?.get(path) : undefined;
    if (route !== undefined) {
      await route(request, response, query);
      return;
    }
    const handler = handlers.get(`${request.method} ${path}`);
    if (handler === undefined) throw new Refusal(404, 'NO_SUCH_CALL', 'there is no such control call');
    const carryOut = await handler(request, query);
    // Whoever asks is read, and may wait for the answer as long as that takes; Node sets it again for what follows.
    request.socket.setTimeout(0);
    sendJson(response, 200, (await carryOut()) ?? null);
  };
  return (request, response) => {
    // A client that leaves is no error of ours.
    response.on('error', () => {});
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) sendFailure(response, error);
      else response.destroy();
    });
  };
}
