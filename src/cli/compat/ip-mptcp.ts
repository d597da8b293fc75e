#!/usr/bin/env node
/**
 * `ip-mptcp ARGS`: behaves as `ip ARGS` for the object mptcp, so that a shell function or an alias can put it in
 * the place of ip. Grammar, output and exit codes are those of iproute2 7.1.
 *
 * References: ip(8), ip-mptcp(8); docs/weft-mptcp.md.
 */
import { runIp } from './ip-command.ts';
import { settle } from './settle.ts';

settle((output) => runIp(process.argv.slice(2), output));
