/**
 * `weft daemon [OPTIONS]`: mptcpd(8) under Weft's own name, with the same options. Words that are no options, such as
 * `weft daemon status`, ask a running one; they are in daemon-control.ts.
 */
import { runMptcpd } from '../compat/mptcpd-run.ts';
import { packageVersion } from '../version.ts';

/** @param argv the words after `weft daemon` */
export function runDaemonCommand(argv: readonly string[]): Promise<never> {
  return runMptcpd(argv, { name: 'weft daemon', weftVersion: packageVersion() });
}
