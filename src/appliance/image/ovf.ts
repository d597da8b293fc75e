/**
 * The text files of an OVA (pure): the OVF envelope, which names the files and says which is a disk, and the .mf file
 * with their digests. As much of them as an image needs; nothing else in an envelope is believed or obeyed.
 *
 * References: DSP0243 (OVF 1.1 and 2.0): 7.1 References, 9.1 DiskSection, 6.1 manifest file. XML without document
 * types, so that no entity expands.
 */
import { SaxesParser } from 'saxes';
import { isPlainName, type ImageFile } from './manifest.ts';

const ENVELOPE = 'http://schemas.dmtf.org/ovf/envelope/';
const OVF_1 = `${ENVELOPE}1`;
/** BOUNDED: what is read of each. */
export const OVF_MAX_BYTES = 1 << 20;
export const MF_MAX_BYTES = 64 * 1024;
/** BOUNDED: files that an OVA may have. */
export const OVA_FILES_MAX = 32;

export interface OvfFile {
  readonly id: string;
  readonly name: string;
}

export interface OvfEnvelope {
  readonly files: readonly OvfFile[];
  /** Names of the files that are disks, in order. */
  readonly disks: readonly string[];
  /** Of its product section. */
  readonly version?: string;
}

interface Found {
  files: OvfFile[];
  disks: string[];
  version: string | undefined;
  problem: string | undefined;
}

type OvfAttributes = Readonly<
  Record<string, { readonly uri: string; readonly local: string; readonly value: string }>
>;

function attribute(attributes: OvfAttributes, name: string): string | undefined {
  const found = Object.values(attributes).find(
    (item) => item.local === name && (item.uri === '' || item.uri.startsWith(ENVELOPE)),
  );
  return found?.value;
}

function readFile(attributes: OvfAttributes, found: Found): void {
  const name = attribute(attributes, 'href');
  const id = attribute(attributes, 'id') ?? '';
  if (!isPlainName(name)) {
    found.problem = `it names a file ${JSON.stringify(name)}, which is no plain name`;
  } else if (
    attribute(attributes, 'compression') !== undefined ||
    attribute(attributes, 'chunkSize') !== undefined
  ) {
    found.problem = `its file "${name}" is compressed or in pieces, which is not supported`;
  } else if (found.files.length >= OVA_FILES_MAX) {
    found.problem = `it names more than ${OVA_FILES_MAX} files`;
  } else if (found.files.some((file) => file.name === name || file.id === id)) {
    found.problem = `it names "${name}" twice`;
  } else {
    found.files.push({ id, name });
  }
}

function readDisk(attributes: OvfAttributes, found: Found): void {
  const id = attribute(attributes, 'fileRef');
  // A disk without a file is an empty one.
  if (id === undefined) return;
  const file = found.files.find((item) => item.id === id);
  if (file === undefined) found.problem = `a disk refers to a file "${id}" that is not there`;
  else if (attribute(attributes, 'parentRef') !== undefined) found.problem = 'a disk is based on another';
  else found.disks.push(file.name);
}

/** The envelope, or why the text is none. */
export function parseOvf(text: string): OvfEnvelope | string {
  const parser = new SaxesParser({ xmlns: true });
  const found: Found = { files: [], disks: [], version: undefined, problem: undefined };
  const path: string[] = [];
  parser.on('error', (error) => {
    found.problem ??= `it is no proper XML: ${error.message}`;
  });
  parser.on('doctype', () => {
    found.problem ??= 'it has a document type, which an envelope does not need';
  });
  parser.on('opentag', ({ attributes, local, uri }) => {
    path.push(local);
    if (path.length === 1 && !(local === 'Envelope' && uri.startsWith(ENVELOPE))) {
      found.problem ??= 'it is no OVF envelope';
    }
    if (found.problem !== undefined) return;
    const place = path.join('/');
    if (place === 'Envelope/References/File') readFile(attributes, found);
    else if (place === 'Envelope/DiskSection/Disk') readDisk(attributes, found);
  });
  parser.on('text', (content) => {
    if (path.join('/').endsWith('/ProductSection/Version')) found.version ??= content.trim().slice(0, 100);
  });
  parser.on('closetag', () => path.pop());
  try {
    parser.write(text).close();
  } catch (error) {
    found.problem ??= `it is no proper XML: ${(error as Error).message}`;
  }
  const { disks, files, problem, version } = found;
  if (problem !== undefined) return problem;
  return { files, disks, ...(version === undefined || version === '' ? {} : { version }) };
}

export interface FileDigest {
  readonly algorithm: 'sha256' | 'sha512';
  /** Hexadecimal, lower case. */
  readonly value: string;
}

const DIGEST_LINE = /^(SHA\d+) ?\((.+)\) ?= ?([0-9a-fA-F]+)$/;
const DIGEST_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

/** The digests of a .mf file by file name, or why the text is none. */
export function parseMf(text: string): ReadonlyMap<string, FileDigest> | string {
  const digests = new Map<string, FileDigest>();
  for (const line of text.split(/\r?\n/).filter((item) => item.trim() !== '')) {
    const [, kind = '', name = '', value = ''] = DIGEST_LINE.exec(line.trim()) ?? [];
    const algorithm = kind.toLowerCase();
    if (algorithm === 'sha1') return 'its digests are SHA-1, which can be forged; SHA-256 is needed';
    if (DIGEST_LENGTHS[algorithm] !== value.length)
      return `a line is no digest: ${JSON.stringify(line.slice(0, 80))}`;
    if (digests.has(name)) return `it has two digests of "${name}"`;
    if (digests.size > OVA_FILES_MAX) return `it has more than ${OVA_FILES_MAX} digests`;
    digests.set(name, { algorithm: algorithm as FileDigest['algorithm'], value: value.toLowerCase() });
  }
  return digests;
}

export function formatMf(files: readonly ImageFile[]): string {
  return files.map(({ name, sha256 }) => `SHA256(${name})= ${sha256}\n`).join('');
}

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** An envelope that names these files, and what they make. */
export function formatOvf(
  files: readonly Pick<ImageFile, 'name' | 'bytes'>[],
  about: { readonly version: string; readonly memoryMiB: number },
): string {
  const references = files.map(
    ({ bytes, name }, i) =>
      `    <File ovf:id="file${i + 1}" ovf:href="${escapeXml(name)}" ovf:size="${bytes}"/>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="${OVF_1}" xmlns:ovf="${OVF_1}">
  <References>
${references.join('\n')}
  </References>
  <VirtualSystem ovf:id="weft-appliance">
    <Info>Weft's appliance: a kernel with MPTCP and the proxy. manifest.json says how it is started.</Info>
    <Name>weft-appliance</Name>
    <ProductSection>
      <Info>What it is</Info>
      <Product>Weft</Product>
      <Version>${escapeXml(about.version)}</Version>
    </ProductSection>
    <AnnotationSection>
      <Info>What it needs</Info>
      <Annotation>${about.memoryMiB} MiB of memory; one network card for the host, one for each uplink</Annotation>
    </AnnotationSection>
  </VirtualSystem>
</Envelope>
`;
}
