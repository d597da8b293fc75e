/**
 * The far end of a Weft (`weft serve`) as built in dist/. Usage: node far.mjs ADDRESS PORT TOKEN_FILE
 */
import { readFileSync } from 'node:fs';
import { FarServer, parseTokenFile } from '../../dist/proxy/index.js';

const [address, port, tokenFile] = process.argv.slice(2);
const say = (_fields, message) => console.error(message);
const quiet = () => {};
const far = new FarServer({
  listen: [{ address, port: Number(port) }],
  access: { tokens: parseTokenFile(readFileSync(tokenFile, 'utf8')) },
  allow: [{ address: '10.0.0.0', length: 8 }],
  limits: { maxTunnelsPerClient: 8192, maxTunnels: 8192 },
  logger: { debug: quiet, info: quiet, warn: say, error: say },
});
await far.start();
process.once('SIGTERM', () => void far.stop().then(() => process.exit(0)));
console.log('ready');
