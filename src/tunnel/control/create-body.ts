/**
 * Connection create (command 0xA3): the text around the connection that rounds 3 and 4 carry. Pure. What the text
 * says is the configuration's business (../config).
 *
 *   offset  size  field
 *   0       4     throw-away characters; the original's receiver skips them unread, its sender has `;;;;` there,
 *                 the beginning of the banner of a saved file
 *   4       n     a saved connection file (INI), no terminator
 *
 * The original answers with its own text cut short by 36 bytes, because it computes the length without the
 * authentication field, and an original initiator cuts an answer to the length of its own message, which breaks the
 * answer's hash. So a reader must do without an unfinished last line, and an answer to an original must not be longer
 * than the request.
 */

export const THROW_AWAY_BYTES = 4;
const NEWLINE = 0x0a;

/** Body of round 3 or 4 for a saved text. A text that does not begin with four comment characters gets them. */
export function emitCreateBody(text: string): Uint8Array {
  return new TextEncoder().encode(/^[;#]{4}/.test(text) ? text : `;;;;\n${text}`);
}

/** The INI text of a body: without the throw-away characters and without an unfinished last line. */
export function parseCreateBody(body: Uint8Array): string {
  const end = body.lastIndexOf(NEWLINE) + 1;
  if (end <= THROW_AWAY_BYTES) return '';
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(body.subarray(THROW_AWAY_BYTES, end));
}

/** The longest part of `body` that has at most `maxBytes` and ends with a whole line; all of it when it fits. */
export function cutToLines(body: Uint8Array, maxBytes: number): Uint8Array {
  if (body.length <= maxBytes) return body;
  const cut = body.subarray(0, Math.max(0, maxBytes));
  return cut.subarray(0, cut.lastIndexOf(NEWLINE) + 1);
}
