import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emitLine, LineReader } from './agent-lines.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('LineReader', () => {
  it('reads what emitLine writes, in any pieces', () => {
    const values = fc.array(fc.record({ id: fc.nat(), text: fc.string({ unit: 'grapheme' }) }), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(values, fc.array(fc.nat(200), { maxLength: 10 }), (messages, cuts) => {
        const all = Buffer.concat(messages.map((message) => emitLine({ ...message, do: 'hello' })));
        const reader = new LineReader();
        const found: unknown[] = [];
        let from = 0;
        for (const cut of [...cuts.toSorted((a, b) => a - b), all.length]) {
          // In one buffer that is used again, as a port's is.
          const piece = Buffer.from(all.subarray(from, Math.max(from, Math.min(cut, all.length))));
          found.push(...reader.handleBytes(piece));
          piece.fill(0);
          from = Math.max(from, Math.min(cut, all.length));
        }
        expect(found).toEqual(messages.map((message) => ({ ...message, do: 'hello' })));
        expect(reader.problem).toBeUndefined();
      }),
    );
  });

  it('skips the end of an earlier conversation, and nothing later', () => {
    const reader = new LineReader();
    expect(reader.handleBytes(bytes('"rest of a line"}\n\n{"id":1}\n'))).toEqual([{ id: 1 }]);
    expect(reader.handleBytes(bytes('[1]\n{"id":2}\n'))).toEqual([]);
    expect(reader.problem).toContain('no JSON object: "[1]"');
  });

  it('ends with a line that is too long, whole or not', () => {
    for (const line of ['x'.repeat(20), `${'x'.repeat(20)}\n{"id":1}\n`]) {
      const reader = new LineReader(16);
      expect(reader.handleBytes(bytes(line))).toEqual([]);
      expect(reader.problem).toBe('a line is longer than 16 bytes');
    }
    const reader = new LineReader(16);
    for (let i = 0; i < 20; i++) reader.handleBytes(bytes('x'));
    expect(reader.problem).toBeDefined();
  });

  it('survives any bytes', () => {
    fc.assert(fc.property(fc.uint8Array(), (some) => void new LineReader(64).handleBytes(some)));
  });
});
