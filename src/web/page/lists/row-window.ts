/**
 * Which rows of a long list are on the screen and which ones are to be asked for (pure). All rows are equally high,
 * so a place in the list is a number of pixels and the other way round.
 *
 * Invariant: what is asked for contains what is shown, whatever the list's length and the place in it.
 */

export interface RowView {
  /** Pixels from the list's start to the first one on the screen. */
  readonly scrollTop: number;
  readonly viewHeight: number;
  readonly rowHeight: number;
  /** Rows of the whole list. */
  readonly rowCount: number;
}

export interface RowRange {
  readonly first: number;
  /** One after the last. */
  readonly end: number;
}

/** Rows beyond both edges that are drawn too, so that a turn of the wheel shows no hole. */
export const ROWS_BEYOND = 8;

/** Rows on the screen, with those beyond its edges. */
export function shownRows({ scrollTop, viewHeight, rowHeight, rowCount }: RowView): RowRange {
  if (rowHeight <= 0 || rowCount <= 0) return { first: 0, end: 0 };
  const top = Math.min(Math.max(0, scrollTop), Math.max(0, rowCount * rowHeight - viewHeight));
  const first = Math.max(0, Math.floor(top / rowHeight) - ROWS_BEYOND);
  const end = Math.min(rowCount, Math.ceil((top + viewHeight) / rowHeight) + ROWS_BEYOND);
  return { first, end: Math.max(first, end) };
}

/** What is asked for starts and ends at multiples of this, so that little scrolling asks for nothing new. */
export const ASK_STEP = 20;

/**
 * Rows to ask for, as offset and limit of a query; never more than `most`, and never nothing: an answer tells how
 * long the list is.
 */
export function askedRows(
  shown: RowRange,
  most: number,
): { readonly offset: number; readonly limit: number } {
  const offset = Math.floor(shown.first / ASK_STEP) * ASK_STEP;
  const end = Math.max(offset + ASK_STEP, Math.ceil(shown.end / ASK_STEP) * ASK_STEP);
  return { offset, limit: Math.min(most, end - offset) };
}

/** How a key moves the chosen row; `undefined`: it does not. */
export function rowAfterKey(
  key: string,
  row: number,
  rowCount: number,
  pageRows: number,
): number | undefined {
  const last = rowCount - 1;
  const within = (wanted: number) => Math.max(0, Math.min(last, wanted));
  if (rowCount === 0) return undefined;
  switch (key) {
    case 'ArrowDown':
      return within(row + 1);
    case 'ArrowUp':
      return within(row - 1);
    case 'PageDown':
      return within(row + pageRows);
    case 'PageUp':
      return within(row - pageRows);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}
