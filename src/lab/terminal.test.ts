import type { WriteStream } from 'node:tty';
import { expect, it } from 'vitest';
import { Painter, SHOW_CURSOR } from './terminal.ts';

function fakeTerminal(columns: number, rows: number): { stream: WriteStream; written: () => string } {
  let text = '';
  const write = (piece: string) => {
    text += piece;
    return true;
  };
  return { stream: { columns, rows, write } as unknown as WriteStream, written: () => text };
}

it('draws over what it drew, and shows the cursor at the end, once', () => {
  const { stream, written } = fakeTerminal(80, 24);
  const painter = new Painter(stream);
  painter.paint(['a', 'b', 'c']);
  painter.paint(['d', 'e']);
  painter.close();
  painter.close();
  painter.paint(['too late']);
  expect(written()).toBe(
    '\u001B[?25l\ra\u001B[K\nb\u001B[K\nc\u001B[K\n\u001B[J\u001B[3A\rd\u001B[K\ne\u001B[K\n\u001B[J\u001B[?25h',
  );
});

it('never draws more than the screen holds, nor in its last column', () => {
  const { stream, written } = fakeTerminal(40, 3);
  const painter = new Painter(stream);
  expect(painter.width).toBe(39);
  painter.paint(['a', 'b', 'c', 'd']);
  painter.close();
  expect(written()).not.toContain('c');
});

it('shows the cursor when the process exits', () => {
  const { stream, written } = fakeTerminal(80, 24);
  const before = process.listeners('exit');
  const painter = new Painter(stream);
  const added = process.listeners('exit').filter((listener) => !before.includes(listener));
  expect(added.length).toBe(1);
  added[0]!(0);
  expect(written().endsWith(SHOW_CURSOR)).toBe(true);
  expect(process.listeners('exit')).toEqual(before);
  painter.close();
});
