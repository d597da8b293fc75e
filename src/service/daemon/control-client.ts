/** The daemon's control calls and its events, from another process. */
import type { IncomingMessage } from 'node:http';
import { WeftError } from '../../base/index.ts';
import type { InterfaceChange } from '../../pathmanager/index.ts';
import { callControl, openControlStream } from '../control-client.ts';
import {
  DAEMON_FACE,
  type DaemonControlApi,
  type DaemonReport,
  type InterfaceSetting,
  type StreamEvent,
} from './control-api.ts';

/** BOUNDED: far above the longest event. */
const LINE_MAX_LENGTH = 1 << 20;

/** The stream as it comes, cut into lines. */
export class DaemonEventStream {
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    incoming.setEncoding('utf8');
  }

  /**
   * Whole lines of JSON without their ends, as many at a time as came. Ends when the daemon ends or after `close`.
   * @throws WeftError `TOO_LARGE`
   */
  async *lines(): AsyncGenerator<readonly string[]> {
    let rest = '';
    try {
      for await (const text of this.#incoming as AsyncIterable<string>) {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > LINE_MAX_LENGTH) {
          throw new WeftError('a line of the daemon’s events is too long', { code: 'TOO_LARGE' });
        }
        if (lines.length > 0) yield lines;
      }
    } catch (error) {
      // A daemon that was killed, or `close`: the stream is over.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ECONNRESET' && code !== 'ERR_STREAM_PREMATURE_CLOSE' && !this.#incoming.destroyed)
        throw error;
      if (error instanceof WeftError) throw error;
    }
  }

  close(): void {
    this.#incoming.destroy();
  }
}

export class DaemonControlClient implements DaemonControlApi {
  /** @throws WeftError `NOT_RUNNING` and others that say what to do */
  async status(): Promise<DaemonReport> {
    return (await callControl(DAEMON_FACE, DAEMON_FACE.calls.status)) as DaemonReport;
  }

  async setInterface(setting: InterfaceSetting): Promise<InterfaceChange> {
    const question = { ...DAEMON_FACE.calls.setInterface, argument: setting };
    return (await callControl(DAEMON_FACE, question)) as InterfaceChange;
  }

  /** @param kinds none: all. What was lost on the way is always told. */
  async events(kinds: readonly StreamEvent['kind'][] = []): Promise<DaemonEventStream> {
    const query = new URLSearchParams(kinds.map((kind): [string, string] => ['kind', kind])).toString();
    const { path } = DAEMON_FACE.stream;
    return new DaemonEventStream(
      await openControlStream(DAEMON_FACE, query === '' ? path : `${path}?${query}`),
    );
  }
}
