/** Text that came from elsewhere, made safe to show. */

/**
 * Control characters (C0, DEL, C1) and line separators as `\x1b`, so that nothing that the network sent is obeyed by
 * a terminal or ends a line of a log.
 */
export function printable(text: string): string {
  return text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
