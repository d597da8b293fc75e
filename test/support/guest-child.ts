/**
 * The appliance's guest as a process of its own in a network namespace, without a machine around it: what it would read
 * from its port comes on standard input, and what it would write goes to standard output.
 * `guest-child.mjs STATE_FOLDER`
 */
import { GuestAgent } from '../../src/appliance/index.ts';
import type { LogMethod } from '../../src/base/index.ts';
import { GuestWeft } from '../../src/service/appliance/guest-weft.ts';

const log =
  (level: 'info' | 'warn' | 'error'): LogMethod =>
  (_fields, text) =>
    agent.tell({ event: 'log', level, text });
const weft = new GuestWeft({
  version: '0.1.0',
  logger: { debug: () => {}, info: log('info'), warn: log('warn'), error: log('error') },
  onChange: () => agent.tell({ event: 'changed' }),
  onStop: () => void weft.close().then(() => process.exit(0)),
  stateFolder: process.argv[2] ?? '',
});
const agent: GuestAgent = new GuestAgent(weft, (bytes) => process.stdout.write(bytes));
agent.handleOpen();
process.stdin.on('data', (bytes: Buffer) => agent.handleBytes(bytes));
