/**
 * `node --import weft/register app.js`: every outgoing and listening TCP socket of the program is MPTCP, and TCP where
 * the kernel has no MPTCP. Not for a program that wants to choose per socket: that is `weft/mptcp`.
 *
 * Importing it is its whole use. It never ends the program that it is loaded into: where it can do nothing it says so
 * in one process warning. `MPTCPWRAP_DEBUG=1` tells each socket on standard error, as libmptcpwrap does.
 *
 * References: docs/run.md.
 */
import { writeSync } from 'node:fs';
import { AF_INET, type Family } from '../base/index.ts';
import { openStreamSocket, type StreamSocket } from '../mptcp/index.ts';
import { bindAll, closeFd, SystemError } from '../native/index.ts';
import { hookTcpHandles } from './hook.ts';
import { tcpHandlePrototype } from './tcp-handle.ts';
import { loadSafely } from './threads.ts';

const STDERR = 2;

function warn(reason: string): void {
  process.emitWarning(`sockets of this program are plain TCP: ${reason}`, {
    type: 'WeftWarning',
    code: 'WEFT_PLAIN_TCP',
  });
}

function tellOpened({ fd, protocol }: StreamSocket, family: number): void {
  const text = `weft/register: socket ${fd} (IPv${family === AF_INET ? 4 : 6}) is ${protocol.toUpperCase()}\n`;
  try {
    writeSync(STDERR, text);
  } catch {
    // Nobody reads it.
  }
}

function register(): void {
  const prototype = tcpHandlePrototype();
  if (prototype === undefined) {
    warn(`weft/register does not know the sockets of Node ${process.version} — use weft/mptcp instead`);
    return;
  }
  const load = loadSafely(bindAll);
  const open = (family: Family): StreamSocket => {
    load();
    return openStreamSocket(family);
  };
  hookTcpHandles(
    prototype,
    { open, close: closeFd },
    {
      ...(process.env['MPTCPWRAP_DEBUG'] === '1' ? { opened: tellOpened } : {}),
      fellBack: warn,
      // EMFILE and its like pass, and are met by Node in the same call; a missing library stays missing.
      isFinal: (error) => !(error instanceof SystemError),
    },
  );
}

try {
  register();
} catch (error) {
  warn((error as Error).message);
}
