/** Asks the control socket of a `weft up` or a daemon that runs in a node, as programs do. */
import { request, type IncomingMessage } from 'node:http';
import type { LabNode } from '../../src/lab/index.ts';
import type { LiveMessage, Overview } from '../../src/service/index.ts';
import { ask, type Answer } from './daemon-control.ts';
import { Configuration, FOLLOW_ADDRESSES, startMptcpd } from './mptcpd-program.ts';
import { runtimeFiles } from './weft-program.ts';

/** @param program whose socket */
export function observedSocket(node: LabNode, program: 'up' | 'daemon' = 'up'): string {
  const pattern = program === 'up' ? /\/control-\d+\.sock$/ : /\/mptcpd-\d+\.sock$/;
  const path = runtimeFiles(node).find((name) => pattern.test(name));
  if (path === undefined) throw new Error(`there is no control socket of ${program}`);
  return path;
}

/** One question to a node's program; `body` makes it a POST. */
export class ObservedNode {
  readonly #socketPath: string;

  constructor(node: LabNode, program: 'up' | 'daemon' = 'up') {
    this.#socketPath = observedSocket(node, program);
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  ask(path: string, body?: unknown): Promise<Answer> {
    return ask(this.#socketPath, path, body === undefined ? undefined : JSON.stringify(body));
  }

  /** @throws Error with what was answered when it was not done */
  async get<T>(path: string, body?: unknown): Promise<T> {
    const answer = await this.ask(path, body);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as T;
  }

  overview(): Promise<Overview> {
    return this.get('/v1/overview');
  }
}

/** A daemon that makes endpoints of a node's addresses; `closers` gets what removes its configuration. */
export async function startObservedDaemon(node: LabNode, closers: (() => unknown)[]): Promise<ObservedNode> {
  const configuration = new Configuration();
  closers.push(() => configuration.remove());
  await startMptcpd(node, { args: FOLLOW_ADDRESSES, environment: configuration.environment() });
  return new ObservedNode(node, 'daemon');
}

type DataOf<Event extends LiveMessage['event']> = Extract<LiveMessage, { event: Event }>['data'];

/** Somebody who reads live data, or does not. */
export class LiveReader {
  readonly #incoming: IncomingMessage;
  readonly messages: LiveMessage[] = [];
  ended = false;
  #rest = '';

  private constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    incoming.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    incoming.on('close', () => (this.ended = true));
    incoming.on('error', () => {});
  }

  static open(socketPath: string, accept?: string): Promise<LiveReader> {
    return new Promise((resolve, reject) => {
      const headers = accept === undefined ? {} : { accept };
      const outgoing = request({ socketPath, path: '/v1/live', agent: false, headers }, (incoming) => {
        if (incoming.statusCode === 200) resolve(new LiveReader(incoming));
        else reject(new Error(`HTTP ${incoming.statusCode}`));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  get type(): string | undefined {
    return this.#incoming.headers['content-type'];
  }

  #read(text: string): void {
    const isLines = this.type !== 'text/event-stream';
    const parts = (this.#rest + text).split(isLines ? '\n' : '\n\n');
    this.#rest = parts.pop() ?? '';
    for (const part of parts) {
      if (isLines) this.messages.push(JSON.parse(part) as LiveMessage);
      const [, event, data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
      if (event !== undefined) this.messages.push({ event, data: JSON.parse(data) } as LiveMessage);
    }
  }

  of<Event extends LiveMessage['event']>(event: Event): DataOf<Event>[] {
    const found = this.messages.filter((message) => message.event === event);
    return found.map(({ data }) => data as DataOf<Event>);
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
