/**
 * The results as bench/RESULTS.md. Pure.
 */
import { SPLICE_RELAY } from './peers.mjs';

export const DIRECT = 'none (direct)';
const WEFT = 'Weft, TCP upstream';

const KINDS = [
  ['stream', 'one CONNECT stream down, Gbit/s', 1, Math.max],
  ['upload', 'up, Gbit/s', 1, Math.max],
  ['requests', 'small GETs/s', 0, Math.max],
  ['tunnels', 'new tunnels/s', 0, Math.max],
  ['idle', 'KiB per idle tunnel', 1, Math.min],
];

const TIMES = [
  ['echo50', 'small message, p50', 0, Math.min],
  ['echo99', 'p99', 0, Math.min],
  ['connects50', 'new tunnel, p50', 0, Math.min],
  ['connects99', 'p99', 0, Math.min],
];

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const written = (value, digits) =>
  digits === 0 ? Math.round(value).toLocaleString('en-US') : value.toFixed(digits);

function cell(values, digits, best) {
  if (values === undefined) return '-';
  return `${written(best(...values), digits)} (${written(median(values), digits)})`;
}

function table(names, kinds, results) {
  // `--kinds` leaves some out.
  if (!names.some((name) => kinds.some(([kind]) => results[name][kind] !== undefined))) return [];
  return [
    `| program | ${kinds.map(([, title]) => title).join(' | ')} |`,
    `|---|${kinds.map(() => '---').join('|')}|`,
    ...names.map((name) => {
      const cells = kinds.map(([kind, , digits, best]) => cell(results[name][kind], digits, best));
      return `| ${name} | ${cells.join(' | ')} |`;
    }),
    '',
  ];
}

/** What the proxy is held to, each with the figures of this run. */
function goals(results) {
  const best = (name, kind, pick) =>
    results[name]?.[kind] === undefined ? undefined : pick(...results[name][kind]);
  const lines = [];
  const goal = (text, figures, met) => {
    if (figures.some((figure) => figure === undefined)) return;
    lines.push(
      `| ${text} | ${met(...figures) ? 'yes' : '**no**'} | ${figures.map((f) => written(f, 1)).join(' against ')} |`,
    );
  };
  const ours = (kind, pick) => best(WEFT, kind, pick);
  const relay = best(SPLICE_RELAY, 'stream', Math.max);
  goal(
    `one CONNECT stream at least 0.9 of the ${SPLICE_RELAY}'s, Gbit/s`,
    [ours('stream', Math.max), relay],
    (a, b) => a >= 0.9 * b,
  );
  for (const peer of ['squid', 'haproxy', 'tinyproxy']) {
    goal(
      `one CONNECT stream faster than ${peer}'s, Gbit/s`,
      [ours('stream', Math.max), best(peer, 'stream', Math.max)],
      (a, b) => a > b,
    );
  }
  goal('an idle tunnel below 20 KiB', [ours('idle', Math.min)], (a) => a < 20);
  goal(
    "new tunnels a second at least squid's",
    [ours('tunnels', Math.max), best('squid', 'tunnels', Math.max)],
    (a, b) => a >= b,
  );
  const added = (kind) => {
    const [through, straight] = [ours(kind, Math.min), best(DIRECT, kind, Math.min)];
    return through === undefined || straight === undefined ? undefined : through - straight;
  };
  goal('a small message at most 1 ms later at p99, µs', [added('echo99')], (a) => a < 1000);
  goal('a new tunnel at most 1 ms later at p99, µs', [added('connects99')], (a) => a < 1000);
  return lines.length === 0 ? [] : ['| goal | met | figures |', '|---|---|---|', ...lines, ''];
}

/** The best of Weft against the best of each peer, as `1.8`. */
function ratio(results, kind, best, weft, peer) {
  const ours = results[weft]?.[kind];
  const theirs = results[peer]?.[kind];
  if (ours === undefined || theirs === undefined) return '-';
  return (best(...ours) / best(...theirs)).toFixed(2);
}

export function report({ results, notes, peers, rounds, seconds, idleTunnels, pathRate, machine }) {
  const names = [DIRECT, ...peers.map(({ name }) => name)].filter((name) => results[name] !== undefined);
  const rivals = names.filter((name) => !name.startsWith('Weft') && name !== DIRECT);
  const lines = [
    '# Proxy benchmark',
    '',
    '`node bench/proxy/run.mjs` wrote this file; what it measures and how stands in its head.',
    '',
    `- Date: ${new Date().toISOString().slice(0, 10)}`,
    `- Machine: ${machine.cpus} cores (${machine.model}), ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}.`,
    '  Client, proxy and server share these cores.',
    `- Load before the run: ${machine.loadBefore.toFixed(2)}. ${rounds} rounds of ${seconds} s for each number: the best, and in brackets the median.`,
    `- Peers: ${peers
      .filter(({ name }) => rivals.includes(name))
      .map(({ name, version }) => `${name} ${version()}`)
      .join(', ')}.`,
    '',
    ...goals(results),
    ...table(names, KINDS, results),
    'Times in µs, one at a time on a connection that nobody else disturbs:',
    '',
    ...table(names, TIMES, results),
    'Weft with TCP upstream, as a multiple of each peer (below 1 is better for memory):',
    '',
    `| peer | ${KINDS.map(([, title]) => title).join(' | ')} |`,
    `|---|${KINDS.map(() => '---').join('|')}|`,
    ...rivals.map((peer) => {
      const cells = KINDS.map(([kind, , , best]) => ratio(results, kind, best, WEFT, peer));
      return `| ${peer} | ${cells.join(' | ')} |`;
    }),
    '',
  ];
  const twoPaths = results['Weft, MPTCP upstream']?.twoPaths;
  if (twoPaths !== undefined) {
    lines.push(
      `Weft with MPTCP upstream over two paths of ${pathRate.replace('gbit', ' Gbit/s')} each, one CONNECT stream: ${cell(twoPaths, 2, Math.max)} Gbit/s.`,
      '',
    );
  }
  const remembering = names.find((name) => results[name].firstStream !== undefined);
  if (remembering !== undefined) {
    const { firstStream, firstUpload = [0] } = results[remembering];
    lines.push(
      `${remembering}: the first connection to a server tells that it has no MPTCP, and got ${cell(firstStream, 1, Math.max)} Gbit/s down, ${cell(firstUpload, 1, Math.max)} up;`,
      'the table has the later ones, which are dialled with TCP for ten minutes.',
      '',
    );
  }
  lines.push(
    '## Reading it',
    '',
    '- A tunnel counts as open when one byte of the server has come through it; 32 are being opened at a time.',
    `- Memory is the growth of the proxy's own memory (PSS, all its processes) by ${idleTunnels} idle tunnels; the kernel's socket memory is not in it.`,
    '- Small message: 64 bytes to an echo and back through a kept tunnel. New tunnel: from connect(2) to the byte of the',
    '  server, SOCKS5 with its own two round trips. Both one after another, all others idle;',
    '  new tunnels for three times the time, of which the first fifth, in which programs are compiled, does not count.',
    '- GETs: 32 kept connections of `wrk`, 1 KiB bodies, absolute targets, kept connections upstream.',
    ...peers
      .filter(({ name, note }) => note !== undefined && results[name] !== undefined)
      .map(({ name, note }) => `- ${name} ${note}.`),
    '- Without a limit on the paths, MPTCP here moves memory, not packets: sender, proxy and receiver share the cores, and the',
    '  kernel acknowledges data late when a whole send buffer arrives while the receiver holds the socket; the sender then waits',
    '  for its retransmission timer (200 ms). It happens to any reader that is slower than the sender, to MPTCP sockets that',
    '  fell back too, and not on paths with a rate of their own.',
    ...notes.map((text) => `- Failed: ${text}.`),
    '',
  );
  return lines.join('\n');
}
