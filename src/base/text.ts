/** Text that came from elsewhere, made safe to show. */

/**
 * Control characters (C0, DEL, C1), line separators and marks that turn the direction of writing as `\x1b`, so that
 * nothing that the network sent is obeyed by a terminal, ends a line of a log, or makes it read as another one.
 */
export function printable(text: string): string {
  return text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
