/**
 * What `mptsrv` prints around the engine's own texts, and how it ends (pure). Words of the original where they are
 * recorded; the menu is ours.
 */
import { WeftError } from '../../base/index.ts';
import {
  formatConfigIssue,
  formatFatal,
  INTERFACE_FILE,
  SERVER_EXIT,
  START_LINES,
} from '../../tunnel/index.ts';
import type { ConfigIssue } from '../../tunnel/index.ts';

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

/** START_LINES in the three parts between which something is done. */
const BEFORE_READING = 3;
const BEFORE_START = 7;

/** Before the configuration is read. */
export const INTRODUCTION = lines(START_LINES.slice(0, BEFORE_READING));
/** After it was read. */
export const CONFIGURATION_READ = lines(START_LINES.slice(BEFORE_READING, BEFORE_START));
/** Before the tunnel is made. */
export const STARTING = lines(START_LINES.slice(BEFORE_START));

export const MENU = '\nmptsrv: q quit, p print, r reload\n';

/** The tunnel's part of a report, and the connections' part; between them stands what starting them prints. */
export function splitReport(report: string): readonly [string, string] {
  const at = report.indexOf('\nNumber of connections:');
  return at < 0 ? [report, ''] : [report.slice(0, at), report.slice(at)];
}

export interface Failure {
  readonly exitCode: number;
  /** For standard error. */
  readonly text: string;
}

/** A configuration with errors. @param path of interface.conf as the user knows it; `isMissing`: it is not there */
export function configurationFailure(
  errors: readonly ConfigIssue[],
  path: string,
  isMissing: boolean,
): Failure {
  const told = lines(errors.map((issue) => `mptsrv: ${formatConfigIssue(issue)}`));
  if (isMissing) {
    const fatal = formatFatal(
      'interface_load',
      `\nFile read open error: ${path}\n`,
      SERVER_EXIT.configuration,
    );
    return { exitCode: SERVER_EXIT.configuration, text: `${told}${fatal}\n` };
  }
  const hasNoTunnel = errors.some(
    ({ file, text }) => file === INTERFACE_FILE && text.startsWith('tunnel_num'),
  );
  if (hasNoTunnel) {
    const fatal = formatFatal('interface_load', 'Tunnel number is too small.', SERVER_EXIT.tunnelNumber);
    return { exitCode: SERVER_EXIT.tunnelNumber, text: `${told}${fatal}\n` };
  }
  const count = errors.length === 1 ? '1 error' : `${errors.length} errors`;
  const fatal = formatFatal(
    'mptsrv',
    `${count} in the configuration, nothing was started.`,
    SERVER_EXIT.configuration,
  );
  return { exitCode: SERVER_EXIT.configuration, text: `${told}${fatal}\n` };
}

const NOT_PERMITTED = new Set(['EPERM', 'EACCES']);
const PORT_IN_USE = new Set(['EADDRINUSE', 'TUNNEL_PORT_IN_USE']);
const GENERAL_ERROR = 1;

/** The tunnel could not be started. */
export function startFailure(error: WeftError): Failure {
  const told = `mptsrv: ${error.message}\n`;
  if (NOT_PERMITTED.has(error.code)) {
    const fatal = formatFatal('tunnel_start', 'Tunnel interface IOCTL error.', SERVER_EXIT.notRoot);
    return { exitCode: SERVER_EXIT.notRoot, text: `${told}${fatal}\n` };
  }
  if (PORT_IN_USE.has(error.code)) {
    const fatal = formatFatal('socket_create', 'Socket bind error.', SERVER_EXIT.portInUse);
    return { exitCode: SERVER_EXIT.portInUse, text: `${told}${fatal}\n` };
  }
  return { exitCode: GENERAL_ERROR, text: told };
}
