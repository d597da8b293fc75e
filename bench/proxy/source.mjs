/**
 * The server of the benchmark: a port that sends zeros as fast as they are taken, and ports that greet every
 * connection with one byte and then wait for its end. Single thread, epoll.
 *
 * Usage: node source.mjs ADDRESS STREAM_PORT GREET_PORT GREET_PORTS [mptcp]
 *
 * It must not be the bottleneck: the stream is spliced from a file in memory, so nothing is copied here.
 */
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as native from '../../dist/native/index.js';

const { libc } = native;
const [address, streamPort, greetPort, greetPorts, protocol] = process.argv.slice(2);
const MEBIBYTE = 1 << 20;

function listen(port) {
  const number = protocol === 'mptcp' ? native.IPPROTO_MPTCP : native.IPPROTO_TCP;
  const fd = native.openSocket(2, native.SOCK_STREAM | native.SOCK_NONBLOCK, number);
  native.setIntOption(fd, native.SOL_SOCKET, native.SO_REUSEADDR, 1);
  native.bindSocket(fd, { address, port });
  native.listenOn(fd, 4096);
  return fd;
}

const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
const fileFd = openSync(join(folder, 'zeros'), 'w+');
rmSync(folder, { recursive: true });
for (let i = 0; i < 8; i++) writeSync(fileFd, new Uint8Array(MEBIBYTE));

const loop = new native.EpollLoop({ capacity: 256 });
const listeners = new Map();
listeners.set(listen(Number(streamPort)), true);
for (let i = 0; i < Number(greetPorts); i++) listeners.set(listen(Number(greetPort) + i), false);
for (const fd of listeners.keys()) loop.add(fd, native.EPOLLIN, fd);

/** Streams by descriptor; the others only wait for their end. */
const streams = new Map();
const scratch = new Uint8Array(4096);
const greeting = new Uint8Array([33]);
const offset = new Uint8Array(8);
const offsetView = new DataView(offset.buffer);

function openStream(fd) {
  const ends = new Uint8Array(8);
  libc.pipe2(ends, native.O_NONBLOCK);
  const view = new DataView(ends.buffer);
  const pipe = { read: view.getInt32(0, true), write: view.getInt32(4, true), held: 0 };
  libc.fcntl(pipe.write, native.F_SETPIPE_SZ, MEBIBYTE);
  streams.set(fd, pipe);
}

function close(fd) {
  const pipe = streams.get(fd);
  if (pipe !== undefined) for (const end of [pipe.read, pipe.write]) libc.close(end);
  streams.delete(fd);
  libc.close(fd);
}

function send(fd, pipe) {
  for (let round = 0; round < 16; round++) {
    if (pipe.held === 0) {
      offsetView.setBigInt64(0, 0n, true);
      pipe.held = libc.splice(fileFd, offset, pipe.write, null, MEBIBYTE, 1);
    }
    const count = libc.splice(pipe.read, null, fd, null, pipe.held, 3);
    if (count < 0) return native.lastErrno() === native.EAGAIN;
    pipe.held -= count;
  }
  return true;
}

console.log('ready');
for (;;) {
  const count = loop.wait(-1);
  for (let i = 0; i < count; i++) {
    const fd = loop.keyAt(i);
    const stream = listeners.get(fd);
    if (stream === undefined) {
      const pipe = streams.get(fd);
      const alive = pipe === undefined ? libc.read(fd, scratch, scratch.length) > 0 : send(fd, pipe);
      if (!alive) close(fd);
      continue;
    }
    for (let peer = native.acceptFrom(fd); peer !== undefined; peer = native.acceptFrom(fd)) {
      if (stream) {
        openStream(peer);
        loop.add(peer, native.EPOLLOUT, peer);
      } else {
        native.trySetIntOption(peer, native.IPPROTO_TCP, native.TCP_NODELAY, 1);
        libc.send(peer, greeting, 1, native.MSG_NOSIGNAL);
        loop.add(peer, native.EPOLLIN, peer);
      }
    }
  }
}
