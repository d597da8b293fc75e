/**
 * A program that serves checked traffic (checked-traffic.ts): `checked-server-child.mjs ADDRESS PORT mptcp|tcp`.
 * Prints `ready`, and for each line on its standard input one line of JSON with its counters.
 */
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { familyOf } from '../../src/base/index.ts';
import {
  bindSocket,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  listenOn,
  openSocket,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from '../../src/native/index.ts';
import { CheckedAnswers } from './checked-traffic.ts';

const [, , address = '', port = '', protocol = ''] = process.argv;
const counters = { connections: 0, open: 0, failed: 0 };
const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  const answers = new CheckedAnswers();
  counters.connections++;
  counters.open++;
  socket.on('data', (bytes) => {
    for (const reply of answers.handleBytes(bytes)) socket.write(reply);
    // A client that does not read its replies gets to send no more either.
    if (!socket.writableNeedDrain) return;
    socket.pause();
    socket.once('drain', () => socket.resume());
  });
  socket.once('end', () => socket.end(answers.handleEnd()));
  socket.once('error', () => counters.failed++);
  socket.once('close', () => counters.open--);
});
const kind = protocol === 'mptcp' ? IPPROTO_MPTCP : IPPROTO_TCP;
const fd = openSocket(familyOf(address), SOCK_STREAM | SOCK_NONBLOCK, kind);
bindSocket(fd, { address, port: Number(port) });
listenOn(fd, 4096);
server.listen({ fd }, () => console.log('ready'));
createInterface({ input: process.stdin }).on('line', () => console.log(JSON.stringify(counters)));
process.stdin.once('close', () => process.exit(0));
