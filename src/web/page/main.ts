/** The page's program: makes what all sections share, mounts the sections into index.html, and starts the stream. */
import { Api } from './api.ts';
import { mountCharts } from './charts/charts.ts';
import { mountHeader, mountNotice } from './header.ts';
import { Live } from './live.ts';
import { mountConnections, mountControl, mountEvents, mountWhy } from './lists/index.ts';
import { PathMarks } from './path-marks.ts';
import { mountPicture } from './picture/picture.ts';
import { PageStore } from './store.ts';
import { mountTotals } from './totals.ts';
import type { MountSection, PageContext } from './context.ts';

function element(selector: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(selector);
  if (found === null) throw new Error(`index.html has no ${selector}`);
  return found;
}

const store = new PageStore();
const api = new Api();
const context: PageContext = { store, api, marks: new PathMarks() };
const live = new Live(store, api);

const SECTIONS: readonly (readonly [id: string, mount: MountSection])[] = [
  ['picture', mountPicture],
  ['charts', mountCharts],
  ['connections', mountConnections],
  ['control', mountControl],
  ['why', mountWhy],
  ['events', mountEvents],
];

mountHeader(element('#header'), context);
mountNotice(element('#notice'), context, () => live.retry());
mountTotals(element('#totals'), context);
for (const [id, mount] of SECTIONS) {
  try {
    mount(element(`#${id} > .card-body`), context);
  } catch (error) {
    // One section that cannot be shown leaves the others.
    reportError(error);
  }
}
live.start();
