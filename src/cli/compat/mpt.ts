#!/usr/bin/env node
/**
 * `mpt [--conf DIR] [-6] [-PORT] COMMAND`: the client of MPT's server on this host, ours or the original.
 *
 * References: docs/tunnel.md section 3; mpt(8).
 */
import { runMpt } from './mpt-command.ts';
import { settle } from './settle.ts';

settle((output) => runMpt(process.argv.slice(2), output));
