/**
 * The picture's lines, as SVG: as thick as what goes over them, coloured and dashed by state, broken when a path is
 * down. Changes of thickness and shape glide by CSS transitions (styles/picture.css), so nothing runs between two looks.
 */
import { KeyedList, s, setAttribute, setClass } from '../dom.ts';
import { lineWidthPx, type PictureLayout } from './layout.ts';
import type { Picture, PictureLink, PictureRow, PictureWay } from './model.ts';

const CROWDED_FROM = 40;
/** Of a line that carries nothing. */
const BROKEN_PX = 2.5;

const rateOf = (row: PictureRow) => row.sentBitsPerSecond + row.receivedBitsPerSecond;

/** In steps that can just be seen: each change is drawn over many frames, and rates never stand still. */
function setWidth(element: SVGElement, widthPx: number): void {
  const width = `${Math.round(widthPx * 2) / 2}px`;
  if (element.style.strokeWidth !== width) element.style.strokeWidth = width;
}

function cross(): SVGElement {
  return s(
    'g',
    { class: 'cross' },
    s('circle', { r: 9 }),
    s('path', { d: 'M-3.5 -3.5L3.5 3.5M3.5 -3.5L-3.5 3.5' }),
  );
}

const group = (name: string) => s('g', { class: name });

export class PictureWires {
  readonly svg: SVGSVGElement;
  readonly #cables: KeyedList<PictureLink, SVGElement>;
  readonly #ways: KeyedList<PictureWay, SVGElement>;
  readonly #trunks: KeyedList<PictureRow, SVGElement>;
  #layout: PictureLayout | undefined;
  #pointed: string | undefined;
  #wayMostPx = 0;

  constructor() {
    const [ways, cables, trunks] = [group('ways'), group('cables'), group('trunks')];
    this.svg = s('svg', { class: 'wires', 'aria-hidden': true, focusable: 'false' }, cables, ways, trunks);
    this.#cables = new KeyedList(cables, {
      key: ({ link }) => link,
      create: () => s('path', { class: 'wire cable' }),
      update: (element, link) => {
        setAttribute(element, 'd', this.#layout?.cables.get(link.link) ?? '');
        setAttribute(element, 'data-state', link.up ? 'active' : 'down');
        const bitsPerSecond = link.rows.reduce((sum, row) => sum + rateOf(row), 0);
        setWidth(element, link.up ? lineWidthPx(bitsPerSecond, 12) : BROKEN_PX);
      },
    });
    this.#ways = new KeyedList(ways, {
      key: ({ id }) => id,
      create: () => s('path', { class: 'wire way' }),
      update: (element, way) => {
        setAttribute(element, 'd', this.#layout?.ways.get(way.id) ?? '');
        setAttribute(element, 'data-state', way.state);
        setWidth(element, lineWidthPx(way.bitsPerSecond, this.#wayMostPx));
        this.#setPointed(element, way.row);
      },
    });
    this.#trunks = new KeyedList(trunks, {
      key: ({ id }) => id,
      create: (row) =>
        s(
          'g',
          { class: 'trunk', 'data-path': row.id },
          s('path', { class: 'wire' }),
          s('path', { class: 'wire' }),
          s('circle', { class: 'end', r: 3.5 }),
          cross(),
        ),
      update: (element, row) => this.#updateTrunk(element, row),
    });
  }

  #updateTrunk(element: SVGElement, row: PictureRow): void {
    const trunk = this.#layout?.rows.get(row.id)?.trunk;
    if (trunk === undefined) return;
    const [first, second, end, mark] = [...element.children] as SVGElement[];
    const lines = row.state === 'down' ? trunk.broken : trunk.whole;
    setAttribute(element, 'data-state', row.state);
    this.#setPointed(element, row.id);
    setAttribute(first!, 'd', lines[0]);
    setAttribute(second!, 'd', lines[1]);
    const most = !this.#layout?.narrow ? 13 : this.#layout.rows.size > 4 ? 3 : 7;
    const width = row.state === 'down' ? BROKEN_PX : lineWidthPx(rateOf(row), most);
    setWidth(first!, width);
    setWidth(second!, width);
    setAttribute(end!, 'cx', trunk.end.x);
    setAttribute(end!, 'cy', trunk.end.y);
    setAttribute(mark!, 'transform', `translate(${trunk.cross.x} ${trunk.cross.y})`);
  }

  #setPointed(element: Element, row: string): void {
    setClass(element, 'faded', this.#pointed !== undefined && this.#pointed !== row);
  }

  show(picture: Picture, layout: PictureLayout, pointed: string | undefined): void {
    this.#layout = layout;
    this.#pointed = pointed;
    // So many lines are a bundle, not lines: they become thin and pale, and pointing at a path picks out its own.
    const crowded = picture.ways.length > CROWDED_FROM;
    setClass(this.svg, 'crowded', crowded);
    this.#wayMostPx = crowded ? 2.5 : layout.narrow ? 3.5 : 9;
    setAttribute(this.svg, 'width', layout.width);
    setAttribute(this.svg, 'height', layout.height);
    setAttribute(this.svg, 'viewBox', `0 0 ${layout.width} ${layout.height}`);
    this.#cables.show(layout.narrow ? [] : picture.links);
    this.#ways.show(picture.ways);
    this.#trunks.show(picture.rows);
  }
}
