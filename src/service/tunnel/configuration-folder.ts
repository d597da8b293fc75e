/**
 * The folder `conf` of a tunnel on disk: read as a whole or file by file, connections saved and put aside. What the
 * texts mean is the tunnel layer's (tunnel/config); this file only moves them.
 *
 * Invariants: a file is replaced as a whole or not at all; nothing is overwritten by putting a file aside; only files
 * of `connections` whose names end in `.conf` are ever written; what somebody else could have written is not read.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { errorText, WeftError } from '../../base/index.ts';
import { removeFile } from '../../native/index.ts';
import {
  CONNECTION_SUFFIX,
  CONNECTIONS_FOLDER,
  INTERFACE_FILE,
  parseInterfaceConfig,
  readConnectionFile,
  readTunnelFolder,
  TEMPLATE_FILE,
  type ConfigIssue,
  type ConnectionFileReading,
  type TunnelFiles,
  type TunnelReading,
} from '../../tunnel/index.ts';
import { readTrustedFile } from '../daemon/trusted-file.ts';

/** BOUNDED: as many as a server may serve; more are a mistake. */
const FILES_MAX = 1024;
/** With a number at its end when the name is taken. */
const ASIDE_SUFFIX = '.disabled';
const ASIDE_MAX = 1000;
const FILE_MODE = 0o600;
const WORLD_WRITABLE = 0o002;
const FILE_NAME = /^[^/\p{Cc}]{1,200}$/u;

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

const ioError = (what: string, error: unknown, hint?: string): WeftError =>
  new WeftError(`${what}: ${errorText(error)}`, {
    code: codeOf(error) ?? 'CONFIG_FILE',
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });

/** Makes what was written to a folder last over a loss of power. */
function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeNew(path: string, text: string): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, FILE_MODE);
  try {
    fchmodSync(fd, FILE_MODE);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export class ConfigurationFolder implements TunnelFiles {
  /** Absolute. */
  readonly path: string;
  readonly #program: string;

  /** @param program as messages name it, such as `mptsrv` */
  constructor(path: string, program: string) {
    this.path = resolve(path);
    this.#program = program;
  }

  get #connections(): string {
    return join(this.path, CONNECTIONS_FOLDER);
  }

  /** One text; what is wrong with the file goes to `issues`. `undefined`: not there, or wrong. */
  #readText(name: string, issues: ConfigIssue[]): string | undefined {
    try {
      return readTrustedFile(join(this.path, name), this.#program);
    } catch (error) {
      issues.push({ file: name, text: errorText(error) });
      return undefined;
    }
  }

  #connectionNames(issues: ConfigIssue[]): readonly string[] {
    let names: string[];
    try {
      names = readdirSync(this.#connections);
      const isOpenToAll = (statSync(this.#connections).mode & WORLD_WRITABLE) !== 0;
      if (isOpenToAll) issues.push({ file: CONNECTIONS_FOLDER, text: 'everybody may write to the folder' });
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') issues.push({ file: CONNECTIONS_FOLDER, text: errorText(error) });
      return [];
    }
    const wanted = names.filter((name) => name === TEMPLATE_FILE || name.endsWith(CONNECTION_SUFFIX));
    if (wanted.length <= FILES_MAX) return wanted;
    issues.push({ file: CONNECTIONS_FOLDER, text: `${wanted.length} files; at most ${FILES_MAX} are read` });
    return [];
  }

  /** Whether there is an `interface.conf` at all: the original names that case. */
  hasInterfaceFile(): boolean {
    return statSync(join(this.path, INTERFACE_FILE), { throwIfNoEntry: false }) !== undefined;
  }

  readFolder(): TunnelReading {
    const issues: ConfigIssue[] = [];
    const interfaceText = this.#readText(INTERFACE_FILE, issues);
    const files = new Map<string, string>();
    for (const name of this.#connectionNames(issues)) {
      const text = this.#readText(`${CONNECTIONS_FOLDER}/${name}`, issues);
      if (text !== undefined) files.set(name, text);
    }
    const reading = readTunnelFolder({ ...(interfaceText !== undefined && { interfaceText }), files });
    if (issues.length === 0) return reading;
    // What could not be read is told once, not again as missing.
    const untold = reading.errors.filter(
      ({ file, line }) => line !== undefined || !issues.some((i) => i.file === file),
    );
    return { errors: [...issues, ...untold], warnings: reading.warnings };
  }

  readConnection(file: string): ConnectionFileReading {
    const name = `${CONNECTIONS_FOLDER}/${file}`;
    if (!isConnectionFileName(file)) {
      return {
        errors: [{ file: name, text: `the name of a connection's file ends in "${CONNECTION_SUFFIX}"` }],
        warnings: [],
      };
    }
    const issues: ConfigIssue[] = [];
    const interfaceText = this.#readText(INTERFACE_FILE, issues);
    const text = this.#readText(name, issues);
    if (interfaceText === undefined && issues.length === 0)
      issues.push({ file: INTERFACE_FILE, text: 'the file is missing' });
    if (text === undefined && issues.length === 0) issues.push({ file: name, text: 'the file is missing' });
    if (interfaceText === undefined || text === undefined) return { errors: issues, warnings: [] };
    const link = parseInterfaceConfig(interfaceText);
    if (link.config === undefined) return { errors: link.errors, warnings: [] };
    return readConnectionFile(file, text, link.config);
  }

  #checkName(file: string): void {
    if (isConnectionFileName(file)) return;
    throw new WeftError(`"${file}" cannot be the name of a connection's file`, {
      code: 'BAD_FILE_NAME',
      hint: `it has no "/" and ends in "${CONNECTION_SUFFIX}"`,
    });
  }

  save(file: string, text: string): void {
    this.#checkName(file);
    const path = join(this.#connections, file);
    // Its name does not end in .conf, so nobody takes half a file for a connection.
    const temporary = join(this.#connections, `.${file}.new`);
    try {
      removeFile(temporary);
      writeNew(temporary, text);
      renameSync(temporary, path);
      syncFolder(this.#connections);
    } catch (error) {
      try {
        removeFile(temporary);
      } catch {
        // Where nothing can be written, nothing can be removed either; the first error says why.
      }
      throw ioError(`save "${path}"`, error);
    }
  }

  disable(file: string): void {
    this.#checkName(file);
    const path = join(this.#connections, file);
    for (let number = 0; number <= ASIDE_MAX; number++) {
      const aside = `${path}${ASIDE_SUFFIX}${number === 0 ? '' : `.${number}`}`;
      try {
        // rename(2) would overwrite; link(2) refuses a name that is taken.
        linkSync(path, aside);
        unlinkSync(path);
        syncFolder(this.#connections);
        return;
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return;
        if (codeOf(error) === 'EEXIST') continue;
        throw ioError(`rename "${path}" to "${aside}"`, error);
      }
    }
    throw new WeftError(`"${path}" cannot be put aside: ${ASIDE_MAX} files of its name are`, {
      code: 'EEXIST',
      hint: `remove those that end in "${ASIDE_SUFFIX}" and a number`,
    });
  }
}

/** `office.conf`: a name in the folder, never a way out of it. */
export function isConnectionFileName(file: string): boolean {
  return FILE_NAME.test(file) && file.endsWith(CONNECTION_SUFFIX) && !file.startsWith('.');
}
