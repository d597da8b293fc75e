/**
 * One mark (a colour, and a dash pattern when the colours are used up) for each path and as long as the page is open,
 * so that a path looks the same in the picture, the charts and the lists. Pure.
 */

/** How many colours page.css has: `--path-0` … `--path-7`. */
export const PATH_COLORS = 8;

/** Dash patterns in CSS pixels, by how often the colours have gone round. */
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export interface PathMark {
  /** N of the CSS variable `--path-N` and of the class `path-N`. */
  readonly color: number;
  /** Empty: a continuous line. */
  readonly dash: readonly number[];
}

/** BOUNDED: the marks remembered. Who comes and goes more often than that gets a new mark. */
const MARKS_MAX = 512;

export class PathMarks {
  readonly #numbers = new Map<string, number>();
  #next = 0;

  /** @param path `PathReading.id` */
  of(path: string): PathMark {
    let number = this.#numbers.get(path);
    if (number === undefined) {
      if (this.#numbers.size >= MARKS_MAX) this.#numbers.delete(this.#numbers.keys().next().value!);
      number = this.#next++;
      this.#numbers.set(path, number);
    }
    return {
      color: number % PATH_COLORS,
      dash: DASHES[Math.floor(number / PATH_COLORS) % DASHES.length]!,
    };
  }
}
