/**
 * Pipes for splice(2). A direction holds one only while bytes are in it or bulk flows, so idle tunnels hold none.
 *
 * Invariant: a pipe in the pool is empty. References: pipe(7) on the per-user limit of pipe memory.
 */
import { F_SETPIPE_SZ, libc, O_CLOEXEC, O_NONBLOCK } from '../../native/index.ts';

export interface Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/** What splice moves at most in one call. The kernel grants less to a user whose pipes are many; less also works. */
export const PIPE_BYTES = 1 << 20;

export class PipePool {
  readonly #maxPipes: number;
  readonly #maxIdle: number;
  /** BOUNDED by `maxIdle`. */
  readonly #idle: Pipe[] = [];
  readonly #ends = new Uint8Array(8);
  #open = 0;

  constructor(maxPipes: number, maxIdle = 16) {
    this.#maxPipes = maxPipes;
    this.#maxIdle = maxIdle;
  }

  /** How many pipes are open, in use or not. */
  get open(): number {
    return this.#open;
  }

  /** `undefined` when the bound is reached or the process has no descriptors left. */
  acquire(): Pipe | undefined {
    const pooled = this.#idle.pop();
    if (pooled !== undefined) return pooled;
    if (this.#open >= this.#maxPipes) return undefined;
    if (libc.pipe2(this.#ends, O_NONBLOCK | O_CLOEXEC) < 0) return undefined;
    const view = new DataView(this.#ends.buffer);
    const pipe = { readEnd: view.getInt32(0, true), writeEnd: view.getInt32(4, true) };
    libc.fcntl(pipe.writeEnd, F_SETPIPE_SZ, PIPE_BYTES);
    this.#open++;
    return pipe;
  }

  /** Takes an empty pipe back. */
  release(pipe: Pipe): void {
    if (this.#idle.length < this.#maxIdle) this.#idle.push(pipe);
    else this.discard(pipe);
  }

  /** Closes a pipe, whatever is in it. */
  discard(pipe: Pipe): void {
    libc.close(pipe.readEnd);
    libc.close(pipe.writeEnd);
    this.#open--;
  }

  close(): void {
    for (const pipe of this.#idle.splice(0)) this.discard(pipe);
  }
}
