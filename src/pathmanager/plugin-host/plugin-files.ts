/**
 * Which files of the plugin folder are plugins, and whether the folder may be trusted: whoever can write there can
 * run programs as the daemon. Like mptcpd, a folder that others may write to is refused; beyond it, one that
 * belongs to somebody else than root or this user, and the same for each file.
 */
import { readdirSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { StartError } from '../start-error.ts';

/** In this order when a name is asked for. */
const SUFFIXES = ['.mjs', '.js', '.mts', '.ts'] as const;

const NOT_LOADED = 'Unable to load path manager plugins.';
const OTHERS_WRITE = 0o002;

export interface PluginFile {
  readonly name: string;
  readonly path: string;
}

export interface PluginFolder {
  readonly files: readonly PluginFile[];
  /** Files that are left out, and why. */
  readonly refused: readonly { readonly path: string; readonly why: string }[];
}

function suffixOf(file: string): string | undefined {
  if (file.endsWith('.d.ts') || file.endsWith('.d.mts')) return undefined;
  return SUFFIXES.find((suffix) => file.endsWith(suffix) && file.length > suffix.length);
}

const isTrusted = (uid: number) => uid === 0 || uid === process.geteuid?.();

function errnoLine(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'No such file or directory';
  if (code === 'EACCES') return 'Permission denied';
  if (code === 'ENOTDIR') return 'Not a directory';
  return message;
}

/** @throws StartError PLUGIN_FOLDER, with mptcpd's lines */
function checkFolder(folder: string): void {
  let stats: Stats;
  try {
    stats = statSync(folder);
  } catch (error) {
    const line = `Unable to open plugin directory: ${errnoLine(error)}`;
    throw new StartError('PLUGIN_FOLDER', [line, NOT_LOADED], error);
  }
  if (!stats.isDirectory()) {
    throw new StartError('PLUGIN_FOLDER', ['Unable to open plugin directory: Not a directory', NOT_LOADED]);
  }
  if ((stats.mode & OTHERS_WRITE) !== 0) {
    const line = `"${folder}" should be a directory that is not world writable.`;
    throw new StartError('PLUGIN_FOLDER', [line, NOT_LOADED]);
  }
  if (!isTrusted(stats.uid)) {
    const line = `"${folder}" should be a directory that is owned by root or the user that mptcpd runs as.`;
    throw new StartError('PLUGIN_FOLDER', [line, NOT_LOADED]);
  }
}

function whyNot(path: string): string | undefined {
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch (error) {
    return errnoLine(error);
  }
  if (!stats.isFile()) return 'not a file';
  if ((stats.mode & OTHERS_WRITE) !== 0) return 'world writable';
  return isTrusted(stats.uid) ? undefined : 'owned by another user than root or the one that mptcpd runs as';
}

/**
 * Every plugin of the folder, in the order of their file names, one for each name.
 * @throws StartError PLUGIN_FOLDER
 */
export function listPluginFiles(folder: string): PluginFolder {
  checkFolder(folder);
  let entries: string[];
  try {
    entries = readdirSync(folder).sort();
  } catch (error) {
    const line = `Unable to open plugin directory: ${errnoLine(error)}`;
    throw new StartError('PLUGIN_FOLDER', [line, NOT_LOADED], error);
  }
  const files: PluginFile[] = [];
  const refused: { path: string; why: string }[] = [];
  const seen = new Set<string>();
  for (const suffix of SUFFIXES) {
    for (const entry of entries) {
      if (suffixOf(entry) !== suffix) continue;
      const name = entry.slice(0, -suffix.length);
      const path = join(folder, entry);
      const why = seen.has(name) ? 'another file of this name comes before it' : whyNot(path);
      if (why !== undefined) {
        refused.push({ path, why });
        continue;
      }
      seen.add(name);
      files.push({ name, path });
    }
  }
  return { files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), refused };
}
