/**
 * A configuration file is believed only when nobody but root and the program's own user can change it. What is
 * checked is what is read: the file is opened once, and the descriptor is asked. (Plugins: plugin-host/plugin-files.)
 * What a command line names (named-file.ts) may belong to who typed it: to the user of sudo.
 *
 * Messages that mptcpd has too have its wording. Folders above are not checked, as in mptcpd.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { WeftError } from '../../base/index.ts';

const WORLD_WRITABLE = 0o002;
const ROOT = 0;

/** BOUNDED: a configuration takes some kilobytes. */
export const CONFIG_MAX_BYTES = 1 << 20;

const untrusted = (message: string, hint?: string): WeftError =>
  new WeftError(message, { code: 'UNTRUSTED', ...(hint === undefined ? {} : { hint }) });

/** Who has called this program by sudo(8), which sets the variable and lets nobody else set it for root. */
function sudoUser(): number | undefined {
  const text = process.env['SUDO_UID'] ?? '';
  return process.getuid?.() === ROOT && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function checkOwner(path: string, stat: Stats, { program = 'mptcpd', typed = false }: TrustedBy): void {
  const uid = process.getuid?.() ?? ROOT;
  if (stat.uid === ROOT || stat.uid === uid || (typed && stat.uid === sudoUser())) return;
  const owner = uid === ROOT ? 'root' : `root or the user that ${program} runs as (${uid})`;
  throw untrusted(`"${path}" should belong to ${owner}, not to user ${stat.uid}.`);
}

function readWhole(fd: number, path: string): string {
  const bytes = Buffer.allocUnsafe(CONFIG_MAX_BYTES + 1);
  let length = 0;
  while (length < bytes.length) {
    const count = readSync(fd, bytes, length, bytes.length - length, null);
    if (count === 0) return bytes.toString('utf8', 0, length);
    length += count;
  }
  throw untrusted(`"${path}" is larger than ${CONFIG_MAX_BYTES} bytes, so it is no configuration file.`);
}

export interface TrustedFile {
  readonly text: string;
  /** Permission bits of its own; of the file that was read. */
  readonly mode: number;
}

export interface TrustedBy {
  /** As the message names it. Default: mptcpd. */
  readonly program?: string;
  /** Its name was given on the command line, or in a file that was: the user of sudo is trusted too. */
  readonly typed?: boolean;
}

/**
 * A file that can be trusted; `undefined` when there is none.
 * @throws WeftError `UNTRUSTED`; the errors of open(2) and read(2) but ENOENT
 */
export function readTrusted(path: string, by: TrustedBy = {}): TrustedFile | undefined {
  let fd: number;
  try {
    // A pipe in its place must not be waited for.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || (stat.mode & WORLD_WRITABLE) !== 0) {
      throw untrusted(`"${path}" should be a file that is not world writable.`);
    }
    checkOwner(path, stat, by);
    return { text: readWhole(fd, path), mode: stat.mode & 0o7777 };
  } finally {
    closeSync(fd);
  }
}

/** The text alone. */
export function readTrustedFile(path: string, program?: string): string | undefined {
  return readTrusted(path, program === undefined ? {} : { program })?.text;
}
