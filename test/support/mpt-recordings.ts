/**
 * Packets recorded from the original MPT programs, test/data/mpt/NAME.hex: one datagram a line, as microseconds
 * since the first, source, destination and UDP payload in hex.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RecordedDatagram {
  readonly atUs: number;
  /** `ADDRESS:PORT`, IPv6 addresses in brackets. */
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
}

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'data', 'mpt');

export const RECORDINGS: readonly string[] = readdirSync(folder)
  .filter((name) => name.endsWith('.hex'))
  .map((name) => name.slice(0, -'.hex'.length))
  .sort();

export function readRecording(name: string): RecordedDatagram[] {
  return readFileSync(join(folder, `${name}.hex`), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [at, from, to, hex] = line.split(' ');
      return { atUs: Number(at), from: from!, to: to!, payload: new Uint8Array(Buffer.from(hex!, 'hex')) };
    });
}
