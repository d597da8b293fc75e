/**
 * A cpio archive of the kind that Linux unpacks as its first file system (pure). Nothing of the machine that wrote it
 * is in it: owner 0, one time stamp, numbers by position, names sorted; so the same entries give the same bytes.
 *
 *   offset  size  field, eight hexadecimal digits each but the first ("newc", cpio(5))
 *   0       6     "070701"
 *   6       8     inode            14  mode             22  uid          30  gid
 *   38      8     links            46  mtime            54  file size    62  device major
 *   70      8     device minor     78  rdev major       86  rdev minor   94  name size with its zero
 *   102     8     checksum, 0
 *   110           name, zero, padding to 4; then data, padding to 4
 */

export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** A file, a symbolic link or a folder; folders above a path come by themselves. */
export type CpioEntry =
  | {
      readonly kind: 'file';
      /** Absolute. */
      readonly path: string;
      readonly executable?: boolean;
      readonly data: Uint8Array;
    }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'folder'; readonly path: string };

/** 2000-01-01, because some tools take 0 for none. */
const MTIME_S = 946_684_800;
const TRAILER = 'TRAILER!!!';

const hex = (value: number) => value.toString(16).padStart(8, '0');
const padding = (length: number) => new Uint8Array((4 - (length % 4)) % 4);
const encode = (text: string) => new TextEncoder().encode(text);

function head(name: string, inode: number, mode: number, bytes: number): Uint8Array[] {
  const links = (mode & S_IFDIR) === S_IFDIR ? 2 : 1;
  const nameBytes = encode(name).length + 1;
  const fields = [inode, mode, 0, 0, links, MTIME_S, bytes, 0, 0, 0, 0, nameBytes, 0];
  const text = `070701${fields.map(hex).join('')}${name}\0`;
  const encoded = encode(text);
  return [encoded, padding(encoded.length)];
}

/** Every folder that is above one of the paths. */
function foldersOf(entries: readonly CpioEntry[]): Set<string> {
  const folders = new Set<string>();
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let end = parts.length - 1; end > 1; end--) folders.add(parts.slice(0, end).join('/'));
  }
  return folders;
}

/** @throws Error when two entries have one path, or a path is not absolute and plain */
export function emitCpio(entries: readonly CpioEntry[]): Uint8Array[] {
  const all = new Map<string, CpioEntry>();
  for (const path of foldersOf(entries)) all.set(path, { kind: 'folder', path });
  for (const entry of entries) {
    const { path } = entry;
    const plain =
      /^(\/[^/\0]+)+$/.test(path) && !path.split('/').some((part) => part === '.' || part === '..');
    if (!plain) throw new Error(`"${path}" is no absolute, plain path`);
    const known = all.get(path);
    if (known !== undefined && !(known.kind === 'folder' && entry.kind === 'folder')) {
      throw new Error(`"${path}" is in the image twice`);
    }
    all.set(path, entry);
  }
  const chunks: Uint8Array[] = [];
  let inode = 1;
  // By code units, whatever the language of the machine is.
  for (const path of [...all.keys()].sort()) {
    const entry = all.get(path)!;
    const name = path.slice(1);
    if (entry.kind === 'folder') {
      chunks.push(...head(name, inode++, S_IFDIR | 0o755, 0));
      continue;
    }
    const data = entry.kind === 'link' ? encode(entry.target) : entry.data;
    const mode =
      entry.kind === 'link' ? S_IFLNK | 0o777 : S_IFREG | (entry.executable === true ? 0o755 : 0o644);
    chunks.push(...head(name, inode++, mode, data.length), data, padding(data.length));
  }
  chunks.push(...head(TRAILER, 0, 0, 0));
  return chunks;
}
