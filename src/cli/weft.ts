#!/usr/bin/env node
/**
 * `weft VERB …`: hands each verb to its program part and loads nothing else. `mptcp` is the one that scripts call
 * often, so its way is the shortest.
 */
const [verb, ...rest] = process.argv.slice(2);

if (verb === 'mptcp') {
  const { runIp } = await import('./compat/ip-command.ts');
  const { Output } = await import('./compat/output.ts');
  process.exitCode = await runIp(['mptcp', ...rest], new Output());
} else {
  const { runProgram } = await import('./program.ts');
  await runProgram(process.argv.slice(2));
}
