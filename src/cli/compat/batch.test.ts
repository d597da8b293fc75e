import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchLines, splitWords, type BatchStep } from './batch.ts';

function stepsOf(file: string): { steps: BatchStep[]; warning: string | undefined } {
  const lines = new BatchLines();
  const steps: BatchStep[] = [];
  for (const line of file.split(/(?<=\n)/)) {
    const step = line === '' ? undefined : lines.handleLine(line);
    if (step !== undefined) steps.push(step);
  }
  return { steps, warning: lines.handleEnd() };
}

const wordsOf = (file: string) =>
  stepsOf(file).steps.map((step) => (step.kind === 'command' ? step.words.join('|') : step.stderr));

describe('batch files', () => {
  it.each([
    ['a b\nc\n', ['a|b', 'c']],
    ['a b', ['a|b']],
    ['# comment\n\n   \na # b\n', ['a']],
    ['\ta\tb\r\n', ['a|b']],
    ['a \\\nb\nc', ['a|b', 'c']],
    ['a\\\nb\n', ['ab']],
    ['a \\\n\\\nb', ['a|b']],
    ['a \\\n\nb', ['a', 'b']],
    ['a \\ \nb', ['a|\\', 'b']],
    ['a\\', ['a\\']],
    ['# a \\\nb\n', ['b']],
    ['a # b \\\nc\n', ['a', 'c']],
    ['a \\\n# b\nc', ['a', 'c']],
    ['a "b c" \'d e\'', ['a|b c|d e']],
    ['"b\'c"', ["b'c"]],
    ['a b"c"', ['a|b"c"']],
    ['"a"b', ['a|b']],
    ['"a""b"', ['a|b']],
    ['a ""', ['a|']],
    ['a "b\nc', ['Unterminated quoted string\n', 'c']],
    ['a "#"', ['Unterminated quoted string\n']],
  ])('%j', (file, expected) => expect(wordsOf(file)).toEqual(expected));

  it('counts physical lines, and names the last one of a command', () => {
    const { steps } = stepsOf('\n\na \\\nb \\\nc\n#\nd');
    expect(steps).toEqual([
      { kind: 'command', words: ['a', 'b', 'c'], lineNumber: 5, continued: true },
      { kind: 'command', words: ['d'], lineNumber: 7, continued: false },
    ]);
  });

  it('drops a command whose continuation is missing, and says so', () => {
    expect(stepsOf('a\nb \\\n')).toMatchObject({
      steps: [{ words: ['a'] }],
      warning: 'Missing continuation line\n',
    });
    expect(stepsOf('a\n').warning).toBeUndefined();
  });

  it('takes 511 words and no more', () => {
    expect(splitWords('a '.repeat(511))).toHaveLength(511);
    expect(splitWords('a '.repeat(512))).toBe('Too many arguments to command\n');
  });

  it('passes a known line only where no other has begun', () => {
    const lines = new BatchLines();
    expect(lines.passLine()).toBe(1);
    lines.handleLine('a \\\n');
    expect(lines.passLine()).toBeUndefined();
    expect(lines.handleLine('b\n')).toMatchObject({ words: ['a', 'b'], lineNumber: 3 });
    expect(lines.passLine()).toBe(4);
  });

  it('gives back plain words as they are', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9:./\\-]+$/);
    fc.assert(
      fc.property(fc.array(word), (words) => {
        expect(splitWords(words.join(' '))).toEqual(words);
      }),
    );
  });

  it('never fails to end, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(['string', 'object']).toContain(typeof splitWords(text));
      }),
    );
  });
});
