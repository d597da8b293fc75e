/**
 * The client of the benchmark. Prints one JSON line.
 *
 * Usage: node load.mjs stream SECONDS PROXY PORT TARGET PORT      one tunnel, bytes received and thrown away
 *        node load.mjs upload SECONDS PROXY PORT TARGET PORT      one tunnel, zeros sent; the server says how many came
 *        node load.mjs echo SECONDS PROXY PORT TARGET PORT        one tunnel, 64 bytes there and back, one at a time
 *        node load.mjs connects SECONDS PROXY PORT TARGET PORT N  new tunnels, one at a time
 *        node load.mjs tunnels SECONDS PROXY PORT TARGET PORT N   new tunnels one after another, 32 at a time,
 *                                                                 spread over N target ports
 *        node load.mjs idle COUNT PROXY PORT TARGET PORT N        opens COUNT tunnels, says so, and holds them
 *                                                                 until its standard input ends
 *
 * PROXY: see way.mjs. A tunnel counts as open when the server's greeting has come through it, the same for every peer.
 */
import * as native from '../../dist/native/index.js';
import { parseWay } from './way.mjs';
import { Zeros } from './zeros.mjs';

const { libc } = native;
const [mode, amountText, proxyText, proxyPort, target, targetPort, portsText = '1'] = process.argv.slice(2);
const amount = Number(amountText);
const way = parseWay(proxyText, Number(proxyPort), target, Number(targetPort), Number(portsText));
const IN_FLIGHT = 32;
const MSG_DONTWAIT = 0x40;
/** A request and an answer that fit any packet. */
const MESSAGE_BYTES = 64;

const modes = { stream, upload, echo, connects, tunnels, idle: tunnels };
modes[mode]();

/** One connection through which everything goes from now on. Blocking. */
function openOne(i = 0) {
  const fd = native.openSocket(2, native.SOCK_STREAM, native.IPPROTO_TCP);
  native.startConnect(fd, way.hop(i));
  native.trySetIntOption(fd, native.IPPROTO_TCP, native.TCP_NODELAY, 1);
  // Byte by byte, so that none of the stream is taken for the answer.
  const byte = new Uint8Array(1);
  for (const { send, read } of way.steps(i)) {
    libc.send(fd, send, send.length, native.MSG_NOSIGNAL);
    for (let text = ''; read(text) === undefined;) {
      if (libc.recv(fd, byte, 1, 0) !== 1) throw new Error(`the proxy closed after "${text}"`);
      text += String.fromCharCode(byte[0]);
    }
  }
  return fd;
}

/** Prints a result and ends. */
function tell(result) {
  console.log(JSON.stringify(result));
  process.exit(0);
}

/** Calls `step`, which says how many bytes there are in all by now, and prints the rate after the first second. */
function timed(step) {
  // The first second is for TCP to find its pace.
  const startMs = performance.now() + 1000;
  const endMs = startMs + amount * 1000;
  let beganMs = 0;
  let beganBytes = 0;
  for (;;) {
    const bytes = step();
    const nowMs = performance.now();
    if (beganMs === 0 && nowMs >= startMs) {
      beganMs = nowMs;
      beganBytes = bytes;
    }
    if (nowMs < endMs) continue;
    if (beganMs === nowMs) throw new Error('the stream stood still for the whole time');
    tell({ gbps: ((bytes - beganBytes) * 8) / (nowMs - beganMs) / 1e6 });
  }
}

function stream() {
  const fd = openOne();
  const buffer = new Uint8Array(new ArrayBuffer(1 << 20));
  let bytes = 0;
  timed(() => {
    // MSG_TRUNC: the kernel drops the bytes without copying them (tcp(7)).
    const count = libc.recv(fd, buffer, buffer.length, native.MSG_TRUNC);
    if (count <= 0) throw new Error('the stream ended');
    bytes += count;
    return bytes;
  });
}

function upload() {
  const fd = openOne();
  const zeros = new Zeros(fd);
  const told = new Uint8Array(8);
  let bytes = 0;
  timed(() => {
    if (!zeros.send(1)) throw new Error('the stream ended');
    while (libc.recv(fd, told, 8, MSG_DONTWAIT) === 8) bytes = new DataView(told.buffer).getFloat64(0, true);
    return bytes;
  });
}

/** Repeats `step` one at a time for the time given, after a fifth of it to warm up, and tells how long each took. */
function repeated(step) {
  const warmMs = performance.now() + amount * 200;
  const endMs = warmMs + amount * 1000;
  const times = [];
  for (let i = 0; ; i++) {
    const beganMs = performance.now();
    if (beganMs >= endMs) break;
    step(i);
    if (beganMs >= warmMs) times.push(performance.now() - beganMs);
  }
  times.sort((a, b) => a - b);
  const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))] * 1000;
  tell({ count: times.length, p50Us: at(0.5), p99Us: at(0.99) });
}

function echo() {
  const fd = openOne();
  const message = new Uint8Array(MESSAGE_BYTES).fill(7);
  repeated(() => {
    libc.send(fd, message, MESSAGE_BYTES, native.MSG_NOSIGNAL);
    for (let got = 0; got < MESSAGE_BYTES;) {
      const count = libc.recv(fd, message, MESSAGE_BYTES - got, 0);
      if (count <= 0) throw new Error('the tunnel ended');
      got += count;
    }
  });
}

function connects() {
  const byte = new Uint8Array(1);
  repeated((i) => {
    const fd = openOne(i);
    if (libc.recv(fd, byte, 1, 0) !== 1) throw new Error('no greeting came');
    native.abortConnection(fd);
    libc.close(fd);
  });
}

function say(fd, tunnel) {
  const request = tunnel.steps[tunnel.step]?.send;
  if (request !== undefined) libc.send(fd, request, request.length, native.MSG_NOSIGNAL);
}

/** `true`: the greeting is there too. */
function hear(fd, tunnel, bytes) {
  tunnel.text += String.fromCharCode(...bytes);
  while (tunnel.step < tunnel.steps.length) {
    const length = tunnel.steps[tunnel.step].read(tunnel.text);
    if (length === undefined) return false;
    tunnel.text = tunnel.text.slice(length);
    tunnel.step++;
    say(fd, tunnel);
  }
  return tunnel.text.length > 0;
}

function tunnels() {
  const loop = new native.EpollLoop({ capacity: 256 });
  const buffer = new Uint8Array(4096);
  /** Said and heard of each tunnel that is being opened. @type {Map<number, object>} */
  const open = new Map();
  const held = [];
  const latencies = [];
  let started = 0;
  let opened = 0;
  let failed = 0;
  const begin = () => {
    const at = started++;
    const fd = native.openSocket(2, native.SOCK_STREAM | native.SOCK_NONBLOCK, native.IPPROTO_TCP);
    native.startConnect(fd, way.hop(at));
    open.set(fd, { connected: false, steps: way.steps(at), step: 0, text: '', beganMs: performance.now() });
    loop.add(fd, native.EPOLLIN | native.EPOLLOUT | native.EPOLLET, fd);
  };
  const end = (fd, ok) => {
    const tunnel = open.get(fd);
    open.delete(fd);
    if (ok) {
      opened++;
      latencies.push(performance.now() - tunnel.beganMs);
    } else failed++;
    if (mode === 'idle' && ok) held.push(fd);
    else {
      // RST, so that neither side runs out of ports in TIME_WAIT.
      native.abortConnection(fd);
      libc.close(fd);
    }
  };
  const step = (fd, events) => {
    const tunnel = open.get(fd);
    if (tunnel === undefined) return;
    if (!tunnel.connected) {
      if ((events & (native.EPOLLERR | native.EPOLLHUP)) !== 0) return end(fd, false);
      if ((events & native.EPOLLOUT) === 0) return;
      tunnel.connected = true;
      say(fd, tunnel);
    }
    const count = libc.recv(fd, buffer, buffer.length, 0);
    if (count < 0 && native.lastErrno() === native.EAGAIN) return;
    if (count <= 0) return end(fd, false);
    try {
      if (hear(fd, tunnel, buffer.subarray(0, count))) end(fd, true);
    } catch (error) {
      if (failed === 0) console.error(error.message);
      end(fd, false);
    }
  };
  const startMs = performance.now();
  const done = () =>
    mode === 'idle' ? opened + failed >= amount : performance.now() - startMs >= amount * 1000;
  while (!done()) {
    const wanted = mode === 'idle' ? Math.min(IN_FLIGHT, amount - opened - failed) : IN_FLIGHT;
    while (open.size < wanted) begin();
    const count = loop.wait(1000);
    for (let i = 0; i < count; i++) step(loop.keyAt(i), loop.eventsAt(i));
  }
  const seconds = (performance.now() - startMs) / 1000;
  latencies.sort((a, b) => a - b);
  console.log(
    JSON.stringify({
      perSecond: opened / seconds,
      opened,
      failed,
      medianUs: (latencies[Math.floor(latencies.length / 2)] ?? 0) * 1000,
    }),
  );
  if (mode === 'idle') {
    process.stdin.resume();
    process.stdin.on('end', () => process.exit(0));
  } else process.exit(0);
}
