/**
 * The words of both ends about a path, as keepalives carry them (pure): up or down, with a number that says whether it
 * is a new one. What the words do is PathState's.
 *
 * Invariant: a "down" of the peer is told once, however often it arrives; "up" each time, so that a word that came by
 * another way and was overtaken does not last.
 */
import { PathStatus } from '../control/path-status.ts';
import type { PathWord } from '../paths/path-state.ts';
import type { Extension } from './peer-extension.ts';

const NUMBERS = 255;

export class Words {
  #own: PathWord = PathStatus.ok;
  #ownNumber = 0;
  #isUnsent = false;
  #isHeard = true;
  #peerNumber = 0;

  /** Whether the next keepalive brings something new. */
  get isUnsent(): boolean {
    return this.#isUnsent;
  }

  /** What the keepalives say from now on. The same again is a new word only once the peer has heard it. */
  say(word: PathWord): void {
    if (word === this.#own && !this.#isHeard) return;
    this.#own = word;
    this.#ownNumber = (this.#ownNumber % NUMBERS) + 1;
    this.#isUnsent = true;
    this.#isHeard = false;
  }

  /** What goes into the extension of a keepalive. */
  get fields(): Pick<Extension, 'wordNumber' | 'word' | 'heardWordNumber'> {
    return { wordNumber: this.#ownNumber, word: this.#own, heardWordNumber: this.#peerNumber };
  }

  handleSent(): void {
    this.#isUnsent = false;
  }

  /** The peer's word, if it is to be acted on. */
  handlePeer({ word, wordNumber }: Extension): PathWord | undefined {
    const isNew = wordNumber !== this.#peerNumber;
    this.#peerNumber = wordNumber;
    return isNew || word === PathStatus.ok ? word : undefined;
  }

  /** Our word, if the peer tells that it has arrived. */
  handleHeard({ heardWordNumber }: Extension): PathWord | undefined {
    if (this.#isHeard || heardWordNumber !== this.#ownNumber) return undefined;
    this.#isHeard = true;
    return this.#own;
  }

  /** Another process speaks there: what it says is new. */
  handleRestart(): void {
    this.#peerNumber = 0;
  }
}
