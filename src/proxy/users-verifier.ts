/**
 * What a rules file keeps instead of a password: salt and scrypt digest, in the form of the PHC string format.
 *
 *   $scrypt$ln=14,r=8,p=1$SALT$DIGEST     ln: log2 of N; salt and digest in base64 without padding
 *
 * Invariant: a verifier cannot be told from another of the same password, and costs at most MAX_MEMORY_BYTES to check.
 * References: RFC 7914; github.com/P-H-C/phc-string-format.
 */
import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';

export interface Verifier {
  readonly logCost: number;
  readonly blockSize: number;
  readonly parallel: number;
  readonly salt: Buffer;
  readonly digest: Buffer;
}

/** As OWASP's cheat sheet has it for interactive use with p = 1 and little memory; about 40 ms. */
const DEFAULT_COST = { logCost: 14, blockSize: 8, parallel: 1 } as const;
const SALT_BYTES = 16;
const DIGEST_BYTES = 32;
const MAX_MEMORY_BYTES = 64 * 1024 * 1024;

const FORM =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** The verifier, or why the text is none; the text itself is not repeated. */
export function parseVerifier(text: string): Verifier | { readonly reason: string } {
  const match = FORM.exec(text);
  if (match === null) {
    return { reason: 'not of the form $scrypt$ln=…,r=…,p=…$SALT$DIGEST, which "weft hash-password" prints' };
  }
  const [logCost, blockSize, parallel] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (logCost < 10 || logCost > 20) return { reason: `ln=${logCost} is not between 10 and 20` };
  if (blockSize < 1 || parallel < 1 || parallel > 4)
    return { reason: 'r is below 1, or p not between 1 and 4' };
  if (memoryBytes(logCost, blockSize) > MAX_MEMORY_BYTES) {
    return { reason: `ln=${logCost},r=${blockSize} takes more than ${MAX_MEMORY_BYTES >> 20} MiB to check` };
  }
  return {
    logCost,
    blockSize,
    parallel,
    salt: Buffer.from(match[4]!, 'base64'),
    digest: Buffer.from(match[5]!, 'base64'),
  };
}

export function formatVerifier({ logCost, blockSize, parallel, salt, digest }: Verifier): string {
  return `$scrypt$ln=${logCost},r=${blockSize},p=${parallel}$${bare(salt)}$${bare(digest)}`;
}

/** A new verifier of a password, as text for the rules file. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const made = { ...DEFAULT_COST, salt, digest: Buffer.alloc(DIGEST_BYTES) };
  return formatVerifier({ ...made, digest: await derive(made, password) });
}

/** Takes the same time whether it is right or wrong, in one of libuv's threads. */
export async function isPassword(verifier: Verifier, password: string): Promise<boolean> {
  return timingSafeEqual(await derive(verifier, password), verifier.digest);
}

const bare = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');

const memoryBytes = (logCost: number, blockSize: number) => 128 * 2 ** logCost * blockSize;

function derive(verifier: Verifier, password: string): Promise<Buffer> {
  const { logCost, blockSize, parallel, salt, digest } = verifier;
  const options: ScryptOptions = {
    N: 2 ** logCost,
    r: blockSize,
    p: parallel,
    // Node wants room for the rest of the work too.
    maxmem: memoryBytes(logCost, blockSize) + 1024 * 1024,
  };
  return new Promise((resolve, reject) => {
    // The same password may be typed in two ways; RFC 7613 says NFC.
    scrypt(password.normalize('NFC'), salt, digest.length, options, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    });
  });
}
