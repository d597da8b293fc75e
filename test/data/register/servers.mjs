/**
 * A Node program that knows nothing of Weft: listens in the way that its first argument names, prints its port, and
 * answers every connection with one word. Ends when its standard input does.
 */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer } from 'node:net';
import { createServer as createTls } from 'node:tls';

const [kind = '', folder = ''] = process.argv.slice(2);
const ANSWER = 'served';

const plain = () => createServer((socket) => socket.on('error', () => {}).end(ANSWER));
const pair = () => ({ key: readFileSync(`${folder}/key.pem`), cert: readFileSync(`${folder}/cert.pem`) });

const KINDS = {
  'a port': () => plain().listen(0),
  'a host': () => plain().listen(0, '127.0.0.1'),
  'a host name and a backlog': () => plain().listen({ port: 0, host: 'localhost', backlog: 5 }),
  'only IPv6': () => plain().listen({ port: 0, host: '::', ipv6Only: true }),
  'every IPv6 address': () => plain().listen({ port: 0, host: '::' }),
  exclusive: () => plain().listen({ port: 0, host: '127.0.0.1', exclusive: true }),
  http: () => createHttp((_request, response) => response.end(ANSWER)).listen(0, '127.0.0.1'),
  tls: () => createTls(pair(), (socket) => socket.end(ANSWER)).listen(0, '127.0.0.1'),
  https: () => createHttps(pair(), (_request, response) => response.end(ANSWER)).listen(0, '127.0.0.1'),
};

function listen(server) {
  server.on('listening', () => {
    const { port } = server.address();
    if (process.send) process.send(port);
    else console.log(port);
  });
}

const [, policy] = /^cluster (.+)$/.exec(kind) ?? [];
if (policy !== undefined && cluster.isPrimary) {
  cluster.schedulingPolicy = policy === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  let ready = 0;
  cluster.on('message', (_worker, port) => {
    if (++ready === 2) console.log(port);
  });
  cluster.fork();
  cluster.fork();
} else {
  listen(policy === undefined ? KINDS[kind]() : plain().listen(0, '127.0.0.1'));
}
process.stdin.resume().on('end', () => process.exit());
