/**
 * Reordering as the original program does it, with its faults (pure): unsigned comparison without wrap-around, a
 * restart seen only in the first 51 numbers, one lost packet holding everything up to the delay.
 */
interface Waiting {
  readonly inner: Buffer;
  readonly atMs: number;
}

export class OriginalReorder {
  readonly #window: number;
  readonly #delayMs: number;
  readonly #deliver: (inner: Buffer) => void;
  readonly #log: (line: string) => void;
  /** BOUNDED: ring of 2 * (window + 1) places. */
  readonly #ring: (Waiting | undefined)[];
  #head = 0;
  #next = 0;
  #count = 0;

  constructor(
    window: number,
    delayMs: number,
    deliver: (inner: Buffer) => void,
    log: (line: string) => void,
  ) {
    this.#window = window;
    this.#delayMs = delayMs;
    this.#deliver = deliver;
    this.#log = log;
    this.#ring = Array.from({ length: 2 * (window + 1) });
  }

  get waiting(): number {
    return this.#count;
  }

  push(sequence: number, inner: Buffer, nowMs: number): void {
    if (sequence < this.#next && sequence > 50) {
      this.#log(`Dropped packet arrived too late. Seq: ${sequence},  Start seq (waited for): ${this.#next} `);
      return;
    }
    if (sequence >= (this.#next + this.#window) >>> 0 || sequence < this.#next) {
      const what =
        sequence < this.#next
          ? 'Too SMALL GRE sequence numbering problem (Peer restarted?)'
          : 'Too BIG GRE sequence numbering problem:';
      this.#log(`${what} ${sequence}, ${this.#next}`);
      this.#flush();
      this.#next = sequence;
    }
    const place = (this.#head + (sequence - this.#next)) % this.#ring.length;
    if (this.#ring[place] !== undefined) {
      this.#flush();
      return;
    }
    this.#ring[place] = { inner, atMs: nowMs };
    this.#count++;
    this.#run();
  }

  /** What the program does every millisecond. */
  poll(nowMs: number): void {
    for (let back = this.#ring.length - 1; back >= 0 && this.#count > 0; back--) {
      const there = this.#ring[(this.#head + back) % this.#ring.length];
      if (there === undefined || there.atMs + this.#delayMs >= nowMs) continue;
      for (let i = 0; i <= back; i++) this.#takeHead();
      this.#run();
      return;
    }
  }

  /** Everything that is there, in order; what is waited for stays. */
  #flush(): void {
    for (let i = 0; i < this.#ring.length && this.#count > 0; i++) {
      const place = (this.#head + i) % this.#ring.length;
      const there = this.#ring[place];
      if (there === undefined) continue;
      this.#ring[place] = undefined;
      this.#count--;
      this.#deliver(there.inner);
    }
  }

  #run(): void {
    while (this.#ring[this.#head] !== undefined) this.#takeHead();
  }

  #takeHead(): void {
    const there = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#next = (this.#next + 1) >>> 0;
    if (there === undefined) return;
    this.#count--;
    this.#deliver(there.inner);
  }
}
