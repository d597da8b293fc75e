/**
 * Senders and receivers. Prints JSON lines.
 *
 *   node load.mjs udp-sink ADDRESS PORT LINK               counts what comes; a line for each trial, when it is over
 *   node load.mjs udp-send ADDRESS PORT BYTES RATE SECONDS TRIAL
 *                                                          packets of BYTES payload, RATE a second, in small bursts
 *   node load.mjs tcp-sink ADDRESS PORT LINK SECONDS [mptcp]
 *                                                          one connection; a line at its end, or after SECONDS
 *   node load.mjs tcp-send ADDRESS PORT SECONDS CONGESTION [mptcp]    as much as goes
 *
 * A sink also notes when nothing came for a while, and how much has come over LINK, all in milliseconds of
 * CLOCK_MONOTONIC. The first 8 bytes of a datagram are the trial and its number, both u32 little-endian.
 */
import { readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import * as native from '../../dist/native/index.js';

const { libc } = native;
const [mode, address, portText, ...rest] = process.argv.slice(2);
const here = { address, port: Number(portText) };
const MSG_WAITFORONE = 0x10000;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_RCVBUFFORCE = 33;
const TCP_CONGESTION = 13;
const MSGHDR_BYTES = 56;
const MMSGHDR_BYTES = 64;
const IOVEC_BYTES = 16;
/** A gap worth noting, ms. */
const GAP_MIN = 5;
const SAMPLE_EVERY = 10;
const SILENCE_MS = 300;

/** `BATCH` messages of `bytes` each, for recvmmsg and sendmmsg. */
class Batch {
  constructor(count, bytes) {
    this.count = count;
    this.bytes = bytes;
    this.data = new native.OwnedBuffer(count * bytes);
    this.vectors = new native.OwnedBuffer(count * IOVEC_BYTES);
    this.headers = new native.OwnedBuffer(count * MMSGHDR_BYTES);
    for (let i = 0; i < count; i++) {
      this.vectors.view.setBigUint64(i * IOVEC_BYTES, this.data.address + BigInt(i * bytes), true);
      this.vectors.view.setBigUint64(i * IOVEC_BYTES + 8, BigInt(bytes), true);
      const header = i * MMSGHDR_BYTES;
      this.headers.view.setBigUint64(header + 16, this.vectors.address + BigInt(i * IOVEC_BYTES), true);
      this.headers.view.setBigUint64(header + 24, 1n, true);
    }
    this.at = Number(this.headers.address);
  }

  lengthOf(i) {
    return this.headers.view.getUint32(i * MMSGHDR_BYTES + MSGHDR_BYTES, true);
  }
}

/** Bytes received over a link so far, once in `SAMPLE_EVERY` ms. */
class LinkSamples {
  /** UNBOUNDED: one trial's. */
  samples = [];
  #nextMs = 0;

  constructor(link) {
    this.link = link;
  }

  look(nowMs) {
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + SAMPLE_EVERY;
    const found = new RegExp(`^ *${this.link}: *(\\d+)`, 'm').exec(
      readFileSync('/proc/self/net/dev', 'utf8'),
    );
    this.samples.push([Math.round(nowMs * 10) / 10, Number(found?.[1] ?? 0)]);
  }
}

/** `option`: SO_RCVTIMEO or SO_SNDTIMEO. */
function setTimeLimit(fd, option, ms) {
  const value = new Uint8Array(16);
  new DataView(value.buffer).setBigInt64(8, BigInt(ms * 1000), true);
  libc.setsockopt(fd, native.SOL_SOCKET, option, value, 16);
}

const say = (value) => console.log(JSON.stringify(value));

/** The pace is the sender's, and not that of a scheduler with more work than cores. */
function goFirst(nice) {
  try {
    setPriority(nice);
  } catch {
    // Not root.
  }
}

function udpSink() {
  goFirst(-10);
  const fd = native.openSocket(2, native.SOCK_DGRAM, 0);
  // So that what is lost was lost by the path and not here.
  native.trySetIntOption(fd, native.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20);
  native.bindSocket(fd, here);
  setTimeLimit(fd, SO_RCVTIMEO, SAMPLE_EVERY);
  const batch = new Batch(256, 2048);
  const seen = new Uint8Array(1 << 22);
  let trial;
  const begin = (number, nowMs) => {
    seen.fill(0);
    return {
      number,
      received: 0,
      duplicates: 0,
      unordered: 0,
      highest: -1,
      beganMs: nowMs,
      lastMs: nowMs,
      gaps: [],
    };
  };
  let link = new LinkSamples(rest[0]);
  const end = () => {
    const { number, received, duplicates, unordered, highest, beganMs, lastMs, gaps } = trial;
    const lost = [];
    for (let i = 0; i <= highest && lost.length < 20_000; i++)
      if ((seen[i >> 3] & (1 << (i & 7))) === 0) lost.push(i);
    // `lost` counts up to the last that came; the sender knows how many there were.
    const detail = lost.length < 20_000 ? { lost } : {};
    const samples = link.samples;
    say({
      trial: number,
      received,
      duplicates,
      unordered,
      highest,
      beganMs,
      lastMs,
      gaps,
      samples,
      ...detail,
    });
    trial = undefined;
    link = new LinkSamples(rest[0]);
  };
  console.log('ready');
  for (;;) {
    const count = libc.recvmmsgAt(fd, batch.at, batch.count, MSG_WAITFORONE, 0);
    const nowMs = native.monotonicMs();
    if (count <= 0) {
      if (trial === undefined) continue;
      link.look(nowMs);
      if (nowMs - trial.lastMs > SILENCE_MS + Number(rest[1] ?? 0)) end();
      continue;
    }
    for (let i = 0; i < count; i++) {
      const at = i * batch.bytes;
      const number = batch.data.view.getUint32(at, true);
      const sequence = batch.data.view.getUint32(at + 4, true);
      if (trial === undefined || trial.number !== number) {
        // A straggler of the trial before.
        if (trial !== undefined && number < trial.number) continue;
        if (trial !== undefined) end();
        trial = begin(number, nowMs);
      }
      const place = sequence >> 3;
      const bit = 1 << (sequence & 7);
      if (place >= seen.length) continue;
      if ((seen[place] & bit) !== 0) {
        trial.duplicates++;
        continue;
      }
      seen[place] |= bit;
      trial.received++;
      if (sequence < trial.highest) trial.unordered++;
      else trial.highest = sequence;
    }
    if (nowMs - trial.lastMs > GAP_MIN && trial.gaps.length < 1000)
      trial.gaps.push([trial.lastMs, nowMs - trial.lastMs]);
    trial.lastMs = nowMs;
    link.look(nowMs);
  }
}

function udpSend() {
  goFirst(-15);
  const [bytes, rate, seconds, trial] = rest.map(Number);
  const fd = native.openSocket(2, native.SOCK_DGRAM, 0);
  native.trySetIntOption(fd, native.SOL_SOCKET, native.SO_SNDBUF ?? 7, 4 << 20);
  native.startConnect(fd, here);
  const batch = new Batch(64, bytes);
  for (let i = 0; i < batch.count; i++) batch.data.view.setUint32(i * bytes, trial, true);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const total = Math.round(rate * seconds);
  const startMs = native.monotonicMs();
  let sent = 0;
  let refused = 0;
  // Falling behind by more than this is not made up for: that would be a burst, not a rate.
  const behindMax = Math.max(64, rate * 0.005);
  let forgiven = 0;
  let nowMs = startMs;
  while (nowMs - startMs < seconds * 1000) {
    const due = Math.min(total, Math.floor(((nowMs - startMs) / 1000) * rate) + 1) - forgiven;
    if (due - sent > behindMax) forgiven += Math.floor(due - sent - behindMax);
    let wanted = Math.floor(Math.min(due - sent, behindMax));
    while (wanted > 0) {
      const count = Math.min(wanted, batch.count);
      for (let i = 0; i < count; i++) batch.data.view.setUint32(i * bytes + 4, sent + i, true);
      const done = libc.sendmmsgAt(fd, batch.at, count, 0);
      if (done <= 0) {
        refused++;
        break;
      }
      sent += done;
      wanted -= done;
    }
    Atomics.wait(cell, 0, 0, 0.2);
    nowMs = native.monotonicMs();
  }
  say({ sent, refused, startMs, seconds: (native.monotonicMs() - startMs) / 1000 });
}

const protocolOf = (text) => (text === 'mptcp' ? native.IPPROTO_MPTCP : native.IPPROTO_TCP);

function tcpSink() {
  const [linkName, seconds, protocol] = rest;
  const listener = native.openSocket(2, native.SOCK_STREAM, protocolOf(protocol));
  native.setIntOption(listener, native.SOL_SOCKET, native.SO_REUSEADDR, 1);
  native.bindSocket(listener, here);
  native.listenOn(listener, 1);
  console.log('ready');
  const fd = native.acceptFrom(listener);
  // Accepted sockets come non-blocking.
  libc.fcntl(fd, 4, 0);
  setTimeLimit(fd, SO_RCVTIMEO, SAMPLE_EVERY);
  const buffer = new Uint8Array(new ArrayBuffer(1 << 18));
  const link = new LinkSamples(linkName);
  /** UNBOUNDED: one connection's. */
  const gaps = [];
  let bytes = 0;
  const beganMs = native.monotonicMs();
  let lastMs = beganMs;
  for (;;) {
    // MSG_TRUNC: the kernel drops the bytes without copying them (tcp(7)).
    const count = libc.recv(fd, buffer, buffer.length, native.MSG_TRUNC);
    const isEmpty = count < 0 && native.lastErrno() === native.EAGAIN;
    const nowMs = native.monotonicMs();
    link.look(nowMs);
    if (isEmpty) {
      if (nowMs - beganMs < Number(seconds) * 1000) continue;
      gaps.push([lastMs, nowMs - lastMs]);
      break;
    }
    if (count <= 0) break;
    bytes += count;
    if (nowMs - lastMs > GAP_MIN) gaps.push([lastMs, nowMs - lastMs]);
    lastMs = nowMs;
  }
  say({ bytes, beganMs, lastMs, gaps, samples: link.samples });
}

function tcpSend() {
  const [seconds, congestion, protocol] = rest;
  const fd = native.openSocket(2, native.SOCK_STREAM, protocolOf(protocol));
  const name = new TextEncoder().encode(congestion);
  libc.setsockopt(fd, native.IPPROTO_TCP, TCP_CONGESTION, name, name.length);
  native.startConnect(fd, here);
  setTimeLimit(fd, SO_SNDTIMEO, 200);
  const buffer = new Uint8Array(new ArrayBuffer(1 << 17));
  const endMs = native.monotonicMs() + Number(seconds) * 1000;
  let bytes = 0;
  let errno = 0;
  while (native.monotonicMs() < endMs) {
    const count = libc.send(fd, buffer, buffer.length, native.MSG_NOSIGNAL);
    if (count > 0) bytes += count;
    else {
      errno = native.lastErrno();
      if (errno !== native.EAGAIN) break;
    }
  }
  say({ bytes, errno });
}

({ 'udp-sink': udpSink, 'udp-send': udpSend, 'tcp-sink': tcpSink, 'tcp-send': tcpSend })[mode]();
