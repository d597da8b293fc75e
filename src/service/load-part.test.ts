import { expect, it } from 'vitest';
import { loadPart } from './load-part.ts';

it('gives what was loaded', async () => {
  expect(await loadPart(() => Promise.resolve(7))).toBe(7);
});

it('says that the program was replaced when the part is gone', async () => {
  // Named so that no tool resolves it before.
  const name = './nobody-has-this.js';
  await expect(loadPart(() => import(/* @vite-ignore */ name))).rejects.toMatchObject({
    code: 'REPLACED',
    message: expect.stringMatching(/another version was installed.*start it anew/),
  });
});

it('passes on what the part itself throws', async () => {
  const error = new Error('broken');
  await expect(loadPart(() => Promise.reject(error))).rejects.toBe(error);
});
