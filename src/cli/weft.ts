#!/usr/bin/env node
/**
 * The program `weft`. It only chooses: `weft mptcp` starts at once, because it is used like `ip mptcp`, a thousand
 * times in scripts; every other verb loads the command line's program (commander and all that it needs).
 *
 * Invariant: nothing that the path of `weft mptcp` does not use is loaded here.
 */
import { runMptcp } from './commands/mptcp.ts';

const words = process.argv.slice(2);
if (words[0] === 'mptcp') runMptcp(words.slice(1));
else void import('./program.ts').then(({ runProgram }) => runProgram(words));
