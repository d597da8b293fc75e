/**
 * Weft's proxy as built in dist/, without the rest of `weft up`.
 *
 * Usage: node weft.mjs ADDRESS PORT mptcp|tcp
 *        node weft.mjs ADDRESS PORT mptcp|tcp transparent LINK         connections that come in by LINK are redirected to it
 *        node weft.mjs ADDRESS PORT mptcp|tcp through HOST PORT TOKEN_FILE    everything goes through that far end
 */
import { readFileSync } from 'node:fs';
import { NfTables } from '../../dist/netlink/index.js';
import { DEFAULT_POLICY, parseTokenFile, ProxyServer, redirectTable } from '../../dist/proxy/index.js';

const [address, port, protocol, mode, ...rest] = process.argv.slice(2);
const say = (_fields, message) => console.error(message);
const quiet = () => {};
const transparent = mode === 'transparent';
function throughFarEnd([host, farPort, tokenFile]) {
  const [{ token }] = parseTokenFile(readFileSync(tokenFile, 'utf8'));
  const far = { name: 'far', kind: 'weft', host, port: Number(farPort), token };
  return {
    ...DEFAULT_POLICY,
    upstreams: new Map([[far.name, far]]),
    rules: [{ way: { kind: 'upstream', upstream: far.name } }],
  };
}
const proxy = new ProxyServer({
  listen: [{ address, port: Number(port) }],
  allowRemote: true,
  multipath: protocol === 'mptcp',
  logger: { debug: quiet, info: quiet, warn: say, error: say },
  ...(transparent ? { transparent: { servesLinks: true } } : {}),
  ...(mode === 'through' ? { policy: throughFarEnd(rest) } : {}),
});
await proxy.start();
const tables = transparent ? NfTables.open() : undefined;
tables?.replace(redirectTable({ ports: proxy.transparentPorts, fromLinks: rest, rejectQuic: false }));
process.once('SIGTERM', () => {
  tables?.close();
  void proxy.stop();
});
console.log('ready');
