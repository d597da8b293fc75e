/**
 * The token of the printed address: random for each start, or from a file that nobody but its owner may read, which is
 * made when it is not there. A token in a file stays the same, so that programs and other machines can know it.
 */
import { randomBytes } from 'node:crypto';
import { WeftError } from '../base/index.ts';
import { ensureTokenFile, readNamedFile } from '../service/index.ts';

const TOKEN_BYTES = 32;
/** Fewer could be guessed. */
export const TOKEN_MIN_LENGTH = 16;
const TOKEN_MAX_LENGTH = 512;
/** Rights of group and others. */
const NOT_THE_OWNERS = 0o077;

export const makeWebToken = (): string => randomBytes(TOKEN_BYTES).toString('base64url');

/**
 * The token in the text of a file: one line of characters that an address can have. Pure.
 * @returns what is wrong, in an object
 */
export function parseWebToken(text: string): string | { readonly problem: string } {
  const token = text.trim();
  if (token.length < TOKEN_MIN_LENGTH || token.length > TOKEN_MAX_LENGTH) {
    return {
      problem: `a token has ${TOKEN_MIN_LENGTH} to ${TOKEN_MAX_LENGTH} characters, and this has ${token.length}`,
    };
  }
  if (!/^[A-Za-z0-9._~-]+$/.test(token)) {
    return { problem: 'a token is one line of letters, digits and - . _ ~' };
  }
  return token;
}

export interface FileToken {
  readonly token: string;
  /** There was none. */
  readonly made: boolean;
}

/** @throws WeftError that names the file, and never what is in it */
export function readWebToken(path: string): FileToken {
  const made = ensureTokenFile(path, 'name another one with --web-token-file') !== undefined;
  const { mode, text } = readNamedFile(path, 'the token file', true);
  if ((mode & NOT_THE_OWNERS) !== 0) {
    throw new WeftError(`"${path}" holds a secret, and others than its owner have rights to it`, {
      code: 'UNTRUSTED',
      hint: `take them away: chmod 600 "${path}"`,
    });
  }
  const token = parseWebToken(text);
  if (typeof token === 'string') return { token, made };
  throw new WeftError(`"${path}": ${token.problem}`, {
    code: 'BAD_TOKEN_FILE',
    hint: 'remove it, and the next start makes a new one',
  });
}
