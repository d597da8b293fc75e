/**
 * The results as bench/daemon/RESULTS.md. Pure.
 */

export function median(values) {
  return percentile(values, 50);
}

/** By the nearest rank. */
export function percentile(values, percent) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}

const number = (value, digits = 0) =>
  value === undefined || Number.isNaN(value)
    ? '-'
    : value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

const mib = (kib) => number(kib / 1024, 1);

const line = (cells) => `| ${cells.join(' | ')} |`;

function table(head, rows) {
  return [line(head), line(head.map((_cell, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
}

/** One row a measurement, one column a daemon. */
function compared(names, rows) {
  return table(['', ...names], rows);
}

const latency = (values) =>
  values === undefined || values.length === 0
    ? '-'
    : `${number(median(values), 2)} / ${number(percentile(values, 95), 2)}`;

function address(results, names) {
  const row = (title, kind, part) => [
    title,
    ...names.map((name) => {
      const measured = results[name][kind];
      if (measured === undefined) return 'has none';
      return latency(measured[part]) + (measured.missed === 0 ? '' : `, ${measured.missed} never`);
    }),
  ];
  return compared(names, [
    row('address set, endpoint visible', 'endpoints', 'set'),
    row('the same with `check_route`', 'checkRoute', 'set'),
    row('another address in its place: until that is visible', 'endpoints', 'replaced'),
    row('address removed, endpoint gone', 'endpoints', 'removed'),
  ]);
}

/** One value for each run. */
const each = (write) => (result) => result.floods.map(write).join('; ');

function seenCell(flood) {
  if (flood.events === undefined) {
    return `${number(flood.established)} of ${number(flood.connections * 2)}`;
  }
  const lost = flood.produced - flood.events;
  if (lost === 0) return `${number(flood.events)} of ${number(flood.produced)}`;
  const found = Object.values(flood.recovered).reduce((sum, count) => sum + count, 0);
  return `${number(flood.events)} of ${number(flood.produced)}, ${flood.resynchronisations} resynchronisations after ${flood.mptcpOverruns} overruns, which found ${number(found)} changes`;
}

/** mptcpd counts one of three. */
const eventsSeen = ({ established, events }) => events ?? 3 * established;

const hearsCell = ({ afterwards, afterwardsWanted }) =>
  afterwards >= afterwardsWanted ? 'yes' : `no: ${afterwards} of ${afterwardsWanted}`;

function waveRow(names, results, i) {
  const cells = names.map((name) => results[name].memory.waves[i]);
  return [`RSS after wave ${i + 1}, MiB`].concat(
    cells.map((memory) => (memory === undefined ? '-' : mib(memory.rss))),
  );
}

export function report({ results, names, eventsPerConnection, connections, machine, peers }) {
  const of = (pick) => names.map((name) => pick(results[name]));
  const [ours, theirs] = [names[0], names[1]];
  const cpu = (name) => results[name]?.cpu?.usPerEvent;
  const lines = [
    '# Path-management daemon benchmark',
    '',
    '`node bench/daemon/run.mjs` wrote this file; what it measures and how stands in its head.',
    '',
    `- Date: ${machine.date}`,
    `- Machine: ${machine.cpus} cores (${machine.model}), ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}. Everything shares these cores.`,
    `- Load before the run: ${machine.loadBefore.toFixed(2)}.`,
    `- Daemons: ${peers.map(({ name, version }) => `${name} ${version}`).join(', ')}.`,
    '',
    '## Endpoints follow addresses',
    '',
    `Milliseconds, median / 95th percentile of ${number(results[ours].endpoints.set.length)}.`,
    '',
    ...address(results, names),
    '',
    `Goal: at most 3 ms median. ${median(results[ours].endpoints.set) <= 3 ? 'Reached' : '**Not reached**'}.`,
    '',
    `## ${number(connections)} connections at full speed, userspace path manager (sspi)`,
    '',
    `The kernel makes ${number(eventsPerConnection, 1)} events of each connection (both ends are in this namespace). mptcpd's account of what it saw is its plugin's line for each ESTABLISHED, of which there are two. Three runs.`,
    '',
    ...compared(names, [
      ['connections a second', ...of(each((flood) => number(flood.connections / flood.seconds)))],
      ['events seen (mptcpd: ESTABLISHED)', ...of(each(seenCell))],
      ['hears afterwards', ...of(each(hearsCell))],
      [
        'connections in its table afterwards (there are none)',
        ...of(each(({ remembered }) => (remembered === undefined ? '-' : number(remembered)))),
      ],
      [
        'CPU time of an event seen, µs',
        ...of(each((flood) => number((flood.cpuMs * 1000) / eventsSeen(flood), 2))),
      ],
    ]),
    '',
    '## CPU time of an event',
    '',
    `${number(results[ours].cpu.connections)} connections at 1,000 a second, which both take in whole, with no log, after a warm-up.`,
    '',
    ...compared(names, [
      [
        'µs an event',
        ...of(({ cpu: { deaf, usPerEvent } }) => (deaf ? 'became deaf' : number(usPerEvent, 2))),
      ],
      [
        'a connection',
        ...of(({ cpu: { deaf, usPerEvent } }) => (deaf ? '-' : number(usPerEvent * eventsPerConnection, 1))),
      ],
    ]),
    '',
  ];
  if (theirs !== undefined && !results[theirs].cpu.deaf) {
    const ratio = cpu(ours) / cpu(theirs);
    lines.push(
      `Weft takes ${number(ratio, 2)} times mptcpd's CPU time. Goal: at most 2. ${ratio <= 2 ? 'Reached' : '**Not reached**'}.`,
      '',
    );
  }
  lines.push(
    '## Memory and start',
    '',
    `${number(connections)} connections, ${number(results[ours].memory.hold)} open at a time, came and went; then as many again, and again.`,
    '',
    ...compared(names, [
      ['RSS at rest, MiB', ...of(({ memory: { rest } }) => mib(rest.rss))],
      ['PSS at rest, MiB', ...of(({ memory: { rest } }) => mib(rest.pss))],
      ...[0, 1, 2].map((i) => waveRow(names, results, i)),
      [
        'start until the endpoint of an address is visible, ms (median / p95)',
        ...of(({ start }) => `${number(median(start), 1)} / ${number(percentile(start, 95), 1)}`),
      ],
    ]),
    '',
    `Weft's memory and start are those of Node: \`node -e 0\` has ${mib(machine.nodeRss)} MiB and takes ${number(machine.nodeStartMs)} ms here.`,
    '',
  );
  return lines.join('\n');
}
