/** What tests of the daemon's control socket share: its place, questions in plain HTTP, and readers of its stream. */
import { request, type IncomingMessage } from 'node:http';
import type { LabNode } from '../../src/lab/index.ts';
import type { DaemonReport, StreamEvent } from '../../src/service/index.ts';
import { runtimeFiles, runWeft } from './weft-program.ts';

export function socketOf(node: LabNode): string {
  const path = runtimeFiles(node).find((name) => /mptcpd-\d+\.sock$/.test(name));
  if (path === undefined) throw new Error('the daemon has no control socket');
  return path;
}

export async function daemonReport(node: LabNode): Promise<DaemonReport> {
  const { stderr, stdout } = await runWeft(node, 'daemon', 'status', '--json');
  if (stderr !== '') throw new Error(stderr);
  return JSON.parse(stdout) as DaemonReport;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** One question; `body` makes it a POST. */
export function ask(socketPath: string, path: string, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath, path, method: body === undefined ? 'GET' : 'POST', agent: false },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) }));
        incoming.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Somebody who reads the stream, or does not. */
export class StreamReader {
  readonly #incoming: IncomingMessage;
  /** Every line so far. */
  readonly events: StreamEvent[] = [];
  /** Characters of them. */
  length = 0;
  ended = false;
  #rest = '';

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    incoming.setEncoding('utf8').on('data', (text: string) => {
      this.length += text.length;
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.events.push(JSON.parse(line) as StreamEvent);
    });
    incoming.on('end', () => (this.ended = true));
    incoming.on('error', () => {});
  }

  /** Resolves when the daemon has begun to tell. */
  static open(socketPath: string, query = ''): Promise<StreamReader> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath, path: `/v1/events${query}`, agent: false }, (incoming) => {
        if (incoming.statusCode === 200) resolve(new StreamReader(incoming));
        else reject(new Error(`HTTP ${incoming.statusCode}`));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  of<Kind extends StreamEvent['kind']>(kind: Kind): Extract<StreamEvent, { kind: Kind }>[] {
    return this.events.filter((event): event is Extract<StreamEvent, { kind: Kind }> => event.kind === kind);
  }

  /** Reads nothing from now on. */
  pause(): void {
    this.#incoming.pause();
  }

  resume(): void {
    this.#incoming.resume();
  }

  close(): void {
    this.#incoming.destroy();
  }
}
