/**
 * The client of the benchmark. Prints one JSON line.
 *
 * Usage: node load.mjs stream SECONDS PROXY PORT TARGET PORT      one tunnel, bytes received and thrown away
 *        node load.mjs upload SECONDS PROXY PORT TARGET PORT      one tunnel, zeros sent; the server says how many came
 *        node load.mjs tunnels SECONDS PROXY PORT TARGET PORT N   new tunnels one after another, 32 at a time,
 *                                                                 spread over N target ports
 *        node load.mjs idle COUNT PROXY PORT TARGET PORT N        opens COUNT tunnels, says so, and holds them
 *                                                                 until its standard input ends
 *
 * PROXY `-`: no proxy, straight to the target. PROXY `=ADDRESS`: a fixed forward, without CONNECT. A tunnel
 * counts as open when the server's greeting has come through it, the same for every peer.
 */
import * as native from '../../dist/native/index.js';
import { Zeros } from './zeros.mjs';

const { libc } = native;
const [mode, amountText, proxyText, proxyPort, target, targetPort, portsText = '1'] = process.argv.slice(2);
const amount = Number(amountText);
const fixed = proxyText.startsWith('=');
const direct = proxyText === '-';
const hop = direct
  ? { address: target, port: Number(targetPort) }
  : { address: proxyText.replace('=', ''), port: Number(proxyPort) };
const IN_FLIGHT = 32;
const MSG_DONTWAIT = 0x40;

const requests = Array.from({ length: Number(portsText) }, (_, i) => {
  const authority = `${target}:${Number(targetPort) + i}`;
  return new TextEncoder().encode(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
});

function hopFor(i) {
  return direct ? { ...hop, port: hop.port + (i % requests.length) } : hop;
}

if (mode === 'stream') stream();
else if (mode === 'upload') upload();
else tunnels();

/** One connection through which everything goes from now on. Blocking. */
function openOne() {
  const fd = native.openSocket(2, native.SOCK_STREAM, native.IPPROTO_TCP);
  native.startConnect(fd, hop);
  if (direct || fixed) return fd;
  libc.send(fd, requests[0], requests[0].length, 0);
  // Byte by byte, so that none of the stream is taken for the answer.
  const byte = new Uint8Array(1);
  for (let tail = ''; !tail.endsWith('\r\n\r\n');) {
    if (libc.recv(fd, byte, 1, 0) !== 1) throw new Error(`the proxy closed: ${tail}`);
    tail += String.fromCharCode(byte[0]);
    if (tail.length === 12 && !tail.endsWith('200')) throw new Error(`the proxy said: ${tail}`);
  }
  return fd;
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
    console.log(JSON.stringify({ gbps: ((bytes - beganBytes) * 8) / (nowMs - beganMs) / 1e6 }));
    process.exit(0);
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

function tunnels() {
  const loop = new native.EpollLoop({ capacity: 256 });
  const buffer = new Uint8Array(4096);
  /** @type {Map<number, {phase: 'connecting'|'answer'|'greeting', at: number, beganMs: number}>} */
  const open = new Map();
  const held = [];
  const latencies = [];
  let started = 0;
  let opened = 0;
  let failed = 0;
  const begin = () => {
    const at = started++;
    const fd = native.openSocket(2, native.SOCK_STREAM | native.SOCK_NONBLOCK, native.IPPROTO_TCP);
    native.startConnect(fd, hopFor(at));
    open.set(fd, { phase: 'connecting', at, beganMs: performance.now() });
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
    if (tunnel.phase === 'connecting') {
      if ((events & (native.EPOLLERR | native.EPOLLHUP)) !== 0) return end(fd, false);
      if ((events & native.EPOLLOUT) === 0) return;
      tunnel.phase = direct || fixed ? 'greeting' : 'answer';
      const request = requests[tunnel.at % requests.length];
      if (tunnel.phase === 'answer') libc.send(fd, request, request.length, native.MSG_NOSIGNAL);
    }
    const count = libc.recv(fd, buffer, buffer.length, 0);
    if (count < 0 && native.lastErrno() === native.EAGAIN) return;
    if (count <= 0) return end(fd, false);
    if (tunnel.phase === 'greeting') return end(fd, true);
    if (buffer[9] !== 50) return end(fd, false); // the 2 of 200
    if (buffer[count - 1] === 33) return end(fd, true); // the greeting came along
    tunnel.phase = 'greeting';
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
