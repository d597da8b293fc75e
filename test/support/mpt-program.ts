/**
 * The built `mpt` and `mptsrv` as users start them.
 *
 * WEFT_BIN names another folder of programs to test instead of dist/bin.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const bin = process.env['WEFT_BIN'] ?? join(root, 'dist', 'bin');

export const mptCommand = (...args: string[]): string[] => [process.execPath, join(bin, 'mpt.js'), ...args];

export const mptsrvCommand = (...args: string[]): string[] => [
  process.execPath,
  join(bin, 'mptsrv.js'),
  ...args,
];
