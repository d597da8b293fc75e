/** `weft hash-password`: makes what the rules file keeps of a user's password. */
import { Command } from 'commander';
import { WeftError } from '../../base/index.ts';
import { hashPassword } from '../../proxy/index.ts';
import { writeOutput } from '../command-result.ts';
import { readSecretLine } from '../secret-line.ts';

const MIN_LENGTH = 8;

async function printHash(): Promise<void> {
  const password = await readSecretLine('Password: ');
  if (password.length < MIN_LENGTH) {
    throw new WeftError(`the password has ${password.length} characters, and must have ${MIN_LENGTH}`, {
      code: 'SHORT_PASSWORD',
      hint: 'take a longer one',
    });
  }
  if (process.stdin.isTTY && (await readSecretLine('Once more: ')) !== password) {
    throw new WeftError('the two passwords differ', { code: 'PASSWORDS_DIFFER', hint: 'try again' });
  }
  writeOutput(`${await hashPassword(password)}\n`);
}

const HELP = `
Reads the password from the terminal, without showing it, or the first line of
standard input. The line that it prints belongs into the rules file:

  [user.ann]
  password = "$scrypt$ln=14,r=8,p=1$…"

Examples:
  weft hash-password
  pwgen 20 1 | tee /dev/stderr | weft hash-password
`;

export function hashPasswordCommand(): Command {
  return new Command('hash-password')
    .summary("make the rules file's form of a user's password")
    .description('Prints salt and scrypt digest of a password, for a user of the proxy in the rules file.')
    .addHelpText('after', HELP)
    .action(printHash);
}
