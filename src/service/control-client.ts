/**
 * The control calls made from another process: finds the socket of the Weft that serves this network namespace and
 * speaks HTTP over it. The answers are as typed as the calls of control-api.ts.
 */
import { lstatSync } from 'node:fs';
import { request } from 'node:http';
import { dirname } from 'node:path';
import { WeftError } from '../base/index.ts';
import { CONTROL_CALLS, type ControlApi, type ControlFailure, type StatusReport } from './control-api.ts';
import {
  controlSocketPath,
  currentUser,
  networkNamespaceInode,
  runtimeFolderCandidates,
  type RuntimeUser,
} from './runtime-folder.ts';

const ANSWER_TIMEOUT_MS = 10_000;
/** BOUNDED: far above what `CONNECTIONS_SHOWN_MAX` connections take. */
const ANSWER_MAX_BYTES = 32 << 20;

type Found = 'socket' | 'nothing' | 'forbidden';

function probe(path: string, uid: number): Found {
  try {
    const stat = lstatSync(path);
    // A socket of somebody else could tell anything; only root's and the user's own are believed.
    return stat.isSocket() && (stat.uid === uid || stat.uid === 0) ? 'socket' : 'nothing';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : 'nothing';
  }
}

function notRunning(hint: string): WeftError {
  return new WeftError('Weft is not running here', { code: 'NOT_RUNNING', hint });
}

const START_HINT = 'start it with "weft up"';

/**
 * The socket of the running Weft.
 * @throws WeftError `NOT_RUNNING`
 */
export function findControlSocket(
  user: RuntimeUser = currentUser(),
  netns: number = networkNamespaceInode(),
): string {
  const folders = runtimeFolderCandidates(user);
  // An ordinary user is told about root's Weft, whose folder may not be entered.
  if (user.uid !== 0 && user.env['WEFT_RUNTIME_DIR'] === undefined) folders.push('/run/weft');
  let forbidden: string | undefined;
  for (const folder of folders) {
    const path = controlSocketPath(folder, netns);
    const found = probe(path, user.uid);
    if (found === 'socket') return path;
    if (found === 'forbidden') forbidden = path;
  }
  throw notRunning(
    forbidden === undefined
      ? START_HINT
      : `${START_HINT}; if it runs as another user ("${dirname(forbidden)}" is closed to you), ask as that user: sudo weft status`,
  );
}

function connectFailure(path: string, error: NodeJS.ErrnoException): WeftError {
  if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') return notRunning(START_HINT);
  if (error.code === 'EACCES') {
    return new WeftError(`the running Weft may not be asked by this user: "${path}" (EACCES)`, {
      code: 'EACCES',
      hint: 'ask as the user that runs it, for instance: sudo weft status',
      cause: error,
    });
  }
  return new WeftError(`the running Weft could not be asked: ${error.message}`, {
    code: error.code ?? 'CONTROL',
    cause: error,
  });
}

function call(socketPath: string, method: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, timeout: ANSWER_TIMEOUT_MS, agent: false });
    outgoing.on('error', (error) =>
      reject(error instanceof WeftError ? error : connectFailure(socketPath, error)),
    );
    outgoing.on('timeout', () => {
      outgoing.destroy(
        new WeftError(`the running Weft did not answer in ${ANSWER_TIMEOUT_MS / 1000} s`, {
          code: 'ETIMEDOUT',
          hint: 'look at its log; it may be stopping',
        }),
      );
    });
    outgoing.on('response', (incoming) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      incoming.on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > ANSWER_MAX_BYTES) {
          outgoing.destroy(
            new WeftError('the answer of the running Weft is too large', { code: 'TOO_LARGE' }),
          );
          return;
        }
        pieces.push(piece);
      });
      incoming.on('error', (error) => reject(connectFailure(socketPath, error)));
      incoming.on('end', () => {
        try {
          const answer: unknown = JSON.parse(Buffer.concat(pieces).toString('utf8'));
          if (incoming.statusCode === 200) return resolve(answer);
          const { error, code } = answer as ControlFailure;
          return reject(new WeftError(`the running Weft refused: ${error}`, { code }));
        } catch (cause) {
          return reject(
            new WeftError('the answer of the running Weft is not JSON', {
              code: 'BAD_ANSWER',
              hint: 'is it of another version?',
              cause,
            }),
          );
        }
      });
    });
    outgoing.end();
  });
}

export class ControlClient implements ControlApi {
  readonly socketPath: string;

  constructor(socketPath: string = findControlSocket()) {
    this.socketPath = socketPath;
  }

  /** @throws WeftError `NOT_RUNNING` and others that say what to do */
  async status(): Promise<StatusReport> {
    const { method, path } = CONTROL_CALLS.status;
    return (await call(this.socketPath, method, path)) as StatusReport;
  }
}
