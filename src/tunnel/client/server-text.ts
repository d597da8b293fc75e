/**
 * Sentences that the server answers or prints (pure), word for word as recorded or described of the original. What
 * stands before an answer (`CMD_OK:`, `CMD-ERROR:`) is control/local-protocol's; a command that went well is answered
 * by its own text.
 */
import { finalIncrement } from '../paths/sending-vector.ts';

const NOT_FOUND = {
  reload: 'Reload unsuccessful. Config file not found in the connection: ',
  restart: 'Restart unsuccessful. Config file not found in the connection: ',
  delete: 'Delete unsuccessful. Config file not found: ',
  save: 'Save unsuccessful. Config file not found in connection: ',
  create: 'create ',
} as const;

/** The answer to a command whose file no connection has. */
export const fileNotFound = (command: keyof typeof NOT_FOUND, file: string): string =>
  NOT_FOUND[command] + file;

const ALREADY_EXISTS = 5;

/** The peer did not make the connection: 5 it has it already, else a code of the control protocol. */
export function createFailed(code: number): string {
  return code === ALREADY_EXISTS
    ? `ERROR: Connection already exists (error code:${code})\n`
    : `Connection creation failed (code: ${code}; Remote server problem?)`;
}

/** What `mptsrv` prints before the tunnel's block. */
export const START_LINES: readonly string[] = [
  'Initializing...',
  'Initialization is done.',
  'Loading Tunnel interface configuration file...',
  'Tunnels are configured.',
  'Interface configuration loaded.',
  'Loading connection configurations...',
  'Connection configuration is loaded.',
  '',
  'Starting MPT Tunnel & Service',
  '',
];

/** Printed for each connection when it starts. */
export function formatSendingVector(vector: Uint8Array, weights: readonly number[]): string {
  const indices = [...vector].map((index) => `${index}, `).join('');
  return (
    `PathSelection indices: ${indices}\n` +
    `Pathselection list length: ${vector.length}, Final increment:${finalIncrement(weights)}\n`
  );
}

/** Printed when the peer changed a path's status. */
export function formatPathChanged(status: number, localAddress: string, remoteAddress: string): string {
  const code = status.toString(16).padStart(2, '0');
  return `Path status changed to 0x${code} (${localAddress} -> ${remoteAddress}) `;
}

export const formatAllPathsDown = (name: string): string => `All path down for connection ${name} `;

/** A fatal error on standard error; the number is the exit code. */
export const formatFatal = (where: string, text: string, errno: number): string =>
  `${where}: ${text} Errno: ${errno}`;

/** Exit codes of `mptsrv`. */
export const SERVER_EXIT = { configuration: 3, tunnelNumber: 4, notRoot: 77, portInUse: 98 } as const;
