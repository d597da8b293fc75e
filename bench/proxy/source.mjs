/**
 * The server of the benchmark: a port that sends zeros as fast as they are taken, one that takes everything and tells
 * how much every 100 ms, one that sends back what it gets, and ports that greet every connection with one byte and
 * then wait for its end. One thread.
 *
 * Usage: node source.mjs ADDRESS STREAM_PORT SINK_PORT ECHO_PORT GREET_PORT GREET_PORTS [mptcp]
 */
import * as native from '../../dist/native/index.js';
import { Zeros } from './zeros.mjs';

const { libc } = native;
const [address, streamPort, sinkPort, echoPort, greetPort, greetPorts, protocol] = process.argv.slice(2);

function listen(port) {
  const number = protocol === 'mptcp' ? native.IPPROTO_MPTCP : native.IPPROTO_TCP;
  const fd = native.openSocket(2, native.SOCK_STREAM | native.SOCK_NONBLOCK, number);
  native.setIntOption(fd, native.SOL_SOCKET, native.SO_REUSEADDR, 1);
  native.bindSocket(fd, { address, port });
  native.listenOn(fd, 4096);
  return fd;
}

const loop = new native.EpollLoop({ capacity: 256 });
const scratch = new Uint8Array(new ArrayBuffer(1 << 20));
const greeting = new Uint8Array([33]);
const taken = new Uint8Array(8);
/** What to do with each descriptor that epoll names. */
const handlers = new Map();

function watch(fd, events, handle) {
  handlers.set(fd, handle);
  loop.add(fd, events, fd);
}

function drop(fd) {
  handlers.delete(fd);
  libc.close(fd);
}

function acceptAll(listener, welcome) {
  for (let fd = native.acceptFrom(listener); fd !== undefined; fd = native.acceptFrom(listener)) welcome(fd);
}

function stream(fd) {
  const zeros = new Zeros(fd);
  watch(fd, native.EPOLLOUT, () => {
    if (zeros.send()) return;
    handlers.delete(fd);
    zeros.close();
  });
}

function sink(fd) {
  let bytes = 0;
  let toldMs = performance.now();
  watch(fd, native.EPOLLIN, () => {
    for (let round = 0; round < 16; round++) {
      // MSG_TRUNC: the kernel drops the bytes without copying them (tcp(7)).
      const count = libc.recv(fd, scratch, scratch.length, native.MSG_TRUNC);
      if (count > 0) bytes += count;
      else if (count === 0 || native.lastErrno() !== native.EAGAIN) return drop(fd);
      else break;
    }
    const nowMs = performance.now();
    if (nowMs - toldMs < 100) return;
    toldMs = nowMs;
    new DataView(taken.buffer).setFloat64(0, bytes, true);
    libc.send(fd, taken, 8, native.MSG_NOSIGNAL);
  });
}

/** For small messages: what the socket does not take at once is lost. */
function echo(fd) {
  native.trySetIntOption(fd, native.IPPROTO_TCP, native.TCP_NODELAY, 1);
  watch(fd, native.EPOLLIN, () => {
    const count = libc.recv(fd, scratch, 4096, 0);
    if (count > 0) libc.send(fd, scratch, count, native.MSG_NOSIGNAL);
    else if (count === 0 || native.lastErrno() !== native.EAGAIN) drop(fd);
  });
}

function greet(fd) {
  native.trySetIntOption(fd, native.IPPROTO_TCP, native.TCP_NODELAY, 1);
  libc.send(fd, greeting, 1, native.MSG_NOSIGNAL);
  watch(fd, native.EPOLLIN, () => {
    if (libc.read(fd, scratch, 4096) <= 0) drop(fd);
  });
}

function serve(port, welcome) {
  const listener = listen(Number(port));
  watch(listener, native.EPOLLIN, () => acceptAll(listener, welcome));
}

serve(streamPort, stream);
serve(sinkPort, sink);
serve(echoPort, echo);
for (let i = 0; i < Number(greetPorts); i++) serve(Number(greetPort) + i, greet);
console.log('ready');
for (;;) {
  const count = loop.wait(-1);
  for (let i = 0; i < count; i++) handlers.get(loop.keyAt(i))?.();
}
