/**
 * What a stream notices when one of two paths is cut and mended while it runs.
 */
import { finish, nowMs, rest, start, stop } from './programs.mjs';
import { ANY, loadCommand, SINK_PORT, startUdpSink, udpTrial } from './measure.mjs';
import { CONGESTION, cut, FAR, LINKS, mend, NEAR, shape } from './topology.mjs';

const UDP_RATE = 2000;
const UDP_BYTES = 1000;
export const CUT_RATES = [100, 100];
/** The path is in use again when this share of its traffic before the cut is back, over this time. */
const BACK_SHARE = 0.2;
const BACK_WINDOW_MS = 50;

/** Cuts and mends while `traffic` (a promise) runs; gives back when, CLOCK_MONOTONIC ms. */
async function cutAndMend(kind, { beforeS, cutS }) {
  await rest(beforeS * 1000);
  const cutMs = nowMs();
  cut(kind);
  let mendedMs;
  try {
    await rest(cutS * 1000);
  } finally {
    mendedMs = nowMs();
    mend(kind);
  }
  return { cutMs, mendedMs };
}

const longest = (gaps, fromMs, toMs) =>
  gaps
    .filter(([atMs, ms]) => atMs + ms >= fromMs && atMs < toMs)
    .reduce((most, [, ms]) => Math.max(most, ms), 0);

/** Bytes a ms over the link between two moments. */
function rateBetween(samples, fromMs, toMs) {
  const within = samples.filter(([atMs]) => atMs >= fromMs && atMs <= toMs);
  if (within.length < 2) return 0;
  const [first, last] = [within[0], within.at(-1)];
  return (last[1] - first[1]) / (last[0] - first[0]);
}

/** Milliseconds from `mendedMs` until the first path carries its share again; `undefined`: it does not. */
function backAfter(samples, { cutMs, mendedMs }, beforeS) {
  const usual = rateBetween(samples, cutMs - beforeS * 500, cutMs);
  for (const [atMs] of samples) {
    if (atMs < mendedMs) continue;
    if (atMs > samples.at(-1)[0] - BACK_WINDOW_MS) break;
    if (rateBetween(samples, atMs, atMs + BACK_WINDOW_MS) >= BACK_SHARE * usual) return atMs - mendedMs;
  }
  return undefined;
}

export async function cutUdp(peer, kind, times) {
  const { beforeS, cutS, afterS } = times;
  const sink = await startUdpSink(peer.target, cutS * 1000);
  try {
    const seconds = beforeS + cutS + afterS;
    const running = udpTrial(sink, peer.target, { bytes: UDP_BYTES, rate: UDP_RATE, seconds });
    running.catch(() => {});
    const moments = await cutAndMend(kind, times);
    const { gaps, samples, lost = [], sent, received, duplicates, startMs } = await running;
    const momentOf = (sequence) => startMs + (sequence * 1000) / UDP_RATE;
    const ofCut = lost.filter(
      (sequence) => momentOf(sequence) > moments.cutMs - 500 && momentOf(sequence) < moments.mendedMs,
    );
    const afterwards = lost.filter((sequence) => momentOf(sequence) >= moments.mendedMs);
    const back = backAfter(samples, moments, beforeS);
    return {
      gapMs: longest(gaps, moments.cutMs - 20, moments.mendedMs),
      lost: ofCut.length,
      impairedMs: ofCut.length === 0 ? 0 : ((ofCut.at(-1) - ofCut[0]) * 1000) / UDP_RATE,
      lostAfterMend: afterwards.length,
      gapAfterMendMs: longest(gaps, moments.mendedMs, Infinity),
      duplicates,
      missing: sent - received,
      ...(back !== undefined && { backMs: back }),
    };
  } finally {
    await stop(sink);
  }
}

/** TCP at full rate over paths of `CUT_RATES`. */
export async function cutTcp(peer, kind, times) {
  const { beforeS, cutS, afterS } = times;
  shape(CUT_RATES);
  const seconds = beforeS + cutS + afterS;
  const protocol = peer.wrap.includes('mptcpize') ? ['mptcp'] : [];
  const sink = start(FAR, loadCommand('tcp-sink', ANY, SINK_PORT, LINKS[0], seconds + 1, ...protocol), {
    waitFor: 'ready',
  });
  try {
    await sink.ready;
    const command = loadCommand('tcp-send', peer.target, SINK_PORT, seconds, CONGESTION, ...protocol);
    const sender = finish(NEAR, command);
    sender.catch(() => {});
    const moments = await cutAndMend(kind, times);
    await sender;
    const line = sink.seeing(() => sink.lines().find((text) => text.startsWith('{')));
    const { gaps, samples } = JSON.parse(
      await Promise.race([line, rest(10_000).then(() => '{"gaps":[],"samples":[]}')]),
    );
    const back = backAfter(samples, moments, beforeS);
    return {
      gapMs: longest(gaps, moments.cutMs - 20, moments.mendedMs),
      gapAfterMendMs: longest(gaps, moments.mendedMs, moments.mendedMs + afterS * 900),
      ...(back !== undefined && { backMs: back }),
    };
  } finally {
    await stop(sink);
    shape(undefined);
  }
}
