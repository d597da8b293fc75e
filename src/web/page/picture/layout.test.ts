/** Places: everything inside, nothing over something else, at every width, with few and with many. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { aPath, aPeer, anOverview } from '../../../service/observe/test-readings.ts';
import { layoutPicture, lineWidthPx, WIDE_FROM, type Box } from './layout.ts';
import { pictureOf } from './model.ts';

function picture(links: number, addresses: number, peers: number) {
  const paths = Array.from({ length: links * addresses }, (_, number) =>
    aPath(`eth${number % links} 10.0.${number % links}.${number}`),
  );
  return pictureOf(
    anOverview({
      paths,
      peers: Array.from({ length: peers }, (_, number) =>
        aPeer(
          `192.0.2.${number}`,
          paths.map((path) => path.id),
        ),
      ),
    }),
  );
}

const overlap = (a: Box, b: Box) =>
  a.x < b.x + b.w - 0.01 && b.x < a.x + a.w - 0.01 && a.y < b.y + b.h - 0.01 && b.y < a.y + a.h - 0.01;

it('all boxes are inside and none lies on another', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 280, max: 2400 }),
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 20 }),
      (width, links, addresses, peers) => {
        const layout = layoutPicture(picture(links, addresses, peers), width);
        expect(layout.narrow).toBe(width < WIDE_FROM);
        const boxes = [layout.machine, ...layout.links.values(), ...layout.peers.values()];
        for (const [index, box] of boxes.entries()) {
          expect(box.x).toBeGreaterThanOrEqual(0);
          expect(box.y).toBeGreaterThanOrEqual(0);
          expect(box.x + box.w).toBeLessThanOrEqual(width + 0.01);
          expect(box.y + box.h).toBeLessThanOrEqual(layout.height + 0.01);
          for (const other of boxes.slice(index + 1)) expect(overlap(box, other)).toBe(false);
        }
        for (const row of layout.rows.values()) {
          expect([...layout.links.values()].some((link) => overlap(link, row.box))).toBe(true);
        }
        expect(layout.ways.size).toBe(
          layout.rows.size * [...layout.peers.keys()].filter((id) => id.startsWith('peer ')).length,
        );
      },
    ),
    { numRuns: 150 },
  );
});

it('lines are drawn with finite numbers, and whole and broken ones from the same commands', () => {
  for (const width of [320, 360, 800, 1900]) {
    for (const { trunk } of layoutPicture(picture(3, 2, 4), width).rows.values()) {
      for (const half of [0, 1] as const) {
        const [whole, broken] = [trunk.whole[half], trunk.broken[half]];
        expect(whole).not.toMatch(/NaN|Infinity/);
        // Otherwise the one cannot glide into the other.
        expect(broken.replaceAll(/[-\d. ]+/g, '')).toBe(whole.replaceAll(/[-\d. ]+/g, ''));
        expect(broken).not.toBe(whole);
      }
    }
  }
});

it('a thicker line is more, from nothing to a gigabit', () => {
  const widths = [0, 1e4, 1e6, 2e6, 1e8, 1e9, 1e12].map((rate) => lineWidthPx(rate, 13));
  expect(widths[0]).toBe(1.5);
  expect(widths.at(-1)).toBe(13);
  expect(widths).toEqual(widths.toSorted((a, b) => a - b));
  expect(widths[3]! - widths[2]!).toBeGreaterThan(0.5);
});
