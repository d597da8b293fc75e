/** cli/top: the picture of `weft top`, in place on a terminal or once as text or JSON. */
import type { ConnectionSort } from '../../service/index.ts';
import { outputWidth } from '../text-layout.ts';
import { renderLine, type Look } from './line.ts';
import { openSource, type TopSource } from './source.ts';
import { TopState } from './state.ts';
import { TopApp } from './top-app.ts';
import { snapshotLines } from './view.ts';

export interface TopWish {
  readonly sort: ConnectionSort;
  /** The other way round than `sort` is by nature. */
  readonly reverse: boolean;
  readonly search: string;
  readonly color: boolean;
}

function stateFor({ reverse, search, sort }: TopWish, { name, note }: TopSource): TopState {
  const state = new TopState({ name, ...(note === undefined ? {} : { note }) });
  state.setOrder(sort, reverse);
  state.search = search;
  return state;
}

/** As the locale says; the first of these that is set counts (locale(7)). */
function knowsUnicode({ LANG, LC_ALL, LC_CTYPE }: NodeJS.ProcessEnv): boolean {
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '');
  return /utf-?8/i.test(locale ?? '');
}

/** Until somebody quits. @returns the exit code */
export async function showFullScreen(wish: TopWish): Promise<number> {
  const source = await openSource();
  const app = new TopApp({
    input: process.stdin,
    output: process.stdout,
    color: wish.color,
    unicode: knowsUnicode(process.env),
    source,
    state: stateFor(wish, source),
  });
  return app.run();
}

/** @returns text for standard output */
export async function showOnce(
  wish: TopWish & { readonly rows: number; readonly json: boolean },
): Promise<string> {
  const source = await openSource();
  try {
    const state = stateFor(wish, source);
    const query = state.query(wish.rows);
    const overview = await source.overview();
    const connections = await source.connections(query);
    if (wish.json) return `${JSON.stringify({ source: source.kind, overview, connections })}\n`;
    state.handleOverview(overview);
    state.handlePage(connections, 0);
    state.selectedId = undefined;
    const look: Look = {
      width: outputWidth(process.stdout),
      color: wish.color,
      unicode: knowsUnicode(process.env),
    };
    return snapshotLines(state, look)
      .map((line) => `${renderLine(line, look).trimEnd()}\n`)
      .join('');
  } finally {
    await source.close();
  }
}
