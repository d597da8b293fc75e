/** A program on a terminal of its own (pseudo-terminal.py), with what its screen shows (screen-model.ts). */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ScreenModel } from './screen-model.ts';

const PYTHON = '/usr/bin/python3';
const DRIVER = fileURLToPath(new URL('pseudo-terminal.py', import.meta.url));
const DEADLINE_MS = 30_000;

export interface TerminalOptions {
  readonly rows?: number;
  readonly columns?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** Starts the driver somewhere else, such as in a node of a lab. */
  readonly start?: (argv: readonly string[], options: { env: NodeJS.ProcessEnv }) => ChildProcess;
}

interface DriverEvent {
  readonly output?: string;
  readonly modes?: unknown;
  readonly stopped?: string;
  readonly exited?: number;
  readonly killed?: string;
}

const startHere = (argv: readonly string[], { env }: { env: NodeJS.ProcessEnv }): ChildProcess =>
  spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], env });

export class PseudoTerminal {
  readonly screen: ScreenModel;
  /** All that the program wrote. */
  written = '';
  /** termios as they were before the program, and as they are. */
  modesBefore: unknown;
  modes: unknown;
  stopped: string | undefined;
  /** Its exit code, or the name of the signal that killed it. */
  end: number | string | undefined;
  readonly #child: ChildProcess;
  readonly #decoder = new TextDecoder();
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor(argv: readonly string[], options: TerminalOptions = {}) {
    const { columns = 80, rows = 24, start = startHere } = options;
    const { NO_COLOR, ...outside } = process.env;
    void NO_COLOR;
    const env = { ...outside, TERM: 'xterm-256color', LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', ...options.env };
    this.screen = new ScreenModel(rows, columns);
    this.#child = start([PYTHON, DRIVER, String(rows), String(columns), ...argv], { env });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('the driver has no output');
    createInterface({ input: stdout }).on('line', (line) => this.#handle(JSON.parse(line) as DriverEvent));
    this.#child.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  #handle(event: DriverEvent): void {
    if (event.output !== undefined) {
      const text = this.#decoder.decode(Buffer.from(event.output, 'latin1'), { stream: true });
      this.written += text;
      this.screen.write(text);
    }
    if (event.modes !== undefined) {
      this.modesBefore ??= event.modes;
      this.modes = event.modes;
    }
    if (event.stopped !== undefined) this.stopped = event.stopped;
    if (event.exited !== undefined || event.killed !== undefined) this.end = event.exited ?? event.killed;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  #tell(command: object): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /** Waits until `condition` holds; looks whenever the program has written. */
  async until(condition: (terminal: this) => boolean, what: string): Promise<void> {
    // The driver kills the program then, and ends.
    const timer = setTimeout(() => this.#child.stdin?.end(), DEADLINE_MS);
    try {
      while (!condition(this)) {
        if (this.#closed)
          throw new Error(
            `waited in vain for ${what}; it ended with ${this.end}:\n${this.screen.text}\n${this.screen.plainText}`,
          );
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until the screen shows what matches. */
  shows(pattern: RegExp): Promise<void> {
    return this.until(({ screen }) => screen.alternate && pattern.test(screen.text), String(pattern));
  }

  send(keys: string): void {
    this.#tell({ send: Buffer.from(keys).toString('latin1') });
  }

  signal(name: NodeJS.Signals): void {
    this.#tell({ signal: name });
  }

  /** As `fg` does. */
  continue(): void {
    this.stopped = undefined;
    this.#tell({ continue: true });
  }

  resize(rows: number, columns: number): void {
    this.screen.resize(rows, columns);
    this.#tell({ size: [rows, columns] });
  }

  /** The terminal goes away. */
  hangUp(): void {
    this.#tell({ hangup: true });
  }

  /** termios as they are now. */
  async readModes(): Promise<unknown> {
    this.modes = undefined;
    this.#tell({ modes: true });
    await this.until(({ modes }) => modes !== undefined, 'the modes');
    return this.modes;
  }

  /** Waits for the program's end. */
  async ended(): Promise<number | string | undefined> {
    await this.until(() => this.#closed, 'its end');
    return this.end;
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    await this.until(() => this.#closed, 'the end of the terminal');
  }
}
