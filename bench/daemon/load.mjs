/**
 * Makes MPTCP connections over loopback as fast as one thread can, by plain system calls: socket, connect, one byte,
 * accept, close at both ends. Runs in the namespace of the daemon that is measured.
 *
 * Usage: node load.mjs
 * Each line of standard input is `COUNT HOLD [BURST PERIOD]`: COUNT connections, HOLD of them open at a time; with BURST,
 * so many at once every PERIOD milliseconds. The answer is one JSON line: `{"connections": COUNT, "seconds": S}`. Says
 * `ready` when it listens; ends with its standard input.
 */
import { createInterface } from 'node:readline';
import * as native from '../../dist/native/index.js';

const { libc } = native;
const AF_INET = 2;
const ADDRESS = '127.0.0.1';
const PORT = 5000;
const BACKLOG = 4096;
const MSG_DONTWAIT = 0x40;
const TYPE = native.SOCK_STREAM | native.SOCK_NONBLOCK;
const byte = Buffer.from('x');
const target = { address: ADDRESS, port: PORT };

const listener = native.openSocket(AF_INET, TYPE, native.IPPROTO_MPTCP);
native.bindSocket(listener, target);
native.listenOn(listener, BACKLOG);
console.log('ready');

/** On loopback a connection is there before connect(2) returns; where it is not, the next look finds it. */
function accept() {
  for (;;) {
    const fd = native.acceptFrom(listener);
    if (fd !== undefined) return fd;
  }
}

function connect(count, hold) {
  const open = [];
  for (let n = 0; n < count; n++) {
    const fd = native.openSocket(AF_INET, TYPE, native.IPPROTO_MPTCP);
    native.startConnect(fd, target);
    // The server's end is established with the first data.
    libc.send(fd, byte, 1, MSG_DONTWAIT);
    open.push(fd, accept());
    if (open.length >= 2 * hold) for (const end of open.splice(0)) native.closeFd(end);
  }
  for (const end of open) native.closeFd(end);
}

async function connectInBursts(count, hold, burst, periodMs) {
  const began = performance.now();
  for (let n = 0; n < count; n += burst) {
    const restMs = began + (n / burst) * periodMs - performance.now();
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    connect(Math.min(burst, count - n), hold);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [count, hold, burst = count, periodMs = 0] = line.split(' ').map(Number);
  const began = performance.now();
  await connectInBursts(count, hold, burst, periodMs);
  console.log(JSON.stringify({ connections: count, seconds: (performance.now() - began) / 1000 }));
}
