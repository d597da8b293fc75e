/** What the page says of a call that failed: Weft's own words, which end with the next step. */

export function failureOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text === '' ? 'it failed, and nothing says why' : text;
}
