/**
 * A Node program that knows nothing of Weft: asks a server in the way that its first argument names, and prints the
 * answer. NODE_EXTRA_CA_CERTS names the server's certificate.
 */
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { get as getSecure } from 'node:https';
import { connect, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Worker } from 'node:worker_threads';

const [kind = '', portText] = process.argv.slice(2);
const port = Number(portText);

async function textOf(stream) {
  let text = '';
  for await (const piece of stream.setEncoding('utf8')) text += piece;
  return text;
}

const answerTo = (request) => once(request, 'response').then(([response]) => textOf(response));

async function reuse() {
  const socket = new Socket();
  const texts = [];
  for (let i = 0; i < 2; i++) {
    socket.connect(port, '127.0.0.1');
    socket.setEncoding('utf8').on('data', (text) => texts.push(text));
    await once(socket, 'close');
    socket.removeAllListeners('data');
  }
  return texts.join('+');
}

async function keepAlive() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const texts = [];
  for (let i = 0; i < 3; i++)
    texts.push(await answerTo(get({ host: '127.0.0.1', port, path: '/', agent, noDelay: true })));
  agent.destroy();
  return texts.join('+');
}

/** The first address refuses, the second answers: one socket object, two handles. */
const bothAddresses = (_name, _options, found) =>
  found(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ]);

const bothFamilies = () =>
  textOf(connect({ host: 'two.invalid', port, lookup: bothAddresses, autoSelectFamily: true }));

async function http2() {
  const session = connectHttp2(`https://localhost:${port}`);
  const text = await textOf(session.request({ ':path': '/' }));
  session.close();
  return text;
}

async function worker() {
  const program = `
    import { connect } from 'node:net';
    import { parentPort } from 'node:worker_threads';
    let text = '';
    connect(${port}, '127.0.0.1').setEncoding('utf8').on('data', (piece) => (text += piece)).on('end', () => parentPort.postMessage(text));`;
  const [text] = await once(
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`)),
    'message',
  );
  return text;
}

const KINDS = {
  'net.connect': () => textOf(connect(port, '127.0.0.1')),
  'net.connect over IPv6': () => textOf(connect(port, '::1')),
  'net.connect by name': () => textOf(connect({ host: 'localhost', port })),
  'a local address and port': () =>
    textOf(connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2', localPort: 45_678 })),
  'no Nagle, keep-alive': () =>
    textOf(connect({ host: '127.0.0.1', port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 9000 })),
  'one socket used twice': reuse,
  'a race of addresses': bothFamilies,
  'http.get': () => answerTo(get(`http://127.0.0.1:${port}/`)),
  'an http agent that keeps alive': keepAlive,
  fetch: async () => (await fetch(`http://127.0.0.1:${port}/`)).text(),
  'a worker thread': worker,
  'tls.connect': () => textOf(connectTls({ host: 'localhost', port, servername: 'localhost' })),
  'https.get': () => answerTo(getSecure(`https://localhost:${port}/`)),
  'fetch of https': async () => (await fetch(`https://localhost:${port}/`)).text(),
  http2,
};

console.log(await KINDS[kind]());
