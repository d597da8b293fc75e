/**
 * Answers that the proxy gives itself: small plain text that a person understands. Pure, but for `writeRaw`'s
 * caller; each ends with its connection unless the caller says otherwise.
 */
import { STATUS_CODES } from 'node:http';

/** `weft: could not reach …` and a line break. */
export function answerText(reason: string): string {
  return `weft: ${reason}\n`;
}

/** Fields for `writeHead`, Content-Length included. */
export function answerFields(text: string): Record<string, string> {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(text)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
}

/** A whole answer as bytes, for connections that http.Server has let go of (CONNECT, malformed requests). */
export function rawAnswer(
  status: number,
  reason: string,
  more: Readonly<Record<string, string>> = {},
): Buffer {
  const text = answerText(reason);
  const fields = { ...answerFields(text), ...more, Connection: 'close' };
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n${head.join('')}\r\n${text}`);
}
