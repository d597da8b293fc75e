import { expect, it } from 'vitest';
import { PathStatus } from '../control/path-status.ts';
import type { PathWord } from '../paths/path-state.ts';
import type { Extension } from './peer-extension.ts';
import { Words } from './words.ts';

const { ok, down } = PathStatus;
/** Only what words look at. */
const extension = (fields: Partial<Extension>) =>
  ({ word: ok, wordNumber: 0, heardWordNumber: 0, ...fields }) as Extension;

/** One keepalive from an end to the other. @returns what the other is told */
const carry = (from: Words, to: Words): { word: PathWord | undefined; delivered: PathWord | undefined } => {
  const message = extension(from.fields);
  from.handleSent();
  return { word: to.handlePeer(message), delivered: to.handleHeard(message) };
};

it('a word is new once, delivered once, and said again when it is asked for again', () => {
  const [a, b] = [new Words(), new Words()];
  a.say(down);
  expect(a.isUnsent).toBe(true);
  // PathState repeats what was not delivered; that makes no new word.
  a.say(down);
  expect(carry(a, b)).toEqual({ word: down, delivered: undefined });
  a.say(down);
  expect(a.isUnsent).toBe(false);
  expect(carry(a, b).word).toBeUndefined();
  expect(carry(b, a).delivered).toBe(down);
  expect(carry(b, a).delivered).toBeUndefined();
  a.say(down);
  expect(carry(a, b).word).toBe(down);
});

it('the last word counts, whatever got lost', () => {
  const [a, b] = [new Words(), new Words()];
  a.say(down);
  a.say(ok);
  a.say(down);
  expect(carry(a, b).word).toBe(down);
  expect(carry(b, a).delivered).toBe(down);
});

it('numbers go round without 0', () => {
  const [a, b] = [new Words(), new Words()];
  for (let i = 0; i < 600; i++) {
    const word = i % 2 === 0 ? down : ok;
    a.say(word);
    expect(a.fields.wordNumber).toBeGreaterThan(0);
    expect(carry(a, b).word).toBe(word);
    expect(carry(b, a).delivered).toBe(word);
  }
});

it('a new process is told what stands', () => {
  const [a, b] = [new Words(), new Words()];
  a.say(down);
  carry(a, b);
  const fresh = new Words();
  expect(carry(a, fresh).word).toBe(down);
  b.handleRestart();
  expect(carry(new Words(), b).word).toBe(ok);
});
