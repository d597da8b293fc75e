/**
 * Connections for the host that is watched: one process at each end.
 *
 * Usage: node load.mjs serve PORT                         an MPTCP server that sends back what it gets
 *        node load.mjs hold ADDRESS PORT COUNT PROXIED    COUNT connections, PROXIED of them through the proxy of Weft
 *
 * `hold` says `ready` when all are open, then one JSON line for each line `LIFETIME_MS` of its standard input, by which
 * each connection is replaced by a new one after so long (0: never): `{"opened": N, "failed": N, "open": N}`, counted
 * since its start. Meanwhile some connections say something, and a few of them much, so that rates differ.
 */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { createInterface } from 'node:readline';
import { connect, createServer } from '../../dist/mptcp/index.js';

const PROXY_PORT = 13128;
const TURN_MS = 50;
/** Connections that say something in one turn. */
const TALKING = 20;
/** Those that talk in each turn, and how much: 8 × 16 KiB × 20 /s is 20 Mbit/s. */
const BUSY = 8;
const SMALL = Buffer.alloc(1024, 's');
const LARGE = Buffer.alloc(16_384, 'l');
/** How many are being opened at a time. */
const OPENING = 32;

const [, , role, ...words] = process.argv;

async function serve(port) {
  await createServer({ host: '0.0.0.0', port, backlog: 4096 }, (socket) => {
    socket.on('data', (data) => {
      // Who does not read what he gets back is not answered any more.
      if (socket.writableLength < 1 << 20) socket.write(data);
    });
    socket.on('error', () => socket.destroy());
  });
  console.log('ready');
}

/** BOUNDED: by COUNT. In the order in which they were opened. */
const open = [];
const counts = { opened: 0, failed: 0 };

async function openProxied(address, port) {
  const socket = connectTcp({ host: '127.0.0.1', port: PROXY_PORT });
  await once(socket, 'connect');
  socket.write(`CONNECT ${address}:${port} HTTP/1.1\r\nHost: ${address}:${port}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  if (!answer.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(answer.toString('latin1'));
  return socket;
}

async function openOne({ address, port, isProxied }) {
  try {
    const socket = isProxied ? await openProxied(address, port) : await connect({ host: address, port });
    socket.on('error', () => socket.destroy());
    socket.resume();
    // A server's end is established, and joins are made, with the first data.
    socket.write(SMALL);
    socket.isProxied = isProxied;
    counts.opened++;
    open.push(socket);
  } catch (error) {
    if (counts.failed++ === 0) console.error(`a connection failed: ${error.message}`);
  }
}

function talk() {
  for (let n = 0; n < TALKING; n++) open[Math.floor(Math.random() * open.length)]?.write(SMALL);
  for (const socket of open.slice(0, BUSY)) if (socket.writableLength < 1 << 20) socket.write(LARGE);
}

async function hold(address, port, count, proxied) {
  const wanted = Array.from({ length: count }, (_, i) => ({ address, port, isProxied: i < proxied }));
  const lane = async () => {
    for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) await openOne(next);
  };
  await Promise.all(Array.from({ length: OPENING }, lane));
  console.log('ready');
  let lifetimeMs = 0;
  let due = 0;
  let lastMs = performance.now();
  setInterval(() => {
    talk();
    const nowMs = performance.now();
    // What is late is made up for, a second at most.
    if (lifetimeMs > 0) due += (count * Math.min(1000, nowMs - lastMs)) / lifetimeMs;
    lastMs = nowMs;
    for (; due >= 1 && open.length > 0; due--) {
      const socket = open.shift();
      socket.destroy();
      void openOne({ address, port, isProxied: socket.isProxied });
    }
  }, TURN_MS);
  for await (const line of createInterface({ input: process.stdin })) {
    lifetimeMs = Number(line);
    console.log(JSON.stringify({ ...counts, open: open.length }));
  }
  process.exit(0);
}

if (role === 'serve') await serve(Number(words[0]));
else await hold(words[0], ...words.slice(1).map(Number));
