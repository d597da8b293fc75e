import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineQueue } from './control-line-queue.ts';

const linesOf = (text: string) => text.split('\n').slice(0, -1);

describe('LineQueue', () => {
  it('gives lines in their order, once', () => {
    const queue = new LineQueue(100);
    queue.push('a\n');
    queue.push('b\n');
    expect(queue.isEmpty).toBe(false);
    expect(queue.take(0)).toBe('a\nb\n');
    expect(queue.isEmpty).toBe(true);
    expect(queue.take(0)).toBe('');
  });

  it('tells one gap after what it kept, and goes on', () => {
    const queue = new LineQueue(4);
    for (const line of ['a\n', 'b\n', 'c\n', 'd\n']) queue.push(line);
    expect(queue.length).toBe(4);
    expect(queue.take(7)).toBe('a\nb\n{"time":7,"kind":"lost","count":2}\n');
    queue.push('e\n');
    expect(queue.take(8)).toBe('e\n');
  });

  it('keeps nothing behind a gap, even where it would fit', () => {
    const queue = new LineQueue(5);
    queue.push('long\n');
    queue.push('x\n');
    queue.push('\n');
    expect(linesOf(queue.take(0))).toEqual(['long', '{"time":0,"kind":"lost","count":2}']);
  });

  it('a line that is too long for an empty queue is a gap too', () => {
    const queue = new LineQueue(3);
    queue.push('long\n');
    expect(queue.isEmpty).toBe(false);
    expect(queue.take(0)).toBe('{"time":0,"kind":"lost","count":1}\n');
  });

  it('accounts for every line, in order and within its bound', () => {
    const action = fc.oneof(fc.constant('take' as const), fc.nat(9));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (actions, max) => {
        const queue = new LineQueue(max);
        let pushed = 0;
        let read = '';
        for (const step of actions) {
          if (step === 'take') read += queue.take(0);
          else queue.push(`${pushed++}${' '.repeat(step)}\n`);
          expect(queue.length).toBeLessThanOrEqual(max);
        }
        read += queue.take(0);
        let next = 0;
        for (const line of linesOf(read)) {
          if (line.startsWith('{')) next += (JSON.parse(line) as { count: number }).count;
          else expect(Number(line)).toBe(next++);
        }
        expect(next).toBe(pushed);
      }),
    );
  });
});
