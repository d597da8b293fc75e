/**
 * `weft daemon [OPTIONS]`: mptcpd(8) under Weft's own name, with the same options. Words that are no options, such as
 * `weft daemon status`, ask a running one; they are in daemon-control.ts.
 */
import { packageVersion } from '../version.ts';

/** @param argv the words after `weft daemon` */
export function runDaemonCommand(argv: readonly string[]): void {
  const program = { name: 'weft daemon', weftVersion: packageVersion() };
  void import('../compat/mptcpd-run.ts').then(({ runMptcpd }) => runMptcpd(argv, program));
}
