/**
 * A Node program that knows nothing of Weft: does what must fail, and prints what Node says of it, to be compared with
 * what it says where Weft is loaded. The arguments: a port where somebody listens, and one where nobody does.
 */
import { once } from 'node:events';
import { connect, createServer, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const [taken, free] = process.argv.slice(2).map(Number);

const shown = (error) => ({
  name: error.name,
  message: error.message,
  code: error.code,
  errno: error.errno,
  syscall: error.syscall,
  address: error.address,
  port: error.port,
  cause: error.cause?.message,
  errors: error.errors?.map(shown),
});

function errorOf(make) {
  return new Promise((resolve) => {
    try {
      const thing = make();
      thing.on('error', (error) => resolve(shown(error)));
      thing.on('listening', () => thing.close(() => resolve('listens')));
      thing.on('connect', () => resolve('connected'));
    } catch (error) {
      resolve({ thrown: shown(error) });
    }
  });
}

const two = (_name, _options, found) =>
  found(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]);
const notFound = (name, _options, found) =>
  found(Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' }));

const ATTEMPTS = {
  refused: () => connect(free, '127.0.0.1'),
  'refused over IPv6': () => connect(free, '::1'),
  'both refused': () => connect({ host: 'two.invalid', port: free, lookup: two, autoSelectFamily: true }),
  'one of two, one at a time': () =>
    connect({ host: 'two.invalid', port: free, lookup: two, autoSelectFamily: false, family: 4 }),
  'no such name': () => connect({ host: 'none.invalid', port: free, lookup: notFound }),
  'no route': () => connect(free, '203.0.113.1'),
  'no route over IPv6': () => connect(free, '2001:db8::1'),
  'tls refused': () => connectTls({ host: '127.0.0.1', port: free }),
  'another host’s local address': () => connect({ host: '127.0.0.1', port: free, localAddress: '192.0.2.7' }),
  'a local address of the other family': () =>
    connect({ host: '::1', port: free, localAddress: '127.0.0.1' }),
  'a local port in use': () =>
    connect({ host: '127.0.0.1', port: free, localAddress: '127.0.0.1', localPort: taken }),
  'no port': () => connect(70_000, '127.0.0.1'),
  aborted: () => connect({ host: '127.0.0.1', port: taken, signal: AbortSignal.abort() }),
  'in use': () => createServer().listen(taken, '127.0.0.1'),
  'in use, all addresses': () => createServer().listen(taken),
  'listening at another host’s address': () => createServer().listen(0, '192.0.2.7'),
  'listening at no port': () => createServer().listen(-2),
  'IPv4 with ipv6Only': () => createServer().listen({ port: 0, host: '127.0.0.1', ipv6Only: true }),
  'listening twice': () => {
    const server = createServer().listen(0, '127.0.0.1');
    server.unref();
    return server.listen(0, '127.0.0.1');
  },
};

const results = {};
for (const [name, make] of Object.entries(ATTEMPTS)) results[name] = await errorOf(make);

// A reset, as the other end sees it.
const server = createServer((socket) => {
  socket.on('error', (error) => {
    results.reset = shown(error);
    server.close();
  });
  socket.resume().write('come');
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const client = connect(server.address().port, '127.0.0.1');
await once(client, 'data');
client.resetAndDestroy();
await once(server, 'close');

// No descriptor left: Node's own limit is hit, whoever opens the socket.
const sockets = [];
const bound = createServer().listen(0, '127.0.0.1');
await once(bound, 'listening');
results['no descriptor left'] = await new Promise((resolve) => {
  const more = () => {
    const socket = new Socket();
    sockets.push(socket);
    socket.on('error', (error) => {
      if (error.code === 'EMFILE') resolve({ code: error.code, syscall: error.syscall });
    });
    socket.on('connect', more);
    socket.connect(bound.address().port, '127.0.0.1');
  };
  more();
});
console.log(JSON.stringify(results, null, 1));
process.exit();
