/**
 * The menu of `mptsrv` on standard input: single letters, each carried out after the one before. The end of standard
 * input ends the menu, not the server.
 */

export interface MenuActions {
  readonly quit: () => void;
  readonly print: () => void;
  readonly reload: () => Promise<void>;
  /** Shows the menu, before the first letter and after each. */
  readonly show: () => void;
}

/** BOUNDED: letters that wait while a reload is carried out; more are passed over. */
const WAITING_MAX = 16;

export class Menu {
  readonly #actions: MenuActions;
  #waiting: string[] = [];
  #isBusy = false;

  constructor(actions: MenuActions) {
    this.#actions = actions;
  }

  /** Takes letters from standard input until it ends. */
  listen(input: NodeJS.ReadStream): void {
    this.#actions.show();
    input.setEncoding('utf8');
    input.on('data', (text) => this.handleInput(String(text)));
    input.on('error', () => {});
  }

  handleInput(text: string): void {
    for (const letter of text) {
      if (!'qpr'.includes(letter)) continue;
      if (this.#waiting.length < WAITING_MAX) this.#waiting.push(letter);
    }
    void this.#runWaiting();
  }

  async #runWaiting(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let letter = this.#waiting.shift(); letter !== undefined; letter = this.#waiting.shift()) {
      if (letter === 'q') {
        this.#actions.quit();
        return;
      }
      if (letter === 'p') this.#actions.print();
      else await this.#actions.reload();
      this.#actions.show();
    }
    this.#isBusy = false;
  }
}
