/**
 * What a terminal would show of what a program wrote: the few control sequences that Weft uses, and a list of all others,
 * which a test wants empty. Not a terminal: no scrolling, no line ends on its own.
 */
// eslint-disable-next-line no-control-regex
const SEQUENCE = /^\u001b(?:\[([?0-9;]*)([@-~])|\](?:[^\u0007\u001b]*)(?:\u0007|\u001b\\)|.)/s;

export class ScreenModel {
  rows: number;
  columns: number;
  alternate = false;
  cursorShown = true;
  wraps = true;
  /** Sequences that are not among the few. */
  readonly unknown: string[] = [];
  /** What was written while the alternate screen was not there. */
  plainText = '';
  #cells: string[][] = [];
  #row = 0;
  #column = 0;
  #rest = '';

  constructor(rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
    this.#clear();
  }

  resize(rows: number, columns: number): void {
    this.rows = rows;
    this.columns = columns;
    this.#cells = Array.from({ length: rows }, (_none, row) =>
      Array.from({ length: columns }, (_cell, column) => this.#cells[row]?.[column] ?? ' '),
    );
  }

  /** The lines of the screen, without blanks at their ends. */
  get lines(): string[] {
    return this.#cells.map((cells) => cells.join('').trimEnd());
  }

  get text(): string {
    return this.lines.join('\n');
  }

  #clear(): void {
    this.#cells = Array.from({ length: this.rows }, () => Array.from({ length: this.columns }, () => ' '));
  }

  write(text: string): void {
    let rest = this.#rest + text;
    this.#rest = '';
    while (rest !== '') {
      if (rest.startsWith('\u001b')) {
        const match = SEQUENCE.exec(rest);
        if (match === null) {
          this.#rest = rest;
          return;
        }
        this.#obey(match[0], match[1] ?? '', match[2] ?? '');
        rest = rest.slice(match[0].length);
        continue;
      }
      const end = rest.indexOf('\u001b');
      this.#put(end < 0 ? rest : rest.slice(0, end));
      rest = end < 0 ? '' : rest.slice(end);
    }
  }

  #put(text: string): void {
    if (!this.alternate) {
      this.plainText += text;
      return;
    }
    for (const character of text) {
      if (character < ' ') {
        this.unknown.push(JSON.stringify(character));
        continue;
      }
      const line = this.#cells[this.#row];
      if (line === undefined || this.#column >= this.columns) {
        this.unknown.push(`"${character}" beyond the screen`);
        continue;
      }
      line[this.#column] = character;
      this.#column++;
    }
  }

  #obey(sequence: string, parameters: string, final: string): void {
    switch (`${parameters.startsWith('?') ? '?' : ''}${final}`) {
      case 'm':
        return;
      case 'H': {
        const [row = 1, column = 1] = parameters === '' ? [] : parameters.split(';').map(Number);
        [this.#row, this.#column] = [row - 1, column - 1];
        return;
      }
      case 'K':
        this.#cells[this.#row]?.fill(' ', this.#column);
        return;
      case 'J':
        this.#clear();
        return;
      case '?h':
      case '?l':
        this.#setMode(sequence, parameters, final === 'h');
        return;
      default:
        this.unknown.push(JSON.stringify(sequence));
    }
  }

  #setMode(sequence: string, parameters: string, on: boolean): void {
    if (parameters === '?1049') this.alternate = on;
    else if (parameters === '?25') this.cursorShown = on;
    else if (parameters === '?7') this.wraps = on;
    else this.unknown.push(JSON.stringify(sequence));
  }
}
