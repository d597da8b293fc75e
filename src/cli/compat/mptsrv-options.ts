/**
 * The command line of `mptsrv` (pure): MPT's `-d`, and what Weft adds. A word that is none of these is a mistake here;
 * the original passes it over.
 */
import { CONFIGURATION_FOLDER, takeFolder } from '../../tunnel/index.ts';
import type { Exit } from './outcome.ts';

/** EX_USAGE of <sysexits.h>. */
export const USAGE_ERROR = 64;

export interface MptsrvOptions {
  /** The folder `conf`, as given. */
  readonly folder: string;
  /** Without menu: standard input is left alone. */
  readonly isDaemon: boolean;
  /** Debug lines in the log. */
  readonly isVerbose: boolean;
}

export type MptsrvCommandLine = ({ readonly kind: 'run' } & MptsrvOptions) | Exit;

export const MPTSRV_HELP = `Usage: mptsrv [-d] [--conf DIR] [--verbose]

Joins this host to others by a tunnel over several paths (MPT, GRE in UDP).

  -d           no menu: standard input is not read
  --conf DIR   the configuration folder; else conf in the folder where it is started
  --verbose    log debug messages too
  --version    print the version, and end
  -h, --help   print this, and end

Without -d, letters on standard input: q ends it, p prints the state, r reads the
configuration again. SIGTERM and SIGINT end it in order, SIGHUP reads the
configuration again. What it does goes to standard output as in MPT, its log to
standard error.

Exit codes: 0 ended in order, 3 the configuration cannot be used, 4 no tunnel in
interface.conf, 64 a mistake in the command line, 77 not permitted, 98 a port is
taken, 1 anything else.
`;

/** @param argv the words after the program's name */
export function parseMptsrvCommandLine(argv: readonly string[], version: string): MptsrvCommandLine {
  let folder: string | undefined;
  let isDaemon = false;
  let isVerbose = false;
  let rest = argv;
  while (rest.length > 0) {
    const [word = ''] = rest;
    if (word === '-h' || word === '--help') return { kind: 'exit', exitCode: 0, stdout: MPTSRV_HELP };
    if (word === '--version') return { kind: 'exit', exitCode: 0, stdout: `mptsrv (weft ${version})\n` };
    const taken = takeFolder(rest);
    if (taken === undefined) {
      return { kind: 'exit', exitCode: USAGE_ERROR, stderr: 'mptsrv: --conf needs the name of a folder\n' };
    }
    if (taken.isGiven) {
      ({ folder, rest } = taken);
      continue;
    }
    if (word === '-d') isDaemon = true;
    else if (word === '--verbose') isVerbose = true;
    else {
      const stderr = `mptsrv: "${word}" is not understood — "mptsrv --help" lists what there is\n`;
      return { kind: 'exit', exitCode: USAGE_ERROR, stderr };
    }
    rest = rest.slice(1);
  }
  return { kind: 'run', folder: folder ?? CONFIGURATION_FOLDER, isDaemon, isVerbose };
}
