/**
 * From the moment a path is lost to the first frame in which the page shows it, milliseconds; and back.
 */
import { Lab } from '../../dist/lab/index.js';
import { openPage, startBrowser } from './browser.mjs';
import { frameWhen, rest } from './measure.mjs';
import { plug, Program } from './place.mjs';
import { chartShows, listShows, pictureShows } from './shown.mjs';
import { pageAddress, startWeft } from './weft.mjs';

const PROXY = 'http://127.0.0.1:13128';
/** So that what came before does not hasten or delay what is measured. */
const PAUSE_MS = 4000;
const LOST = ['down', 'stale'];
/** So high that picture, charts and list are on the screen together: what is not, asks for nothing. */
const WINDOW = { width: 1280, height: 3000 };

/** Milliseconds from `deed` until picture, chart and list show one of the states. */
async function timeUntil(page, path, states, deed) {
  const [link] = path.split(' ');
  const waits = {
    picture: frameWhen(page, pictureShows(path, states)),
    chart: frameWhen(page, chartShows(path, states)),
    list: frameWhen(page, listShows(link, states)),
  };
  const beganMs = Date.now();
  deed();
  const shown = {};
  for (const [where, wait] of Object.entries(waits)) {
    const atMs = await wait;
    shown[where] = atMs === undefined ? undefined : atMs - beganMs;
  }
  return shown;
}

async function repeat(cuts, page, path, { lose, regain }) {
  const lost = [];
  const back = [];
  for (let n = 0; n < cuts; n++) {
    await rest(PAUSE_MS + Math.random() * 500);
    lost.push(await timeUntil(page, path, LOST, lose));
    await rest(PAUSE_MS);
    back.push(await timeUntil(page, path, ['active'], regain));
    console.error(`lost ${JSON.stringify(lost.at(-1))}, back ${JSON.stringify(back.at(-1))}`);
  }
  return { lost, back };
}

/** In the standard topology, with one download through the proxy. */
export async function cutInLab({ cuts, cpus }) {
  const lab = await Lab.twoUplinks({ rateBps: 50e6, delayMs: 10 });
  const weft = await startWeft(lab, { cpus: cpus.other });
  const browser = await startBrowser(lab.node('client').path, cpus.browser);
  const url = lab.url(1_000_000_000_000);
  const curl = new Program(lab.node('client'), [
    'curl',
    '-sS',
    '--proxytunnel',
    '-x',
    PROXY,
    '-o',
    '/dev/null',
    url,
  ]);
  try {
    const { page } = await openPage(browser, await pageAddress(lab), WINDOW);
    const uplink = lab.uplink(1);
    const path = `${uplink.name} ${uplink.address}`;
    await page.waitForFunction(pictureShows(path, ['active']));
    const carrier = await repeat(cuts, page, path, {
      lose: () => uplink.unplug(),
      regain: () => uplink.plug(),
    });
    const silent = await repeat(cuts, page, path, {
      lose: () => uplink.cut(),
      regain: () => uplink.restore(),
    });
    return { carrier, silent };
  } finally {
    await browser.close();
    await curl.stop();
    await weft.stop();
    await lab.close();
  }
}

/** The same beside the connections that are there. */
export async function cutUnderLoad({ browser, lab }, cuts) {
  const { context, page } = await openPage(browser, await pageAddress(lab), WINDOW);
  const path = 'c2 10.2.0.2';
  await page.waitForFunction(pictureShows(path, ['active']));
  try {
    return await repeat(cuts, page, path, {
      lose: () => plug(lab, 2, false),
      regain: () => plug(lab, 2, true),
    });
  } finally {
    await context.close();
  }
}
