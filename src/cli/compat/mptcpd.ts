#!/usr/bin/env node
/**
 * `mptcpd ARGS`: the path-management daemon with the command line of mptcpd(8).
 *
 * References: docs/daemon.md.
 */
import { packageVersion } from '../version.ts';

const program = {
  name: 'mptcpd',
  weftVersion: packageVersion(),
  optionsFirst: 'POSIXLY_CORRECT' in process.env,
};

// The same file as for `weft daemon` (scripts/build.mjs).
void import('./mptcpd-run.ts').then(({ runMptcpd }) => runMptcpd(process.argv.slice(2), program));
