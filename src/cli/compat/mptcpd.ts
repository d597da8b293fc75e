#!/usr/bin/env node
/**
 * `mptcpd ARGS`: the path-management daemon with the command line of mptcpd(8).
 *
 * References: docs/daemon.md.
 */
import { packageVersion } from '../version.ts';
import { runMptcpd } from './mptcpd-run.ts';

void runMptcpd(process.argv.slice(2), {
  name: 'mptcpd',
  weftVersion: packageVersion(),
  optionsFirst: 'POSIXLY_CORRECT' in process.env,
});
