/**
 * Datagrams through a far end: one connection for each destination (RFC 9298 over HTTP/1.1 has it so), made at the
 * first datagram and given up when it was idle.
 *
 * Invariant: at most MAX_FLOWS destinations, MAX_QUEUED_BYTES waiting for each; what finds no room is dropped and
 * counted. `send` never throws.
 */
import type { Duplex } from 'node:stream';
import { CapsuleReader, emitDatagramCapsule, LONGEST_PAYLOAD } from './capsule.ts';
import type { UdpPath, UpstreamTarget } from './types.ts';

const MAX_FLOWS = 256;
const MAX_QUEUED_BYTES = 256 * 1024;
/** RFC 4787: two minutes at least. */
const IDLE_MS = 120_000;
/** After a failure, datagrams to that destination are dropped for this long. */
const FAILED_FOR_MS = 1000;

interface Flow {
  readonly target: UpstreamTarget;
  readonly stop: AbortController;
  timer: NodeJS.Timeout;
  stream?: Duplex;
  waiting: Uint8Array[];
  waitingBytes: number;
  failed?: boolean;
}

export class UdpThrough implements UdpPath {
  onMessage: (address: string, port: number, bytes: Uint8Array) => void = () => {};
  dropped = 0;
  readonly #open: (target: UpstreamTarget, signal: AbortSignal) => Promise<Duplex>;
  /** Least recently used first. BOUNDED by MAX_FLOWS. */
  readonly #flows = new Map<string, Flow>();
  #closed = false;

  /** @param open makes a stream of capsules to one destination, with an error listener */
  constructor(open: (target: UpstreamTarget, signal: AbortSignal) => Promise<Duplex>) {
    this.#open = open;
  }

  send(host: string, port: number, bytes: Uint8Array): void {
    if (this.#closed || bytes.length > LONGEST_PAYLOAD) {
      this.dropped++;
      return;
    }
    const flow = this.#flowTo({ host, port });
    if (flow.failed === true) {
      this.dropped++;
    } else if (flow.stream === undefined) {
      if (flow.waitingBytes + bytes.length > MAX_QUEUED_BYTES) {
        this.dropped++;
        return;
      }
      flow.waiting.push(Uint8Array.from(bytes));
      flow.waitingBytes += bytes.length;
    } else if (flow.stream.writableLength + bytes.length > MAX_QUEUED_BYTES) {
      this.dropped++;
    } else {
      flow.stream.write(emitDatagramCapsule(bytes));
    }
  }

  #flowTo(target: UpstreamTarget): Flow {
    const key = `${target.host} ${target.port}`;
    const known = this.#flows.get(key);
    if (known !== undefined) {
      if (known.failed !== true) known.timer.refresh();
      this.#flows.delete(key);
      this.#flows.set(key, known);
      return known;
    }
    const oldest = this.#flows.size < MAX_FLOWS ? undefined : this.#flows.entries().next().value;
    if (oldest !== undefined) this.#end(...oldest);
    const flow: Flow = {
      target,
      stop: new AbortController(),
      timer: setTimeout(() => this.#end(key, flow), IDLE_MS),
      waiting: [],
      waitingBytes: 0,
    };
    flow.timer.unref();
    this.#flows.set(key, flow);
    void this.#run(key, flow);
    return flow;
  }

  async #run(key: string, flow: Flow): Promise<void> {
    let stream: Duplex;
    try {
      stream = await this.#open(flow.target, flow.stop.signal);
    } catch {
      this.#fail(key, flow);
      return;
    }
    if (this.#flows.get(key) !== flow) {
      stream.destroy();
      return;
    }
    const reader = new CapsuleReader();
    const { host, port } = flow.target;
    flow.stream = stream;
    stream.on('data', (chunk: Buffer) => {
      flow.timer.refresh();
      for (const payload of reader.handleBytes(chunk)) {
        if (this.#flows.get(key) !== flow) return;
        this.onMessage(host, port, payload);
      }
    });
    const onEnd = () => {
      if (this.#flows.get(key) === flow) this.#end(key, flow);
    };
    stream.once('end', onEnd).once('close', onEnd);
    const waiting = flow.waiting;
    flow.waiting = [];
    flow.waitingBytes = 0;
    for (const bytes of waiting) stream.write(emitDatagramCapsule(bytes));
    stream.resume();
  }

  #fail(key: string, flow: Flow): void {
    this.dropped += flow.waiting.length;
    flow.waiting = [];
    flow.waitingBytes = 0;
    flow.failed = true;
    clearTimeout(flow.timer);
    if (this.#flows.get(key) !== flow) return;
    flow.timer = setTimeout(() => this.#end(key, flow), FAILED_FOR_MS);
    flow.timer.unref();
  }

  #end(key: string, flow: Flow): void {
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
    this.dropped += flow.waiting.length;
    flow.waiting = [];
    clearTimeout(flow.timer);
    flow.stop.abort(new Error('not wanted any more'));
    flow.stream?.destroy();
  }

  close(): void {
    this.#closed = true;
    this.onMessage = () => {};
    for (const [key, flow] of this.#flows) this.#end(key, flow);
  }
}
