/**
 * The files of the page (dist/web/page), read once into memory: what is asked for is a key of a table, never a path of the
 * file system. BOUNDED: `FILES_MAX` files of `FILE_MAX_BYTES`.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { extname, join } from 'node:path';

const FILES_MAX = 32;
const FILE_MAX_BYTES = 4 << 20;
const ETAG_LENGTH = 22;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.json': 'application/json',
};

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Changes with the bytes. */
  readonly etag: string;
}

function readPageFile(path: string): PageFile | undefined {
  const type = TYPES[extname(path)];
  if (type === undefined || statSync(path).size > FILE_MAX_BYTES) return undefined;
  const bytes = readFileSync(path);
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, ETAG_LENGTH)}"`;
  return { type, bytes, etag };
}

/** By path as the browser asks; empty where there is no such folder. */
export type PageFiles = ReadonlyMap<string, PageFile>;

/** @param others beside those of the folder: path as the browser asks, and file. One that is not there is left out. */
export function readPageFiles(folder: string, others: Readonly<Record<string, string>> = {}): PageFiles {
  const files = new Map<string, PageFile>();
  const names = existsSync(folder) ? readdirSync(folder).sort().slice(0, FILES_MAX) : [];
  const wanted = [
    ...names.map((name) => [name === 'index.html' ? '/' : `/${name}`, join(folder, name)] as const),
    ...Object.entries(others),
  ];
  for (const [asked, path] of wanted) {
    const file = existsSync(path) ? readPageFile(path) : undefined;
    if (file !== undefined) files.set(asked, file);
  }
  return files;
}

/** Browsers ask each time whether it is still the same, so that a new Weft has its own page at once. */
export function sendPageFile(response: ServerResponse, file: PageFile, knownEtag: string | undefined): void {
  const { bytes, etag, type } = file;
  const headers = { etag, 'cache-control': 'no-cache' };
  if (knownEtag === etag) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, { ...headers, 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
}
