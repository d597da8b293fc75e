/** The npm package proxy-chain. Usage: node proxy-chain.mjs ADDRESS PORT */
import { Server } from 'proxy-chain';

const [host, port] = process.argv.slice(2);
const server = new Server({ host, port: Number(port), verbose: false });
await server.listen();
console.log('ready');
