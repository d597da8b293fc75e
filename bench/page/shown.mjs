/**
 * What the page shows of a path, as JavaScript expressions that are true when it does. The one place of this benchmark
 * that knows how the page is made.
 */

/** @param id `LINK ADDRESS` @param states any of them */
export const pictureShows = (id, states) => `document.querySelector(
  ${JSON.stringify(states.map((state) => `#picture [data-path="${id}"][data-state="${state}"]`).join(', '))}) !== null`;

export const chartShows = (id, states) => `document.querySelector(
  ${JSON.stringify(states.map((state) => `#charts [data-path="${id}"][data-state="${state}"]`).join(', '))}) !== null`;

/**
 * The list of connections: a link that is lost is marked, or no connection uses it any more; one that is there stands
 * unmarked in a row.
 */
export const listShows = (link, states) => {
  const isUsed = `[...document.querySelectorAll('#connections .link-name')]
    .some((e) => e.textContent.trim() === ${JSON.stringify(link)})`;
  return states.includes('active') ? isUsed : `!(${isUsed})`;
};
