/**
 * HTTP on the control socket: one request in, one JSON answer or one stream out, for the calls of a ControlFace.
 *
 * Node's own HTTP server is enough for a handful of calls: a framework would take 80 ms of the loop and 19 MB when it
 * is loaded, in a process whose main job is to keep up with the kernel.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText, WeftError } from '../base/index.ts';
import type { EventFeed } from './control-event-feed.ts';
import type { ControlFace, ControlFailure, ControlStream } from './control-face.ts';

/** BOUNDED: what one client may send. */
const BODY_MAX_BYTES = 64 << 10;

/** A request that is the client's mistake, with its HTTP status. */
class Refusal extends WeftError {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(message, { code });
    this.status = status;
  }
}

type Answer = () => Promise<unknown>;
type Handler = (request: IncomingMessage) => Promise<Answer>;

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

/** What a call in the table comes to, whatever its types are. */
interface AnyCall {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly readArgument?: (value: unknown) => unknown;
}

function readArgument(call: AnyCall, value: unknown): unknown {
  try {
    return call.readArgument?.(value);
  } catch (error) {
    throw new Refusal(400, error instanceof WeftError ? error.code : 'BAD_ARGUMENT', errorText(error));
  }
}

function handlersOf<Api>({ calls }: ControlFace<Api>, api: Api): ReadonlyMap<string, Handler> {
  const handlers = new Map<string, Handler>();
  for (const [name, call] of Object.entries(calls) as [keyof Api, AnyCall][]) {
    const carryOut = (api[name] as (argument: unknown) => Promise<unknown>).bind(api);
    handlers.set(`${call.method} ${call.path}`, async (request) => {
      if (call.method === 'GET') return () => carryOut(undefined);
      const argument = readArgument(call, await readJson(request));
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

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

function sendFailure(response: ServerResponse, error: unknown): void {
  const code = error instanceof WeftError ? error.code : 'CONTROL';
  const failure: ControlFailure = { error: errorText(error), code };
  // What is left of a refused request is not read.
  if (error instanceof Refusal) response.shouldKeepAlive = false;
  sendJson(response, error instanceof Refusal ? error.status : 500, failure);
}

/**
 * The listener for an HTTP server's requests.
 * @param feed of the face's stream, when it has one
 */
export function controlRequestListener<Api>(
  face: ControlFace<Api>,
  api: Api,
  feed: EventFeed | undefined,
): (request: IncomingMessage, response: ServerResponse) => void {
  const handlers = handlersOf(face, api);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path = '', query = ''] = (request.url ?? '').split('?');
    if (feed !== undefined && face.stream?.path === path && request.method === 'GET') {
      const kinds = wantedKinds(face.stream, new URLSearchParams(query));
      if (feed.isFull) throw new Refusal(503, 'TOO_MANY', 'too many are reading events already');
      feed.open(response, kinds);
      return;
    }
    const handler = handlers.get(`${request.method} ${path}`);
    if (handler === undefined) throw new Refusal(404, 'NO_SUCH_CALL', 'there is no such control call');
    const carryOut = await handler(request);
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
