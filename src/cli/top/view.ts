/**
 * The picture of `weft top` (pure): from what is known and the size of the screen to its lines.
 *
 *   host, source, time
 *   is multipath in use
 *   totals
 *   a notice, when there is one
 *   paths  ·  tunnels  ·  connections  ·  events        or one of them, or one connection
 *   keys
 */
import { formatDurationMs } from '../../base/index.ts';
import type { Overview } from '../../service/index.ts';
import { connectionLines } from './connection-view.ts';
import { HELP_LINES } from './help.ts';
import { fit, foreign, lengthOf, type Line, type Look } from './line.ts';
import type { TopState } from './state.ts';
import { connectionRows, eventRow, pathRows, tunnelRows } from './tables.ts';
import { clockTime, plural, shortRate } from './words.ts';

export const LEAST_COLUMNS = 40;
export const LEAST_ROWS = 10;

export interface Picture {
  readonly lines: readonly Line[];
  /** How many connections, or events, there is room for. */
  readonly room: number;
}

export interface Frame extends Look {
  readonly rows: number;
}

/** Left and right at the two ends of the line; the left one gives way. */
function bothEnds(left: Line, right: string, width: number): Line {
  const room = width - right.length - 1;
  const used = lengthOf(left);
  if (used <= room) return [...left, [' '.repeat(room - used + 1)], [right]];
  return left;
}

function titleLine({ overview, source }: TopState, { unicode, width }: Frame): Line {
  const left: Line = [
    ['weft top', 'bold'],
    [`  ${foreign(overview?.hostname ?? '', unicode)}`],
    [`  ${source.name}${overview === undefined ? '' : aboutProcess(overview)}`, 'dim'],
  ];
  return bothEnds(left, overview === undefined ? '' : clockTime(overview.time), width);
}

const aboutProcess = ({ pid, program, upForMs }: Overview): string =>
  program === 'top' ? '' : `, process ${pid}, for ${formatDurationMs(upForMs)}`;

function multipathLine({ multipath, paths, reason }: Overview, { unicode, width }: Frame): Line {
  const usable = paths.filter(({ state }) => state === 'active' || state === 'backup').length;
  const said = multipath.explanation[0] ?? reason ?? plural(usable, 'usable path');
  return [[fit(foreign(said, unicode), width, unicode), multipath.inUse ? 'green' : 'yellow']];
}

export function totalsLine({ totals }: Overview, { unicode }: Pick<Look, 'unicode'>): Line {
  const [down, up] = unicode ? ['↓', '↑'] : ['down', 'up'];
  const rates = `${down} ${shortRate(totals.receivedBitsPerSecond)} ${up} ${shortRate(totals.sentBitsPerSecond)} bit/s`;
  const fallbacks = totals.fallbacks === 0 ? '' : `, ${plural(totals.fallbacks, 'fallback')}`;
  return [
    [rates, 'bold'],
    [
      `  ${plural(totals.connections, 'connection')}: ${totals.mptcp} MPTCP, ${totals.severalPaths} on several paths${fallbacks}`,
    ],
  ];
}

function noticeLines(state: TopState, { unicode, width }: Frame): Line[] {
  const { eventsLost, isSilent, overview, paused, source, trouble } = state;
  const notices: string[] = [];
  if (source.lostAtMs !== undefined) {
    notices.push(`lost ${source.name} at ${clockTime(source.lostAtMs)}; trying again`);
  } else if (isSilent)
    notices.push(`no reading since ${overview === undefined ? 'the start' : clockTime(overview.time)}`);
  if (source.note !== undefined) notices.push(source.note);
  if (paused) notices.push('paused: p goes on');
  if (trouble !== undefined) notices.push(trouble);
  if (eventsLost > 0) notices.push(`${plural(eventsLost, 'event')} missed`);
  if (notices.length === 0) return [];
  return [[[fit(foreign(notices.join('; '), unicode), width, unicode), 'yellow']]];
}

/** A table cut to `room` lines; whatever is left out is said. */
function section(
  { rows, title }: { title: Line; rows: readonly (readonly Line[])[] },
  room: number,
  what: string,
): Line[] {
  if (rows.length === 0 || room < 2) return [];
  const lines: Line[] = [title];
  for (const [i, row] of rows.entries()) {
    const isLast = i === rows.length - 1;
    // One line is kept for what is left out.
    if (lines.length + row.length > room - (isLast ? 0 : 1)) {
      lines.push([[`  and ${rows.length - i} more ${what}`, 'dim']]);
      return lines.slice(0, room);
    }
    lines.push(...row);
  }
  return lines;
}

function connectionsSection(state: TopState, room: number, frame: Frame): Line[] {
  const { ascending, page, pageOffset, search, selectedId, sort } = state;
  const found = page?.found ?? 0;
  const shown = (page?.rows ?? []).slice(0, Math.max(0, room - 2));
  const range = shown.length === 0 ? '' : ` ${pageOffset + 1}-${pageOffset + shown.length} of ${found}`;
  const searched = search === '' ? '' : `, with "${foreign(search, frame.unicode)}"`;
  const order = `by ${sort}${ascending ? ', smallest first' : ''}`;
  const { rows, title } = connectionRows(shown, selectedId, frame);
  const head: Line = [
    ['connections', 'bold'],
    [`${range}, ${order}${searched}`, 'dim'],
  ];
  const empty: Line = [[search === '' ? '  none' : '  none is found; Esc shows all', 'dim']];
  return rows.length === 0 ? [head, page === undefined ? [] : empty] : [head, title, ...rows];
}

function eventsSection({ eventOffset, events }: TopState, room: number, frame: Frame): Line[] {
  if (room < 2) return [];
  const end = events.length - eventOffset;
  const shown = events.slice(Math.max(0, end - (room - 1)), end);
  const more = eventOffset === 0 ? '' : `, ${eventOffset} newer below`;
  const head: Line = [
    ['events', 'bold'],
    [shown.length === 0 ? ' none yet' : more, 'dim'],
  ];
  return [head, ...shown.map((event) => eventRow(event, frame))];
}

function keysLine({ draft, sort, view }: TopState, { unicode, width }: Frame): Line {
  if (draft !== undefined) {
    return [
      ['search: ', 'bold'],
      [fit(foreign(draft, unicode), width - 30, unicode)],
      ['_', 'inverse'],
      ['  Enter keeps, Esc ends it', 'dim'],
    ];
  }
  const keys =
    view === 'connection'
      ? 'q quit  Esc back  p pause  ? help'
      : view === 'events'
        ? 'q quit  Tab view  up/down scroll  p pause  ? help'
        : `q quit  ? help  s sort: ${sort}  r reverse  / search  Enter follow  p pause  Tab view`;
  return [[fit(keys, width, unicode), 'dim']];
}

function overviewBody(state: TopState, overview: Overview, room: number, frame: Frame): [Line[], number] {
  const paths = section(pathRows(overview, frame), Math.max(3, Math.floor(room * 0.4)), 'paths');
  const tunnels = section(tunnelRows(overview, frame), Math.max(3, Math.floor(room * 0.25)), 'of tunnels');
  const left = room - paths.length - tunnels.length;
  const forEvents = left >= 10 ? Math.min(1 + Math.max(1, state.events.length), left >= 20 ? 7 : 4) : 0;
  const forConnections = left - forEvents;
  const connections = connectionsSection(state, forConnections, frame);
  while (connections.length < forConnections) connections.push([]);
  return [
    [...paths, ...tunnels, ...connections, ...eventsSection(state, forEvents, frame)],
    Math.max(1, forConnections - 2),
  ];
}

function body(state: TopState, overview: Overview, room: number, frame: Frame): [Line[], number] {
  switch (state.view) {
    case 'help':
      return [HELP_LINES.map((text): Line => [[text]]), 1];
    case 'connections':
      return [connectionsSection(state, room, frame), Math.max(1, room - 2)];
    case 'events':
      return [eventsSection(state, room, frame), Math.max(1, room - 1)];
    case 'connection':
      return [state.followed === undefined ? [] : connectionLines(state.followed, frame), 1];
    default:
      return overviewBody(state, overview, room, frame);
  }
}

export function picture(state: TopState, frame: Frame): Picture {
  const { rows, width } = frame;
  if (width + 1 < LEAST_COLUMNS || rows < LEAST_ROWS) {
    const small = `too small: ${LEAST_COLUMNS} columns and ${LEAST_ROWS} rows are needed; q quits`;
    return { lines: [[[small.slice(0, width)]]], room: 1 };
  }
  const head: Line[] = [titleLine(state, frame)];
  const { overview } = state;
  if (overview === undefined) {
    return {
      lines: [...head, ...noticeLines(state, frame), [['waiting for the first reading', 'dim']]],
      room: 1,
    };
  }
  head.push(multipathLine(overview, frame), totalsLine(overview, frame), ...noticeLines(state, frame));
  const space = rows - head.length - 1;
  const [lines, room] = body(state, overview, space, frame);
  const middle = lines.slice(0, space);
  while (middle.length < space) middle.push([]);
  return { lines: [...head, ...middle, keysLine(state, frame)], room };
}

/** The same once, from top to bottom, for what is no terminal. */
export function snapshotLines(state: TopState, look: Look): Line[] {
  const { overview } = state;
  if (overview === undefined) return [];
  const frame: Frame = { ...look, rows: Infinity };
  const tables = [pathRows(overview, look), tunnelRows(overview, look)].filter(({ rows }) => rows.length > 0);
  const lines = [
    titleLine(state, frame),
    multipathLine(overview, frame),
    totalsLine(overview, frame),
    ...noticeLines(state, frame),
  ];
  for (const { rows, title } of tables) lines.push([], title, ...rows.flat());
  lines.push([], ...connectionsSection(state, Infinity, frame));
  return lines;
}
