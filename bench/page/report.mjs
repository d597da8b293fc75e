/**
 * The results as bench/page/RESULTS.md. Pure.
 */

const GOALS = { framesPerSecond: 30, serviceShare: 0.15, cutMs: 1000, rssMib: 150 };

const number = (value, digits = 0) =>
  value === undefined || value === null || Number.isNaN(value)
    ? '-'
    : value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

const line = (cells) => `| ${cells.join(' | ')} |`;

function table(head, rows) {
  return [line(head), line(head.map((_cell, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
}

const percent = (share) => `${number(share * 100, 1)} %`;

function framesPart({ connections, proxied }, frames) {
  const row = (title, part) => [
    title,
    part.perSecond === undefined ? '-' : number(part.perSecond, 1),
    part.perSecondWorst === undefined ? '-' : number(part.perSecondWorst),
    part.gapMostMs === undefined ? '-' : `${number(part.gapP99Ms)} / ${number(part.gapMostMs)}`,
    percent(part.service),
    percent(part.load),
  ];
  const { overview } = frames;
  return [
    `## ${number(connections)} live connections`,
    '',
    `${number(connections - proxied)} of a program of the host, ${number(proxied)} through the proxy, over two paths: ` +
      `${number(overview.totals.mptcp)} MPTCP connections with ${number(overview.totals.subflows)} subflows as Weft counts them, ` +
      `${number((overview.totals.sentBitsPerSecond + overview.totals.receivedBitsPerSecond) / 1e6, 1)} Mbit/s. ` +
      `One look at them takes ${number(overview.sampleMs, 1)} ms, every ${number(overview.sampleIntervalMs)} ms.`,
    '',
    ...table(
      [
        '',
        'frames/s',
        'worst second',
        'gap between frames, 99 % / longest, ms',
        'service, of one core',
        'the connections’ client',
      ],
      [
        row('nobody watches', frames.unwatched),
        row('page open', frames.still),
        row('page open, list of connections being scrolled', frames.scrolled),
      ],
    ),
    '',
    `Goals: at least ${GOALS.framesPerSecond} frames/s, the service at most ${percent(GOALS.serviceShare)} of one core. ` +
      `Service then: ${number(frames.memory.rss)} MiB resident (${number(frames.memory.pss)} MiB PSS).`,
    '',
  ];
}

const sorted = (values) => [...values].sort((a, b) => a - b);

/** Median and longest. */
function cell(runs, where) {
  const values = sorted(runs.map((run) => run[where]).filter((value) => typeof value === 'number'));
  if (values.length === 0) return 'never';
  const missed = runs.length - values.length;
  const text = `${number(values[Math.ceil(values.length / 2) - 1])} (${number(values.at(-1))})`;
  return missed === 0 ? text : `${text}, ${missed} never`;
}

function cutPart({ cut, cutLoaded, numbers }) {
  const places = ['picture', 'chart', 'list'];
  const row = (title, runs) => [title, ...places.map((where) => cell(runs, where))];
  const rows = [];
  if (cut !== undefined) {
    rows.push(
      row('carrier lost', cut.carrier.lost),
      row('carrier back', cut.carrier.back),
      row('cut silently', cut.silent.lost),
      row('silent cut mended', cut.silent.back),
    );
  }
  if (cutLoaded !== undefined) {
    const beside = `beside ${number(numbers.connections)} connections`;
    rows.push(row(`carrier lost, ${beside}`, cutLoaded.lost), row(`carrier back, ${beside}`, cutLoaded.back));
  }
  return [
    '## From the deed to the picture',
    '',
    'Milliseconds until the first frame that shows it: median (longest).',
    '',
    ...table(['', ...places], rows),
    '',
    `Goal: a cut path is shown within ${number(GOALS.cutMs)} ms.`,
    '',
  ];
}

function memoryPart(memory) {
  return [
    '## Memory',
    '',
    `An hour of connections that are open for a minute, ${number(memory.times, 1)} times faster: ` +
      `${number(memory.connections)} connections in ${number(memory.minutes, 1)} minutes, ${number(memory.failed)} failed.`,
    '',
    ...table(
      ['resident memory of the service, MiB', ''],
      [
        ['before', number(memory.rssBeforeMib, 1)],
        ['most', number(memory.rssMostMib, 1)],
        ['at the end', number(memory.rssLastMib, 1)],
        ['at the end, PSS', number(memory.pssLastMib, 1)],
        ['growth after the first quarter, KiB a minute', number(memory.slopeKibPerMinute)],
      ],
    ),
    '',
    `Goal: at most ${GOALS.rssMib} MiB.`,
    '',
  ];
}

export function report({ machine, results }) {
  return [
    '# Page benchmark',
    '',
    '`node bench/page/run.mjs` wrote this file; what it measures and how stands in its head.',
    '',
    `- Date: ${machine.date}`,
    `- Machine: ${machine.cpus} cores (${machine.model}), ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node},`,
    `  ${machine.chromium}, headless, without a graphics card: its processes draw on one core, all else has the other.`,
    `- Load before the run: ${machine.loadBefore.toFixed(2)}.`,
    '',
    ...(results.frames === undefined ? [] : framesPart(results.numbers, results.frames)),
    ...(results.cut === undefined && results.cutLoaded === undefined ? [] : cutPart(results)),
    ...(results.memory === undefined ? [] : memoryPart(results.memory)),
    ...(results.notes.length === 0 ? [] : ['## Failed', '', ...results.notes.map((note) => `- ${note}`), '']),
  ].join('\n');
}
