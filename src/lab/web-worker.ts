/**
 * The lab's web server, as a worker thread with Node's ordinary loop: it serves descriptors that the owner opened
 * and bound in the server's namespace. Bodies are made block by block as the client takes them, so memory does not
 * grow with the size asked for.
 *
 *   GET /bytes/N?seed=S   N bytes of content.ts
 *   POST, PUT /upload     JSON: how many bytes came and their SHA-256
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { workerData } from 'node:worker_threads';
import type { EpollWorkerData } from '../native/index.ts';
import { BLOCK_BYTES, ContentSource, parseContentRequest } from './content.ts';

export interface WebWorkerOptions {
  /** Listening sockets; the thread closes them with itself. */
  readonly fds: readonly number[];
}

const { options } = workerData as EpollWorkerData<WebWorkerOptions>;

const PIECE_BYTES = 4 * BLOCK_BYTES;
/** While one piece is on its way the next is being made. */
const PIECES_UNDER_WAY = 2;

function sendContent(response: ServerResponse, source: ContentSource): void {
  const sendNext = (piece: Uint8Array) => {
    const bytes = source.next(piece);
    if (bytes.length === 0) {
      if (!response.writableEnded) response.end();
      return;
    }
    response.write(bytes, (error) => {
      if (error === null || error === undefined) sendNext(piece);
    });
  };
  for (let i = 0; i < PIECES_UNDER_WAY; i++) sendNext(new Uint8Array(new ArrayBuffer(PIECE_BYTES)));
}

function takeUpload(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash('sha256');
  let bytes = 0;
  request.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  request.on('end', () => {
    const body = JSON.stringify({ bytes, sha256: hash.digest('hex') });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const asked = parseContentRequest(request.url ?? '');
  if (asked.kind === 'upload' && (request.method === 'POST' || request.method === 'PUT')) {
    takeUpload(request, response);
    return;
  }
  // A body that nobody wants must not stay in the connection.
  request.resume();
  if (asked.kind !== 'bytes') {
    response.writeHead(404, { 'content-length': 0 }).end();
    return;
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': asked.totalBytes,
  });
  if (request.method === 'HEAD') response.end();
  else sendContent(response, new ContentSource(asked.totalBytes, asked.seed));
}

for (const fd of options.fds) {
  const server = createServer(answer);
  // The lab cuts links on purpose: a silent client is not a dead one.
  server.requestTimeout = 0;
  server.on('clientError', (_error, socket) => socket.destroy());
  server.listen({ fd });
}
