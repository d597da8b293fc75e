/**
 * The files of the page (dist/web/page), read once into memory: what is asked for is a key of a table, never a path of the
 * file system. BOUNDED: `FILES_MAX` files of `FILE_MAX_BYTES`.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { extname, join } from 'node:path';

const FILES_MAX = 32;
const FILE_MAX_BYTES = 4 << 20;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Changes with the bytes. */
  readonly etag: string;
}

/** By path as the browser asks; empty where there is no such folder. */
export type PageFiles = ReadonlyMap<string, PageFile>;

export function readPageFiles(folder: string): PageFiles {
  const files = new Map<string, PageFile>();
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch {
    return files;
  }
  for (const name of names) {
    const type = TYPES[extname(name)];
    const path = join(folder, name);
    if (type === undefined || files.size >= FILES_MAX || statSync(path).size > FILE_MAX_BYTES) continue;
    const bytes = readFileSync(path);
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    files.set(name === 'index.html' ? '/' : `/${name}`, { type, bytes, etag });
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
