/**
 * A program with one MPTCP connection: `mptcp-client-child.mjs ADDRESS PORT`. Prints the local port when data has
 * been sent, and ends with its standard input.
 */
import { connectFd } from '../../src/mptcp/connect.ts';
import { MptcpSocket } from '../../src/mptcp/index.ts';

const [, , address = '', port = ''] = process.argv;
const socket = new MptcpSocket(await connectFd({ address, port: Number(port) }));
socket.write('x', () => process.stdout.write(`${socket.localPort}\n`));
process.stdin.resume().once('end', () => socket.destroy());
