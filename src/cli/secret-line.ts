/**
 * One line that nobody should see: from the terminal without showing it, or from standard input when that is no
 * terminal.
 */
import { writeSync } from 'node:fs';
import { WeftError } from '../base/index.ts';

/** BOUNDED: no secret is longer. */
const MAX_BYTES = 4096;
const STDERR = 2;
const ENTER: ReadonlySet<string> = new Set(['\r', '\n', '\u0004']);
const BACKSPACE: ReadonlySet<string> = new Set(['\b', '\u007f']);
const INTERRUPT = '\u0003';
const INTERRUPTED_EXIT = 130;

/** @throws WeftError `NO_INPUT` */
export async function readSecretLine(prompt: string): Promise<string> {
  const { stdin } = process;
  if (!stdin.isTTY) return await readPiped();
  writeSync(STDERR, prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  try {
    let line: string[] = [];
    for await (const text of stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
      for (const letter of text) {
        if (letter === INTERRUPT) process.exit(INTERRUPTED_EXIT);
        if (ENTER.has(letter)) return line.join('');
        if (BACKSPACE.has(letter)) line = line.slice(0, -1);
        else if (line.length < MAX_BYTES) line.push(letter);
      }
    }
    throw noInput();
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    writeSync(STDERR, '\n');
  }
}

async function readPiped(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.includes('\n')) break;
    if (text.length > MAX_BYTES) throw new WeftError('the line is too long', { code: 'NO_INPUT' });
  }
  const line = text.split(/\r?\n/, 1)[0] ?? '';
  if (line === '') throw noInput();
  return line;
}

const noInput = () => new WeftError('nothing came on standard input', { code: 'NO_INPUT' });
