/**
 * What an image is, as manifest.json beside its files (pure): versions, and size and SHA-256 of each file. The digest of
 * an image is that of this text, so the same files make the same digest.
 *
 * Invariant: parsed manifests name files by plain names in the manifest's own folder, and nothing else.
 */
import { createHash } from 'node:crypto';

export const MANIFEST_FILE = 'manifest.json';
export const MANIFEST_FORMAT = 1;
/** BOUNDED: a manifest has some hundred bytes. */
export const MANIFEST_MAX_BYTES = 64 * 1024;
/** BOUNDED: of one file of an image. */
export const IMAGE_FILE_MAX_BYTES = 4 * 1024 ** 3;

export interface ImageFile {
  /** In the image's folder; no path. */
  readonly name: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface ImageManifest {
  readonly format: typeof MANIFEST_FORMAT;
  /** Of the Weft that built it; `unknown` for a foreign disk. */
  readonly version: string;
  /** As Node says: `x64`, `arm64`. */
  readonly architecture: string;
  /** Boots from kernel and initramfs, or from a disk (qcow2). */
  readonly kind: 'kernel' | 'disk';
  /** Release of the kernel, `6.1.0-56-cloud-amd64`; absent when unknown. */
  readonly kernelRelease?: string;
  /** Version of Node inside; absent when unknown. */
  readonly node?: string;
  /** What the guest needs at least. */
  readonly memoryMiB: number;
  /** For kind `kernel`. */
  readonly kernel?: ImageFile;
  readonly initramfs?: ImageFile;
  /** For kind `disk`. */
  readonly disk?: ImageFile;
}

export function filesOf({ disk, initramfs, kernel }: ImageManifest): ImageFile[] {
  return [kernel, initramfs, disk].filter((file) => file !== undefined);
}

const plain = (file: ImageFile | undefined): ImageFile | undefined =>
  file === undefined ? undefined : { name: file.name, bytes: file.bytes, sha256: file.sha256 };

/** The text of the file: fields in a fixed order. */
export function formatManifest(manifest: ImageManifest): string {
  const { architecture, disk, format, initramfs, kernel, kernelRelease, kind, memoryMiB, node, version } =
    manifest;
  const ordered = {
    format,
    version,
    architecture,
    kind,
    kernelRelease,
    node,
    memoryMiB,
    kernel: plain(kernel),
    initramfs: plain(initramfs),
    disk: plain(disk),
  };
  return `${JSON.stringify(ordered, undefined, 2)}\n`;
}

/** SHA-256 of the manifest's text, hexadecimal. */
export function imageDigest(manifest: ImageManifest): string {
  return createHash('sha256').update(formatManifest(manifest)).digest('hex');
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Letters, digits, `.`, `_` and `-`, not beginning with a dot. */
export const isPlainName = (name: unknown): name is string =>
  typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name);

function fileProblem(value: unknown, what: string): string | undefined {
  if (!isRecord(value)) return `${what} is missing`;
  const { bytes, name, sha256 } = value;
  if (!isPlainName(name)) return `${what} has no plain file name: ${JSON.stringify(name)}`;
  if (!Number.isSafeInteger(bytes) || (bytes as number) <= 0 || (bytes as number) > IMAGE_FILE_MAX_BYTES) {
    return `${what} has no size that an image has: ${JSON.stringify(bytes)}`;
  }
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return `${what} has no SHA-256`;
  return undefined;
}

const isShortText = (value: unknown) => typeof value === 'string' && value.length > 0 && value.length <= 200;

function valueProblem(value: Record<string, unknown>): string | undefined {
  if (value['format'] !== MANIFEST_FORMAT) {
    return `its format is ${JSON.stringify(value['format'])}, and this Weft knows ${MANIFEST_FORMAT}`;
  }
  if (!isShortText(value['version'])) return 'it has no version';
  if (!isShortText(value['architecture'])) return 'it has no architecture';
  for (const name of ['kernelRelease', 'node']) {
    if (value[name] !== undefined && !isShortText(value[name])) return `its ${name} is no text`;
  }
  const { memoryMiB } = value;
  if (!Number.isInteger(memoryMiB) || (memoryMiB as number) < 64 || (memoryMiB as number) > 65_536) {
    return 'its memoryMiB is no size of a memory';
  }
  switch (value['kind']) {
    case 'kernel':
      return fileProblem(value['kernel'], 'its kernel') ?? fileProblem(value['initramfs'], 'its initramfs');
    case 'disk':
      return fileProblem(value['disk'], 'its disk');
    default:
      return `its kind is ${JSON.stringify(value['kind'])}, and this Weft knows kernel and disk`;
  }
}

/** The manifest, or why the text is none. */
export function parseManifest(text: string): ImageManifest | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it is no JSON';
  }
  if (!isRecord(value)) return 'it is no JSON object';
  const problem = valueProblem(value);
  if (problem !== undefined) return problem;
  const manifest = value as unknown as ImageManifest;
  const names = filesOf(manifest).map(({ name }) => name);
  if (new Set(names).size !== names.length || names.includes(MANIFEST_FILE)) {
    return 'two of its files have one name';
  }
  return manifest;
}
