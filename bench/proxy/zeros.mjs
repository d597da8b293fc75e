/**
 * Zeros for a socket, as fast as it takes them: spliced from a file in memory, so that the sender copies nothing and
 * is not the bottleneck.
 */
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as native from '../../dist/native/index.js';

const { libc } = native;
const MEBIBYTE = 1 << 20;
const ROUNDS = 16;

const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
const file = openSync(join(folder, 'zeros'), 'w+');
rmSync(folder, { recursive: true });
writeSync(file, new Uint8Array(MEBIBYTE));
const offset = new Uint8Array(8);
const offsetView = new DataView(offset.buffer);

export class Zeros {
  #held = 0;

  constructor(fd) {
    const ends = new Uint8Array(8);
    libc.pipe2(ends, native.O_NONBLOCK);
    const view = new DataView(ends.buffer);
    this.fd = fd;
    this.readEnd = view.getInt32(0, true);
    this.writeEnd = view.getInt32(4, true);
    libc.fcntl(this.writeEnd, native.F_SETPIPE_SZ, MEBIBYTE);
  }

  /** Sends for a while; `false` when the connection is gone. `flags` 1 waits, 3 does not. */
  send(flags = 3) {
    for (let round = 0; round < ROUNDS; round++) {
      if (this.#held === 0) {
        offsetView.setBigInt64(0, 0n, true);
        this.#held = libc.splice(file, offset, this.writeEnd, null, MEBIBYTE, 1);
      }
      const count = libc.splice(this.readEnd, null, this.fd, null, this.#held, flags);
      if (count < 0) return native.lastErrno() === native.EAGAIN;
      this.#held -= count;
    }
    return true;
  }

  close() {
    for (const fd of [this.readEnd, this.writeEnd, this.fd]) libc.close(fd);
  }
}
