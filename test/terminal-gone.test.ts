/** A terminal that is closed while a program has it: the program ends in order, and not by an abort of Node's. */
import { expect, it } from 'vitest';
import { PseudoTerminal } from './support/pseudo-terminal.ts';
import { hostState, useTestLabs } from './support/test-labs.ts';
import { weftCommand } from './support/weft-program.ts';

const { buildLab, closers } = useTestLabs('gone');

it('weft up ends in order when its terminal is closed', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  const before = hostState(client);
  const terminal = new PseudoTerminal(weftCommand('up', '--no-web'), {
    columns: 200,
    start: (argv, { env }) => client.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'], env }),
  });
  closers.push(() => terminal.close());
  await terminal.until(({ screen }) => /weft status; to stop it/.test(screen.plainText), 'its start');
  terminal.hangUp();
  expect(await terminal.ended()).toBe(0);
  expect(hostState(client)).toEqual(before);
});
