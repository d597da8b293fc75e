/**
 * The calls of api.ts and the live stream from another process: of the running `weft up`, or else of the daemon. The
 * command line (`weft top`, `weft explain`, `weft path`) asks through here.
 */
import { WeftError } from '../../base/index.ts';
import { WEFT_FACE } from '../control-api.ts';
import { callsOf, isServed, openControlStream, type AnyFace } from '../control-client.ts';
import { ControlLineStream } from '../control-line-stream.ts';
import { DAEMON_FACE } from '../daemon/control-api.ts';
import type { ActionApi, ObserveApi, WebApi } from './api.ts';
import { ACTION_CALLS, LIVE_PATH, OBSERVE_CALLS, WEB_CALLS } from './calls.ts';
import type { LiveMessage } from './live-feed.ts';

/** Why something is so may take look-ups, and a tunnel may have to be asked. */
const TIMEOUT_MS = 20_000;

/** Live data as it comes. */
export class LiveStream {
  readonly #lines: ControlLineStream;

  constructor(lines: ControlLineStream) {
    this.#lines = lines;
  }

  /** Ends when the process ends or after `close`. */
  async *messages(): AsyncGenerator<LiveMessage> {
    for await (const lines of this.#lines.lines()) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of our own process, held by its tests
      for (const line of lines) yield JSON.parse(line) as LiveMessage;
    }
  }

  close(): void {
    this.#lines.close();
  }
}

/** A running process that observes the host. Every call throws WeftError `NOT_RUNNING` and others that say what to do. */
export interface Observed extends ObserveApi, ActionApi, WebApi {
  readonly program: 'up' | 'daemon';
  /** As sentences name it: `the running Weft`. */
  readonly name: string;
  live(): Promise<LiveStream>;
}

function observedAt(program: Observed['program'], face: AnyFace): Observed {
  const calls = callsOf<ObserveApi & ActionApi & WebApi>(
    face,
    { ...OBSERVE_CALLS, ...ACTION_CALLS, ...WEB_CALLS },
    TIMEOUT_MS,
  );
  return {
    program,
    name: face.name,
    ...calls,
    live: async () =>
      new LiveStream(new ControlLineStream(await openControlStream(face, LIVE_PATH), face.name)),
  };
}

export const observedUp = (): Observed => observedAt('up', WEFT_FACE);
export const observedDaemon = (): Observed => observedAt('daemon', DAEMON_FACE);

/**
 * The running `weft up`, else the daemon.
 * @throws WeftError `NOT_RUNNING` when neither runs here; others when one may not be asked
 */
export async function findObserved(): Promise<Observed> {
  if (await isServed(WEFT_FACE)) return observedUp();
  if (await isServed(DAEMON_FACE)) return observedDaemon();
  throw new WeftError('neither "weft up" nor the daemon is running here', {
    code: 'NOT_RUNNING',
    hint: 'start one with "weft up" or "weft daemon"; if it runs as root, ask as root',
  });
}
