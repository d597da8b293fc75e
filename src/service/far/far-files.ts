/**
 * What the far end is told in files: its tokens, its certificate, the authority of its clients. Tokens are made when
 * there are none; nothing that is there is ever overwritten.
 */
import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { systemReason, WeftError } from '../../base/index.ts';
import { makeToken, parseTokenFile, type FarAccess, type NamedToken } from '../../proxy/index.ts';
import { readNamedFile } from '../named-file.ts';

export interface FarFiles {
  /** Absent: the usual place, unless certificates of clients prove who they are. */
  readonly tokenFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly clientCaFile?: string;
}

/** Where the tokens are unless told otherwise. Pure. */
export function usualTokenFile(
  uid: number,
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): string {
  if (uid === 0) return '/etc/weft/serve.token';
  const own = env['XDG_CONFIG_HOME'];
  return join(own !== undefined && isAbsolute(own) ? own : join(home, '.config'), 'weft', 'serve.token');
}

/** The file that these settings take tokens from; `undefined`: from none. */
export function tokenFileOf({ tokenFile, clientCaFile }: FarFiles): string | undefined {
  if (tokenFile !== undefined || clientCaFile !== undefined) return tokenFile;
  return usualTokenFile(process.getuid?.() ?? 0, process.env, homedir());
}

/**
 * Makes the file with one new token, mode 0600, when there is none.
 * @returns the token, when it was made
 * @throws WeftError that names the file
 */
export function ensureTokenFile(
  path: string,
  hint = 'name another one with --token-file',
): string | undefined {
  const token = makeToken();
  const temporary = `${path}.${process.pid}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, `${token}\n`, { flag: 'wx', mode: 0o600 });
    try {
      // Unlike rename, this never takes the place of a file that is there.
      linkSync(temporary, path);
      return token;
    } finally {
      rmSync(temporary, { force: true });
    }
  } catch (error) {
    const { code = 'WRITE' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return undefined;
    throw new WeftError(`make the token file "${path}": ${systemReason(error)}`, {
      code,
      cause: error,
      hint,
    });
  }
}

function readTokens(path: string): readonly NamedToken[] {
  const tokens = parseTokenFile(readNamedFile(path, 'the token file', true).text);
  if (typeof tokens !== 'string') return tokens;
  throw new WeftError(`"${path}": ${tokens}`, {
    code: 'BAD_TOKEN_FILE',
    hint: 'remove it, and "weft serve" makes a new one at its next start',
  });
}

/** @throws WeftError that names the file or the option */
export function readFarAccess(files: FarFiles): FarAccess {
  const { certFile, keyFile, clientCaFile } = files;
  const tokenFile = tokenFileOf(files);
  const tokens = tokenFile === undefined ? [] : readTokens(tokenFile);
  if (
    (certFile === undefined) !== (keyFile === undefined) ||
    (certFile === undefined && clientCaFile !== undefined)
  ) {
    throw new WeftError('a certificate needs its key, and certificates of clients need one of the far end', {
      code: 'BAD_OPTIONS',
      hint: 'give --tls-cert and --tls-key together',
    });
  }
  if (certFile === undefined || keyFile === undefined) return { tokens };
  return {
    tokens,
    certificate: {
      cert: readNamedFile(certFile, 'the certificate', false).text,
      key: readNamedFile(keyFile, 'the key', true).text,
      ...(clientCaFile === undefined
        ? {}
        : { clientCa: readNamedFile(clientCaFile, "the clients' authority", false).text }),
    },
  };
}
