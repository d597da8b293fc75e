#!/usr/bin/env node
/**
 * The program `weft`. It only chooses: `weft mptcp` starts at once, because it is used like `ip mptcp`, a thousand
 * times in scripts; `weft daemon` with options is mptcpd and loads that; every other verb loads the command line's program
 * (commander and all that it needs).
 *
 * Invariant: nothing that the path of `weft mptcp` does not use is loaded here.
 */
import { runDaemonCommand } from './commands/daemon.ts';
import { runMptcp } from './commands/mptcp.ts';

const words = process.argv.slice(2);
const [verb, next] = words;
if (verb === 'mptcp') runMptcp(words.slice(1));
else if (verb === 'daemon' && (next === undefined || next.startsWith('-'))) runDaemonCommand(words.slice(1));
else void import('./program.ts').then(({ runProgram }) => runProgram(words));
