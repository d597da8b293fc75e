/**
 * A Node program that knows nothing of Weft: sockets that are not TCP, and one that it was given, in one process. Prints
 * what went over them.
 */
import { fork, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const [path] = process.argv.slice(2);
if (path === 'child') {
  process.send('ipc');
} else {
  const server = createServer((socket) => socket.end('unix')).listen(path);
  await once(server, 'listening');
  const [unix] = await once(connect(path), 'data');
  server.close();
  const receiver = createSocket('udp4').bind(0, '127.0.0.1');
  await once(receiver, 'listening');
  const sender = createSocket('udp4');
  sender.send('udp', receiver.address().port, '127.0.0.1');
  const [udp] = await once(receiver, 'message');
  receiver.close();
  sender.close();
  const [ipc] = await once(fork(process.argv[1], ['child']), 'message');
  const pipe = spawnSync('cat', { input: 'pipe', encoding: 'utf8' }).stdout;
  console.log(`${unix} ${udp} ${ipc} ${pipe}`);
}
