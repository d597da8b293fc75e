/**
 * Which overviews the page takes. Weft looks up to five times a second when something may have gone silent; figures
 * that change so often cannot be read, and each costs the page a frame and a question for the list. So: two a second,
 * and at once whatever changes what a path, a link or a setting is. Pure, in the overviews' own time.
 */
import type { Overview } from '../../service/observe/model.ts';

const BETWEEN_MS = 450;

/** All of an overview that somebody waits for; not rates, times and counts. */
function standing({ endpoints, limits, links, mayChange, mode, paths, tunnels }: Overview): string {
  return JSON.stringify([
    mode,
    mayChange,
    limits,
    endpoints,
    links.map(({ link, up }) => [link, up]),
    paths.map(({ id, state }) => [id, state]),
    tunnels.map(({ connections, tunnel }) => [
      tunnel,
      connections.map((connection) =>
        connection.paths.map(({ name, state, weight }) => [name, state, weight]),
      ),
    ]),
  ]);
}

export class OverviewPace {
  #takenAtMs = -Infinity;
  #standing = '';

  takes(overview: Overview): boolean {
    const now = standing(overview);
    const sinceMs = overview.time - this.#takenAtMs;
    // Below zero: somebody has set the clock back.
    if (now === this.#standing && sinceMs >= 0 && sinceMs < BETWEEN_MS) return false;
    this.#takenAtMs = overview.time;
    this.#standing = now;
    return true;
  }
}
