/**
 * Weft's proxy as built in dist/, without the rest of `weft up`.
 *
 * Usage: node weft.mjs ADDRESS PORT mptcp|tcp [transparent LINK]    connections that come in by LINK are redirected to it
 */
import { NfTables } from '../../dist/netlink/index.js';
import { ProxyServer, redirectTable } from '../../dist/proxy/index.js';

const [address, port, protocol, mode, link] = process.argv.slice(2);
const say = (_fields, message) => console.error(message);
const quiet = () => {};
const transparent = mode === 'transparent';
const proxy = new ProxyServer({
  listen: [{ address, port: Number(port) }],
  allowRemote: true,
  multipath: protocol === 'mptcp',
  logger: { debug: quiet, info: quiet, warn: say, error: say },
  ...(transparent ? { transparent: { servesLinks: true } } : {}),
});
await proxy.start();
const tables = transparent ? NfTables.open() : undefined;
tables?.replace(redirectTable({ ports: proxy.transparentPorts, fromLinks: [link], rejectQuic: false }));
process.once('SIGTERM', () => {
  tables?.close();
  void proxy.stop();
});
console.log('ready');
