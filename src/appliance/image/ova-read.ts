/**
 * Unpacks an OVA into a folder: a tar archive with the OVF envelope first, the .mf file with digests, and the files that
 * the envelope names. Everything in it is a stranger's word until its digest was compared.
 *
 * Invariants: nothing is written but plain names in the folder that is given, each once, within the bounds below; a
 * file counts only when the .mf has its digest and it is right.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { errorText, WeftError } from '../../base/index.ts';
import { brokenImage } from './image-folder.ts';
import { IMAGE_FILE_MAX_BYTES, isPlainName } from './manifest.ts';
import { MF_MAX_BYTES, OVA_FILES_MAX, OVF_MAX_BYTES, parseMf, parseOvf, type OvfEnvelope } from './ovf.ts';

/**
 * BOUNDED: what may come beside the files' own bytes, which is heads and what is read ahead. The tar reader keeps
 * extended heads in memory, however long they say they are.
 */
const BESIDE_MAX_BYTES = 16 << 20;
const CHUNK_BYTES = 1 << 20;
/** BOUNDED: all files together. */
const TOTAL_MAX_BYTES = 8 * 1024 ** 3;

interface ReadFile {
  readonly name: string;
  readonly sha256: string;
  readonly sha512: string;
}

class OvaReader {
  readonly #path: string;
  readonly #folder: string;
  readonly #files = new Map<string, ReadFile>();
  #total = 0;
  #ovf: { readonly text: string; readonly name: string } | undefined;
  #mf: string | undefined;

  constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  fail(why: string): WeftError {
    return brokenImage(this.#path, why);
  }

  async take(name: string, type: string, bytes: number, content: Readable): Promise<void> {
    if (type !== 'file') throw this.fail(`"${name}" in it is a ${type}, not a file`);
    if (!isPlainName(name)) throw this.fail(`${JSON.stringify(name)} in it is no plain name`);
    if (this.#files.has(name)) throw this.fail(`"${name}" is in it twice`);
    if (this.#files.size >= OVA_FILES_MAX) throw this.fail(`it has more than ${OVA_FILES_MAX} files`);
    this.#total += bytes;
    const isFirst = this.#files.size === 0;
    const isOvf = name.endsWith('.ovf');
    if (isFirst !== isOvf) throw this.fail('its first file, and only that, must be the .ovf');
    const isMf = name.endsWith('.mf');
    const largest = isOvf ? OVF_MAX_BYTES : isMf ? MF_MAX_BYTES : IMAGE_FILE_MAX_BYTES;
    if (bytes > largest || this.#total > TOTAL_MAX_BYTES) throw this.fail(`"${name}" in it is too large`);
    const hashes: [Hash, Hash] = [createHash('sha256'), createHash('sha512')];
    const chunks: Uint8Array[] = [];
    const keep = isOvf || isMf;
    const reading = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        for (const hash of hashes) hash.update(chunk);
        if (keep) chunks.push(chunk);
        done(null, chunk);
      },
    });
    await pipeline(
      content,
      reading,
      createWriteStream(join(this.#folder, name), { flags: 'wx', mode: 0o644 }),
    );
    const [sha256, sha512] = hashes.map((hash) => hash.digest('hex')) as [string, string];
    this.#files.set(name, { name, sha256, sha512 });
    const text = Buffer.concat(chunks).toString('utf8');
    if (isOvf) this.#ovf = { text, name };
    if (isMf) {
      if (this.#mf !== undefined) throw this.fail('it has two .mf files');
      this.#mf = text;
    }
  }

  /** The envelope, when everything that it names is there and right. */
  conclude(): OvfEnvelope {
    if (this.#ovf === undefined) throw this.fail('it is no OVA: there is no .ovf in it');
    const envelope = parseOvf(this.#ovf.text);
    if (typeof envelope === 'string') throw this.fail(`"${this.#ovf.name}": ${envelope}`);
    if (this.#mf === undefined) throw this.fail('it has no .mf file, so nothing says whether it is whole');
    const digests = parseMf(this.#mf);
    if (typeof digests === 'string') throw this.fail(`its .mf file: ${digests}`);
    for (const name of [this.#ovf.name, ...envelope.files.map((file) => file.name)]) {
      const file = this.#files.get(name);
      const digest = digests.get(name);
      if (file === undefined) throw this.fail(`"${name}", which its .ovf names, is missing`);
      if (digest === undefined) throw this.fail(`its .mf file has no digest of "${name}"`);
      if (file[digest.algorithm] !== digest.value) {
        throw this.fail(`the ${digest.algorithm.toUpperCase()} of "${name}" is not that of its .mf file`);
      }
    }
    return envelope;
  }
}

/**
 * @param folder empty; whoever made it removes it, with what a failure leaves in it
 * @returns the envelope; the files that it names are in the folder, and are what the .mf says
 * @throws WeftError BROKEN_IMAGE; the errors of the file system
 */
export async function unpackOva(path: string, folder: string): Promise<OvfEnvelope> {
  const reader = new OvaReader(path, folder);
  const archive = extract();
  let allowed = BESIDE_MAX_BYTES;
  const counting = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      allowed -= chunk.length;
      done(allowed < 0 ? reader.fail('there is too much in it beside its files') : null, chunk);
    },
  });
  const fed = pipeline(createReadStream(path, { highWaterMark: CHUNK_BYTES }), counting, archive);
  // Told by the reading of the entries.
  fed.catch(() => {});
  try {
    for await (const entry of archive) {
      const { name, size = 0, type } = entry.header;
      allowed += size;
      await reader.take(name, type ?? 'file', size, entry);
    }
  } catch (error) {
    if (error instanceof WeftError) throw error;
    if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw reader.fail(`it is no whole tar archive: ${errorText(error)}`);
  } finally {
    // An archive that is refused is not read on.
    archive.destroy();
    await fed.catch(() => {});
  }
  return reader.conclude();
}
