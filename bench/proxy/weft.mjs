/**
 * Weft's proxy as built in dist/, without the rest of `weft up`. Usage: node weft.mjs ADDRESS PORT mptcp|tcp
 */
import { ProxyServer } from '../../dist/proxy/index.js';

const [address, port, protocol] = process.argv.slice(2);
const say = (_fields, message) => console.error(message);
const quiet = () => {};
const proxy = new ProxyServer({
  listen: [{ address, port: Number(port) }],
  allowRemote: true,
  multipath: protocol === 'mptcp',
  logger: { debug: quiet, info: quiet, warn: say, error: say },
});
await proxy.start();
process.once('SIGTERM', () => void proxy.stop());
console.log('ready');
