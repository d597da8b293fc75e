/**
 * The control calls made from another process: finds the socket of the one that serves this network namespace and
 * speaks HTTP over it. The answers are as typed as the calls of the face.
 */
import { lstatSync } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { WeftError } from '../base/index.ts';
import { WEFT_FACE, type ControlApi, type StatusReport, type StopAnswer } from './control-api.ts';
import type { AnyCall, ControlCalls, ControlFace, ControlFailure, ControlStream } from './control-face.ts';
import { ControlLineStream } from './control-line-stream.ts';
import type { ReloadReport } from './proxy-policy.ts';
import {
  controlSocketPath,
  currentUser,
  networkNamespaceInode,
  runtimeFolderCandidates,
  type RuntimeUser,
} from './runtime-folder.ts';

const ANSWER_TIMEOUT_MS = 10_000;
/** A virtual machine may get and lose network cards for it. */
const RECONCILE_TIMEOUT_MS = 60_000;
/** BOUNDED: far above what `CONNECTIONS_SHOWN_MAX` connections take. */
const ANSWER_MAX_BYTES = 32 << 20;

/** What the client needs to know of a face, whatever its calls are. */
export type AnyFace = Omit<ControlFace<unknown>, 'calls'>;

type Found = 'socket' | 'nothing' | 'forbidden';

/** @param anyOwner only root can have made the folder */
function probe(path: string, uid: number, anyOwner: boolean): Found {
  try {
    const stat = lstatSync(path);
    // A socket of somebody else could tell anything; only root's and the user's own are believed.
    return stat.isSocket() && (anyOwner || stat.uid === uid || stat.uid === 0) ? 'socket' : 'nothing';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : 'nothing';
  }
}

function notRunning(face: AnyFace, hint = face.startHint): WeftError {
  return new WeftError(face.absent, { code: 'NOT_RUNNING', hint });
}

/**
 * The sockets that may be those of the running process, best first; one that nobody serves is what a killed one left.
 * @throws WeftError `NOT_RUNNING`
 */
export function findControlSockets(
  face: AnyFace,
  user: RuntimeUser = currentUser(),
  netns: number = networkNamespaceInode(),
): string[] {
  const folders = runtimeFolderCandidates(user);
  if ((user.env['WEFT_RUNTIME_DIR'] ?? '') === '') {
    // An ordinary user is told about root's, whose folder may not be entered.
    if (user.uid !== 0) folders.push('/run/weft');
    if (face.serviceFolder !== undefined) folders.push(face.serviceFolder);
  }
  const sockets: string[] = [];
  let forbidden: string | undefined;
  for (const folder of folders) {
    const path = controlSocketPath(folder, netns, face.file);
    const found = probe(path, user.uid, folder === face.serviceFolder);
    if (found === 'socket') sockets.push(path);
    if (found === 'forbidden') forbidden ??= path;
  }
  if (sockets.length > 0) return sockets;
  throw notRunning(
    face,
    forbidden === undefined
      ? face.startHint
      : `${face.startHint}; if it runs as another user ("${dirname(forbidden)}" is closed to you), ask as that user: sudo ${face.askCommand}`,
  );
}

function connectFailure(face: AnyFace, path: string, error: NodeJS.ErrnoException): WeftError {
  if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return notRunning(face);
  if (error.code === 'EACCES') {
    return new WeftError(`${face.name} may not be asked by this user: "${path}" (EACCES)`, {
      code: 'EACCES',
      hint: `ask as the user that runs it, for instance: sudo ${face.askCommand}`,
      cause: error,
    });
  }
  return new WeftError(`${face.name} could not be asked: ${error.message}`, {
    code: error.code ?? 'CONTROL',
    cause: error,
  });
}

function readAnswer(face: AnyFace, outgoing: ClientRequest, incoming: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    incoming.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= ANSWER_MAX_BYTES) {
        pieces.push(piece);
        return;
      }
      outgoing.destroy();
      reject(new WeftError(`the answer of ${face.name} is too large`, { code: 'TOO_LARGE' }));
    });
    incoming.on('error', reject);
    incoming.on('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
  });
}

function parseAnswer(face: AnyFace, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeftError(`the answer of ${face.name} is not JSON`, {
      code: 'BAD_ANSWER',
      hint: 'is it of another version?',
      cause,
    });
  }
}

function refusal(face: AnyFace, text: string): WeftError {
  const { error, code } = parseAnswer(face, text) as ControlFailure;
  return new WeftError(`${face.name} refused: ${error}`, { code });
}

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly argument?: unknown;
  /** Default 10 s. */
  readonly timeoutMs?: number;
}

/** Sends a question and resolves with the beginning of its answer. */
function ask(
  face: AnyFace,
  socketPath: string,
  question: Question,
): Promise<[ClientRequest, IncomingMessage]> {
  return new Promise((resolve, reject) => {
    const { argument, method, path, timeoutMs = ANSWER_TIMEOUT_MS } = question;
    const body = argument === undefined ? undefined : Buffer.from(JSON.stringify(argument));
    const outgoing = request({
      socketPath,
      method,
      path,
      timeout: timeoutMs,
      agent: false,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json', 'content-length': body.length } }),
    });
    outgoing.on('error', (error) =>
      reject(error instanceof WeftError ? error : connectFailure(face, socketPath, error)),
    );
    outgoing.on('timeout', () => {
      outgoing.destroy(
        new WeftError(`${face.name} did not answer in ${timeoutMs / 1000} s`, {
          code: 'ETIMEDOUT',
          hint: 'look at its log; it may be stopping',
        }),
      );
    });
    outgoing.on('response', (incoming) => resolve([outgoing, incoming]));
    outgoing.end(body);
  });
}

/** Makes the same attempt with each socket, until somebody serves one. */
async function withFirst<T>(
  sockets: readonly string[],
  attempt: (socketPath: string) => Promise<T>,
): Promise<T> {
  let absent: unknown;
  for (const socketPath of sockets) {
    try {
      return await attempt(socketPath);
    } catch (error) {
      if (!(error instanceof WeftError) || error.code !== 'NOT_RUNNING') throw error;
      absent ??= error;
    }
  }
  throw absent;
}

/** @throws WeftError `NOT_RUNNING` and others that say what to do */
export function callControl(
  face: AnyFace,
  question: Question,
  sockets = findControlSockets(face),
): Promise<unknown> {
  return withFirst(sockets, async (socketPath) => {
    const [outgoing, incoming] = await ask(face, socketPath, question);
    let text: string;
    try {
      text = await readAnswer(face, outgoing, incoming);
    } catch (error) {
      throw error instanceof WeftError
        ? error
        : connectFailure(face, socketPath, error as NodeJS.ErrnoException);
    }
    if (incoming.statusCode !== 200) throw refusal(face, text);
    return parseAnswer(face, text);
  });
}

/**
 * Opens a stream. Destroying the answer ends it.
 * @throws WeftError as `callControl`
 */
export function openControlStream(
  face: AnyFace,
  path: string,
  sockets = findControlSockets(face),
): Promise<IncomingMessage> {
  return withFirst(sockets, async (socketPath) => {
    const [outgoing, incoming] = await ask(face, socketPath, { method: 'GET', path });
    if (incoming.statusCode === 200) {
      // It may be silent for days.
      outgoing.setTimeout(0);
      return incoming;
    }
    throw refusal(face, await readAnswer(face, outgoing, incoming));
  });
}

/** How a call is asked over HTTP. Fields that are absent or undefined are not sent. */
function questionOf(call: AnyCall, argument: unknown): Question {
  const { method, path } = call;
  if (call.readArgument !== undefined) return { method, path, argument };
  if (call.readQuery === undefined) return { method, path };
  const fields = Object.entries(argument as Record<string, string | number | boolean | undefined>);
  const query = new URLSearchParams(
    fields.flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  ).toString();
  return { method, path: query === '' ? path : `${path}?${query}` };
}

/**
 * A client for all calls of a table. Each throws WeftError `NOT_RUNNING` and others that say what to do.
 * @param timeoutMs of each call. Default 10 s.
 */
export function callsOf<Api>(face: AnyFace, calls: ControlCalls<Api>, timeoutMs = ANSWER_TIMEOUT_MS): Api {
  const entries = Object.entries(calls as Readonly<Record<string, AnyCall>>).map(
    ([name, call]) =>
      [
        name,
        (argument?: unknown) => callControl(face, { ...questionOf(call, argument), timeoutMs }),
      ] as const,
  );
  return Object.fromEntries(entries) as Api;
}

/**
 * Whether a process of the face answers here.
 * @throws WeftError when there is one that this user may not ask
 */
export async function isServed(face: AnyFace): Promise<boolean> {
  try {
    await withFirst(findControlSockets(face), (path) => {
      const socket = connect(path);
      return new Promise<void>((resolve, reject) => {
        socket.once('connect', () => resolve());
        socket.once('error', (error) => reject(connectFailure(face, path, error)));
      }).finally(() => socket.destroy());
    });
    return true;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'NOT_RUNNING') return false;
    throw error;
  }
}

/** The face's stream of events. @throws WeftError as `callControl` */
export async function openEvents(
  face: AnyFace & { readonly stream: ControlStream },
  kinds: readonly string[],
): Promise<ControlLineStream> {
  const query = new URLSearchParams(kinds.map((kind): [string, string] => ['kind', kind])).toString();
  const { path } = face.stream;
  return new ControlLineStream(
    await openControlStream(face, query === '' ? path : `${path}?${query}`),
    face.name,
  );
}

export class ControlClient implements ControlApi {
  /** @throws WeftError `NOT_RUNNING` and others that say what to do */
  async status(): Promise<StatusReport> {
    return (await callControl(WEFT_FACE, WEFT_FACE.calls.status)) as StatusReport;
  }

  /** @throws WeftError as `status` */
  async reconcile(): Promise<StatusReport> {
    const question = { ...WEFT_FACE.calls.reconcile, argument: {}, timeoutMs: RECONCILE_TIMEOUT_MS };
    return (await callControl(WEFT_FACE, question)) as StatusReport;
  }

  /** @throws WeftError as `status` */
  async reload(): Promise<ReloadReport> {
    return (await callControl(WEFT_FACE, { ...WEFT_FACE.calls.reload, argument: {} })) as ReloadReport;
  }

  /**
   * What happens on this host, one JSON object a line: `ObservedEvent` and lines of the stream itself.
   * @param kinds none: all. What was lost on the way is always told.
   * @throws WeftError as `status`
   */
  events(kinds: readonly string[] = []): Promise<ControlLineStream> {
    return openEvents(WEFT_FACE, kinds);
  }

  /** @throws WeftError as `status` */
  async stop(): Promise<StopAnswer> {
    return (await callControl(WEFT_FACE, { ...WEFT_FACE.calls.stop, argument: {} })) as StopAnswer;
  }
}
