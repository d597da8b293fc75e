/**
 * Where everything of the picture stands, in CSS pixels. Pure: the picture and a width in, boxes and lines out.
 *
 *   wide      machine ── link ┬── way out ── text on it ───╮ other ends in a column
 *                             └── way out ─────────────────┴─
 *   narrow    machine above, links below it with their ways out at a rail on the left, other ends at the bottom at a
 *             rail on the right
 *
 * Invariant: nothing stands outside of `width`, and no two boxes overlap.
 */
import type { Picture } from './model.ts';

/** Below this the text does not fit on the lines. */
export const WIDE_FROM = 740;

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** The line of one way out: two halves, so that it can break. */
export interface Trunk {
  readonly whole: readonly [string, string];
  readonly broken: readonly [string, string];
  /** Where the cross of a broken one stands. */
  readonly cross: { readonly x: number; readonly y: number };
  readonly end: { readonly x: number; readonly y: number };
}

export interface RowLayout {
  /** Name and state. */
  readonly box: Box;
  /** Rates, and below them round-trip time and loss. */
  readonly texts: readonly [Box, Box];
  readonly trunk: Trunk;
}

export interface PictureLayout {
  readonly narrow: boolean;
  readonly width: number;
  readonly height: number;
  readonly machine: Box;
  readonly links: ReadonlyMap<string, Box>;
  readonly rows: ReadonlyMap<string, RowLayout>;
  readonly peers: ReadonlyMap<string, Box>;
  /** From the machine to its links; none when narrow. */
  readonly cables: ReadonlyMap<string, string>;
  readonly ways: ReadonlyMap<string, string>;
}

const LINK_HEAD = 30;
const LINK_GAP = 14;
const PEER_HEIGHT = 46;
const PEER_GAP = 8;

const clamp = (value: number, min: number, max: number) => Math.max(min, Math.min(max, value));
/** Half pixels are enough, and short numbers make short documents. */
const n = (value: number) => String(Math.round(value * 2) / 2);

/** A line that leaves and arrives level. */
function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = (x2 - x1) / 2;
  return `M${n(x1)} ${n(y1)}C${n(x1 + bend)} ${n(y1)} ${n(x2 - bend)} ${n(y2)} ${n(x2)} ${n(y2)}`;
}

function linkHeights(picture: Picture, rowHeight: number): number[] {
  return picture.links.map((link) => LINK_HEAD + link.rows.length * rowHeight);
}

const column = (heights: readonly number[], gap: number) =>
  heights.reduce((sum, height) => sum + height, 0) + Math.max(0, heights.length - 1) * gap;

function wideTrunk(x1: number, x2: number, y: number): Trunk {
  const middle = x1 + (x2 - x1) * 0.5;
  const gap = Math.min(26, (x2 - x1) / 5);
  const half = (a: number, b: number, droop: number) => {
    // All four control points in each, so that the one can be drawn over into the other.
    const third = (b - a) / 3;
    const start = droop < 0 ? y - droop : y;
    const end = droop > 0 ? y + droop : y;
    return `M${n(a)} ${n(start)}C${n(a + third)} ${n(y)} ${n(b - third)} ${n(y)} ${n(b)} ${n(end)}`;
  };
  return {
    whole: [half(x1, middle, 0), half(middle, x2, 0)],
    broken: [half(x1, middle - gap, 7), half(middle + gap, x2, -7)],
    cross: { x: middle, y },
    end: { x: x2, y },
  };
}

function layoutWide(picture: Picture, width: number): PictureLayout {
  const rowHeight = picture.rows.length > 8 ? 50 : 74;
  const machineWidth = clamp(width * 0.13, 104, 170);
  const cableWidth = clamp(width * 0.04, 26, 64);
  const linkWidth = clamp(width * 0.17, 146, 230);
  const peerWidth = clamp(width * 0.2, 150, 270);
  const linkX = machineWidth + cableWidth;
  const trunkX = linkX + linkWidth;
  const peerX = width - peerWidth;
  const trunkEnd = trunkX + (peerX - trunkX) * 0.6;

  const heights = linkHeights(picture, rowHeight);
  const linksHeight = column(heights, LINK_GAP);
  const peersHeight = column(
    picture.peers.map(() => PEER_HEIGHT),
    PEER_GAP,
  );
  const height = Math.max(linksHeight, peersHeight, 110);

  const machineHeight = clamp(linksHeight * 0.6, 84, Math.max(84, Math.min(height, 200)));
  const machine = { x: 0, y: (height - machineHeight) / 2, w: machineWidth, h: machineHeight };

  const links = new Map<string, Box>();
  const cables = new Map<string, string>();
  const rows = new Map<string, RowLayout>();
  let y = (height - linksHeight) / 2;
  for (const [index, link] of picture.links.entries()) {
    const box = { x: linkX, y, w: linkWidth, h: heights[index]! };
    links.set(link.link, box);
    const leave = machine.y + ((index + 1) * machine.h) / (picture.links.length + 1);
    cables.set(link.link, curve(machine.w, leave, linkX, y + box.h / 2));
    for (const [place, row] of link.rows.entries()) {
      const top = y + LINK_HEAD + place * rowHeight;
      const middle = top + rowHeight / 2;
      const text = { x: trunkX + 8, w: trunkEnd - trunkX - 16, h: 18 };
      rows.set(row.id, {
        box: { x: linkX, y: top, w: linkWidth, h: rowHeight },
        texts: [
          { ...text, y: middle - (rowHeight > 60 ? 29 : 24) },
          { ...text, y: middle + (rowHeight > 60 ? 11 : 6) },
        ],
        trunk: wideTrunk(trunkX, trunkEnd, middle),
      });
    }
    y += box.h + LINK_GAP;
  }

  const peers = new Map<string, Box>();
  y = (height - peersHeight) / 2;
  for (const peer of picture.peers) {
    peers.set(peer.id, { x: peerX, y, w: peerWidth, h: PEER_HEIGHT });
    y += PEER_HEIGHT + PEER_GAP;
  }

  const ways = new Map<string, string>();
  for (const way of picture.ways) {
    const from = rows.get(way.row)?.trunk.end;
    const to = peers.get(way.peer);
    if (from && to) ways.set(way.id, curve(from.x, from.y, to.x, to.y + to.h / 2));
  }
  return { narrow: false, width, height, machine, links, rows, peers, cables, ways };
}

const RAIL = 30;
const NARROW_ROW = 84;
const NARROW_MACHINE = 44;

function railTrunk(x: number, y1: number, x2: number, y2: number): Trunk {
  const r = Math.min(12, x2 - x);
  const cut = y2 - r - 16;
  const down = (a: number, b: number) => `M${n(x)} ${n(a)}L${n(x)} ${n(b)}`;
  const turn = (a: number) =>
    `M${n(x)} ${n(a)}L${n(x)} ${n(y2 - r)}Q${n(x)} ${n(y2)} ${n(x + r)} ${n(y2)}L${n(x2)} ${n(y2)}`;
  return {
    whole: [down(y1, cut), turn(cut)],
    broken: [down(y1, cut - 12), turn(cut + 12)],
    cross: { x: Math.max(x, 9), y: cut },
    end: { x: x2, y: y2 },
  };
}

function layoutNarrow(picture: Picture, width: number): PictureLayout {
  const machine = { x: 0, y: 0, w: width, h: NARROW_MACHINE };
  const inner = width - 2 * RAIL;
  const step = clamp((RAIL - 8) / Math.max(1, picture.rows.length), 1, 9);
  const links = new Map<string, Box>();
  const rows = new Map<string, RowLayout>();
  let y = machine.h + LINK_GAP;
  let number = 0;
  for (const link of picture.links) {
    const h = LINK_HEAD + link.rows.length * NARROW_ROW;
    links.set(link.link, { x: RAIL, y, w: inner, h });
    for (const [place, row] of link.rows.entries()) {
      const top = y + LINK_HEAD + place * NARROW_ROW;
      const text = { x: RAIL + 10, w: inner - 20, h: 18 };
      // The first turns off first, so it is the innermost.
      const x = RAIL - 8 - number++ * step;
      rows.set(row.id, {
        box: { x: RAIL, y: top, w: inner, h: NARROW_ROW },
        texts: [
          { ...text, y: top + 34 },
          { ...text, y: top + 54 },
        ],
        trunk: railTrunk(x, machine.h, RAIL, top + 16),
      });
    }
    y += h + LINK_GAP;
  }

  const peers = new Map<string, Box>();
  for (const peer of picture.peers) {
    peers.set(peer.id, { x: 0, y, w: width - RAIL, h: PEER_HEIGHT });
    y += PEER_HEIGHT + PEER_GAP;
  }
  const ways = new Map<string, string>();
  for (const way of picture.ways) {
    const row = rows.get(way.row)?.box;
    const to = peers.get(way.peer);
    if (!row || !to) continue;
    const [x1, y1, x2, y2] = [width - RAIL, row.y + 16, to.x + to.w, to.y + to.h / 2];
    ways.set(
      way.id,
      `M${n(x1)} ${n(y1)}C${n(width - 1)} ${n(y1)} ${n(width - 1)} ${n(y2)} ${n(x2)} ${n(y2)}`,
    );
  }
  const height = Math.max(y - PEER_GAP, machine.h);
  return { narrow: true, width, height, machine, links, rows, peers, cables: new Map(), ways };
}

/** @param width of the place there is, in CSS pixels */
export function layoutPicture(picture: Picture, width: number): PictureLayout {
  return width >= WIDE_FROM ? layoutWide(picture, width) : layoutNarrow(picture, width);
}

/** How thick a line is: 1.5 px for nothing, then by the rate's order of magnitude, `maxPx` for 1 Gbit/s and above. Pure. */
export function lineWidthPx(bitsPerSecond: number, maxPx: number): number {
  const share = Math.log10(1 + Math.max(0, bitsPerSecond) / 1e4) / Math.log10(1 + 1e9 / 1e4);
  return 1.5 + (maxPx - 1.5) * Math.min(1, share);
}
