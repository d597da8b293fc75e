/**
 * Between the `mpt` client and the server on the same host (UDP, loopback addresses only). Pure.
 *
 *   request  A4 00 00 00, command text, one NUL
 *   reply    A4 00 00 00, `CMD_OK:` or `CMD-ERROR:`, text without terminator
 *   end      A5 00 00 00, 5 ms later in the original
 *
 * The text of a reply is the command itself, the sentence of an error, or the whole report.
 */
import { ControlCommand, MAX_CONTROL_BYTES } from './message.ts';

const HEADER_BYTES = 4;
const OK = 'CMD_OK:';
const ERROR = 'CMD-ERROR:';
/** Longest command that a server reads; the longest real one is far shorter. */
const MAX_COMMAND_BYTES = 1024;

/** What the client reads. */
export type LocalAnswer =
  { readonly kind: 'reply'; readonly ok: boolean; readonly text: string } | { readonly kind: 'end' };

const header = (command: number) => Uint8Array.of(command, 0, 0, 0);

function withHeader(text: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES + text.length);
  out.set(header(ControlCommand.local));
  out.set(text, HEADER_BYTES);
  return out;
}

export function emitLocalRequest(command: string): Uint8Array {
  return withHeader(new TextEncoder().encode(`${command}\0`));
}

/** The command text of a datagram from a loopback address, up to its NUL; `undefined` when it is no request. */
export function parseLocalRequest(bytes: Uint8Array): string | undefined {
  if (bytes.length <= HEADER_BYTES || bytes[0] !== ControlCommand.local) return undefined;
  const text = bytes.subarray(HEADER_BYTES);
  const end = text.indexOf(0);
  const command = end < 0 ? text : text.subarray(0, end);
  return command.length > MAX_COMMAND_BYTES
    ? undefined
    : new TextDecoder('utf-8', { ignoreBOM: true }).decode(command);
}

/** A reply in one datagram; the client reads no second one, so a text that does not fit loses its last lines. */
export function emitLocalReply(ok: boolean, text: string): Uint8Array {
  const whole = new TextEncoder().encode(`${ok ? OK : ERROR}${text}`);
  const room = MAX_CONTROL_BYTES - HEADER_BYTES;
  if (whole.length <= room) return withHeader(whole);
  const note = new TextEncoder().encode('... (too long for one datagram)\n');
  const kept = whole.subarray(0, room - note.length);
  const lines = kept.subarray(0, kept.lastIndexOf(0x0a) + 1);
  const cut = lines.length === 0 ? kept : lines;
  const out = new Uint8Array(cut.length + note.length);
  out.set(cut);
  out.set(note, cut.length);
  return withHeader(out);
}

export function emitLocalEnd(): Uint8Array {
  return header(ControlCommand.localEnd);
}

/** What a server sent to the client; `undefined` when it is none of its messages. */
export function parseLocalAnswer(bytes: Uint8Array): LocalAnswer | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes[0] === ControlCommand.localEnd) return { kind: 'end' };
  if (bytes[0] !== ControlCommand.local) return undefined;
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(HEADER_BYTES));
  if (text.startsWith(OK)) return { kind: 'reply', ok: true, text: text.slice(OK.length) };
  if (text.startsWith(ERROR)) return { kind: 'reply', ok: false, text: text.slice(ERROR.length) };
  return undefined;
}
