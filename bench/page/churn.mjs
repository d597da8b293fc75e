/**
 * Memory of the service while connections come and go: as many as in an hour in which each is open for a minute, in less
 * time. The page is open and /metrics is read meanwhile.
 */
import { openPage } from './browser.mjs';
import { memory, rest, slopeKibPerMinute } from './measure.mjs';
import { pageAddress } from './weft.mjs';

const SAMPLE_EVERY_MS = 2000;
/** What Node takes at the start, until its compilers and its heap have found their size. */
const WARM_UP_SHARE = 0.25;
const LIFETIME_MS = 60_000;
const HOUR_MINUTES = 60;

export async function churn({ browser, lab, load, weft }, { minutes }) {
  const before = memory(weft.pid);
  const opened = await openPage(browser, await pageAddress(lab));
  const times = HOUR_MINUTES / minutes;
  const begun = JSON.parse(await load.ask(LIFETIME_MS / times));
  const samples = [];
  const beganMs = performance.now();
  const origin = new URL(opened.page.url()).origin;
  while (performance.now() - beganMs < minutes * 60_000) {
    await rest(SAMPLE_EVERY_MS);
    await opened.page.evaluate(`fetch('${origin}/metrics').then((answer) => answer.text())`);
    samples.push([(performance.now() - beganMs) / 60_000, memory(weft.pid).rss]);
  }
  const ended = JSON.parse(await load.ask(0));
  const warm = samples.filter(([minute]) => minute >= minutes * WARM_UP_SHARE);
  const result = {
    minutes,
    times,
    connections: ended.opened - begun.opened,
    failed: ended.failed - begun.failed,
    rssBeforeMib: before.rss,
    rssMostMib: Math.max(...samples.map(([, mib]) => mib)),
    rssLastMib: samples.at(-1)[1],
    pssLastMib: memory(weft.pid).pss,
    slopeKibPerMinute: slopeKibPerMinute(warm),
    troubles: opened.troubles,
    samples: samples.map(([minute, mib]) => [Number(minute.toFixed(2)), Number(mib.toFixed(1))]),
  };
  console.error(JSON.stringify({ ...result, samples: undefined }, undefined, 1));
  await opened.context.close();
  return result;
}
