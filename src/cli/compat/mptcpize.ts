#!/usr/bin/env node
/**
 * `mptcpize CMD`: behaves as mptcpd's mptcpize, with a drop-in where that edits the unit's own file.
 *
 * References: mptcpize(8); docs/run.md.
 */
import { runMptcpize } from './mptcpize-command.ts';
import { settle } from './settle.ts';

settle((output) => runMptcpize(process.argv.slice(2), output));
