/**
 * Files that the command line or the rules name, read whole. A file with a secret is believed only when nobody but its
 * owner and group may read it; who may write it is trusted-file.ts's.
 */
import { systemReason, WeftError } from '../base/index.ts';
import { readTrusted, type TrustedFile } from './daemon/trusted-file.ts';

const OTHERS_MAY = 0o007;

/** @throws WeftError that names the file; `secret`: also when others may read it */
export function readNamedFile(path: string, what: string, secret: boolean): TrustedFile {
  let file: TrustedFile | undefined;
  try {
    file = readTrusted(path, { program: 'Weft', typed: true });
  } catch (error) {
    throw error instanceof WeftError ? error : cannotRead(path, what, error);
  }
  if (file === undefined)
    throw cannotRead(path, what, Object.assign(new Error('no such file'), { code: 'ENOENT' }));
  if (secret) checkPrivate(path, file);
  return file;
}

function cannotRead(path: string, what: string, cause: unknown): WeftError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'READ';
  const why = code === 'ENOENT' ? 'there is no such file (ENOENT)' : systemReason(cause);
  return new WeftError(`read ${what} "${path}": ${why}`, { code, cause });
}

/** @throws WeftError `UNTRUSTED` when everybody may read the file */
export function checkPrivate(path: string, { mode }: TrustedFile): void {
  if ((mode & OTHERS_MAY) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  throw new WeftError(`"${path}" holds a secret, and its mode is ${octal}: everybody may read it`, {
    code: 'UNTRUSTED',
    hint: `take that right away: chmod o= "${path}"`,
  });
}
