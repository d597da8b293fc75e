#!/usr/bin/env node
/**
 * `mptcpctl COMMAND`: Multipath TCP for this machine's programs by a proxy on 127.0.0.1:13128, with the commands of
 * mptcp-virtual's script.
 *
 * References: docs/mptcpctl.md.
 */
import { packageVersion } from '../version.ts';
import { parseMptcpctl } from './mptcpctl-grammar.ts';

const line = parseMptcpctl(process.argv.slice(2), packageVersion());
if (line.kind === 'exit') {
  process.stdout.write(line.stdout ?? '');
  process.stderr.write(line.stderr ?? '');
  process.exitCode = line.exitCode;
} else {
  // A file of its own, which needs all of Weft (scripts/build.mjs).
  void import('./mptcpctl-run.ts').then(async ({ runMptcpctl }) => {
    process.exitCode = await runMptcpctl(line);
  });
}
