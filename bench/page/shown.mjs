/**
 * What the page shows of a path, as JavaScript expressions that are true when it does. The one place of this benchmark
 * that knows how the page is made.
 */

/** @param id `LINK ADDRESS` @param states any of them */
export const pictureShows = (id, states) => `document.querySelector(
  ${JSON.stringify(states.map((state) => `#picture [data-path="${id}"][data-state="${state}"]`).join(', '))}) !== null`;
