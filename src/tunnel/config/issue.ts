/** What is wrong with the configuration: file, line, key, value and what is allowed, in one sentence. */

export interface ConfigIssue {
  /** Relative to the configuration folder, such as `connections/office.conf`. */
  readonly file: string;
  /** From 1; absent for what is not there, such as a missing file or key. */
  readonly line?: number;
  /** `reorder_window = 20000 in [connection]: …` */
  readonly text: string;
}

/** `connections/office.conf:12: reorder_window = "20000" in [connection] …` */
export function formatConfigIssue({ file, line, text }: ConfigIssue): string {
  return line === undefined ? `${file}: ${text}` : `${file}:${line}: ${text}`;
}

/** What a reading found: errors refuse all of it; warnings are for what counts for nothing, or not as written. */
export class IssueList {
  readonly #file: string;
  readonly errors: ConfigIssue[] = [];
  readonly warnings: ConfigIssue[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** `line` 0: none. BOUNDED: by the lines of the file and the number of known keys. */
  error(line: number, text: string): void {
    this.errors.push({ file: this.#file, ...(line > 0 && { line }), text });
  }

  warn(line: number, text: string): void {
    this.warnings.push({ file: this.#file, ...(line > 0 && { line }), text });
  }
}
