/**
 * The guest's side of the conversation: reads the host's questions, has them answered, and tells what happens. What
 * the answers are is the GuestFace's business, and how bytes travel agent-port.ts's.
 *
 * Invariants: each question gets one answer, whatever goes wrong; proxies are started one after another, in the order
 * asked. A link that is waited for holds nothing else up.
 */
import { errorText, WeftError } from '../../base/index.ts';
import { emitLine, LineReader } from './agent-lines.ts';
import { requireLink } from './link-plan.ts';
import {
  GUEST_PROXY_PORT,
  LINE_MAX_BYTES,
  type GuestEvent,
  type GuestHello,
  type GuestLink,
  type GuestLinkReport,
  type GuestMessage,
  type GuestProxy,
  type GuestProxyReport,
  type GuestStatus,
} from './protocol.ts';

/** What the guest can do. */
export interface GuestFace {
  hello(): GuestHello;
  link(link: GuestLink, waitMs: number | undefined): Promise<GuestLinkReport>;
  unlink(mac: string): void;
  proxy(proxy: Required<GuestProxy>): Promise<GuestProxyReport>;
  status(): Promise<GuestStatus>;
  /** Called after the answer was handed over. */
  stop(): void;
}

/** BOUNDED: questions that wait for their answer. */
const QUESTIONS_MAX = 64;
const WAIT_MAX_MS = 60_000;

type Question = Readonly<Record<string, unknown>>;

function requireProxy(value: unknown): Required<GuestProxy> {
  const { address, multipath = true, port = GUEST_PROXY_PORT } = (value ?? {}) as Partial<GuestProxy>;
  const isPort = Number.isInteger(port) && port > 0 && port < 65_536;
  if (typeof address !== 'string' || typeof multipath !== 'boolean' || !isPort) {
    throw new WeftError('the proxy needs an address, and a port from 1 to 65535', { code: 'BAD_REQUEST' });
  }
  return { address, multipath, port };
}

function waitOf({ waitMs }: Question): number | undefined {
  return typeof waitMs === 'number' && waitMs >= 0 ? Math.min(waitMs, WAIT_MAX_MS) : undefined;
}

export class GuestAgent {
  readonly #face: GuestFace;
  readonly #send: (bytes: Uint8Array) => boolean;
  #reader = new LineReader();
  /** BOUNDED by QUESTIONS_MAX. */
  #waiting = 0;
  #order: Promise<unknown> = Promise.resolve();

  /** @param send hands bytes to the port; `false`: nobody is there to read them */
  constructor(face: GuestFace, send: (bytes: Uint8Array) => boolean) {
    this.#face = face;
    this.#send = send;
  }

  /** The host's end is there anew. */
  handleOpen(): void {
    this.#reader = new LineReader();
    this.tell({ event: 'hello', hello: this.#face.hello() });
  }

  tell(event: GuestEvent): void {
    this.#say(event);
  }

  handleBytes(bytes: Uint8Array): void {
    for (const question of this.#reader.handleBytes(bytes)) this.#handleQuestion(question);
    const { problem } = this.#reader;
    if (problem === undefined) return;
    this.tell({ event: 'log', level: 'error', text: `the host's words are not understood: ${problem}` });
    this.#reader = new LineReader();
  }

  #say(message: GuestMessage): void {
    const bytes = emitLine(message);
    if (bytes.length <= LINE_MAX_BYTES) {
      this.#send(bytes);
    } else if ('id' in message) {
      const error = { code: 'TOO_LONG', message: `the answer has ${bytes.length} bytes` };
      this.#send(emitLine({ id: message.id, ok: false, error }));
    }
  }

  #handleQuestion(question: Question): void {
    const { id } = question;
    // Nothing to answer to.
    if (typeof id !== 'number') return;
    if (this.#waiting >= QUESTIONS_MAX) {
      this.#fail(id, new WeftError(`more than ${QUESTIONS_MAX} questions at once`, { code: 'BUSY' }));
      return;
    }
    this.#waiting++;
    const ordered = question['do'] === 'proxy';
    const work = ordered ? this.#order.then(() => this.#answer(question)) : this.#answer(question);
    const done = work.then(
      (result) => this.#say({ id, ok: true, result }),
      (error: unknown) => this.#fail(id, error),
    );
    if (ordered) this.#order = done;
    void done.finally(() => {
      this.#waiting--;
      if (question['do'] === 'stop') this.#face.stop();
    });
  }

  #fail(id: number, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'ERROR';
    this.#say({ id, ok: false, error: { code, message: errorText(error) } });
  }

  async #answer(question: Question): Promise<unknown> {
    switch (question['do']) {
      case 'hello':
        return this.#face.hello();
      case 'link':
        return this.#face.link(requireLink(question['link']), waitOf(question));
      case 'unlink': {
        const { mac } = question;
        if (typeof mac !== 'string') throw new WeftError('unlink needs a mac', { code: 'BAD_REQUEST' });
        this.#face.unlink(mac);
        return {};
      }
      case 'proxy':
        return this.#face.proxy(requireProxy(question['proxy']));
      case 'status':
        return this.#face.status();
      case 'stop':
        return {};
      default: {
        const text = `"${String(question['do'])}" is nothing that this guest does`;
        throw new WeftError(text, { code: 'BAD_REQUEST' });
      }
    }
  }
}
