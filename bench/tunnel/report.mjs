/**
 * The results as bench/tunnel/RESULTS.md. Pure.
 */

/** One TCP stream through the original over unshaped paths, measured earlier on another machine, Mbit/s. */
const ORIGINAL_MBPS = 249;

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const number = (value, digits = 0) =>
  value === undefined || Number.isNaN(value)
    ? '-'
    : value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

const line = (cells) => `| ${cells.join(' | ')} |`;

function table(head, rows) {
  return [line(head), line(head.map((_cell, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
}

/** Looks up the rounds of a measurement. */
class Results {
  constructor(records) {
    this.records = records;
  }

  all(peer, kind, name) {
    return this.records
      .filter((record) => record.peer === peer && record.kind === kind && record.values[name] !== undefined)
      .map(({ values }) => values[name]);
  }

  has(peer, kind) {
    return this.records.some((record) => record.peer === peer && record.kind === kind);
  }

  of(peer, kind, name) {
    const values = this.all(peer, kind, name);
    return values.length === 0 ? undefined : median(values);
  }

  /** Median, and the range when there are several. */
  cell(peer, kind, name, digits) {
    const values = this.all(peer, kind, name);
    if (values.length === 0) return '-';
    const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => number(value, digits));
    const middle = number(median(values), digits);
    return least === most ? middle : `${middle} (${least}–${most})`;
  }
}

function speedRow(results, peer) {
  const cell = (kind, name, digits) => results.cell(peer, kind, name, digits);
  const cpu = ['machineCpuPerGb', 'nearCpuPerGb', 'farCpuPerGb'].map((name) =>
    number(results.of(peer, 'tcp1', name), 2),
  );
  const ping = (kind) => {
    const [middle, high] = ['pingMs', 'pingP95Ms'].map((name) => results.of(peer, kind, name));
    return middle === undefined ? '-' : `${number(middle, 2)} / ${number(high, 2)}`;
  };
  return [
    peer,
    cell('tcp1', 'gbps', 2),
    cell('tcp4', 'gbps', 2),
    cpu.join(' / '),
    cell('udp64', 'kpps', 0),
    cell('udp1400', 'kpps', 0),
    ping('idle'),
    ping('tcp4'),
  ];
}

/** Shaped measurements, and how they are called. */
const SHAPED = ['', 'routed '].flatMap((prefix) =>
  ['100+100', '100+300'].map((rates) => ({
    kind: `${prefix}shaped ${rates}`,
    title: prefix === '' ? rates : `${rates}, routers`,
    wireGbps: rates.split('+').reduce((sum, rate) => sum + Number(rate) / 1000, 0),
  })),
);

const CUTS = ['', 'routed '].flatMap((prefix) => [
  { kind: `${prefix}cut link`, title: prefix === '' ? 'link down' : 'near link down, routers' },
  { kind: `${prefix}cut silent`, title: prefix === '' ? 'silent' : 'silent, routers' },
]);

/** What TCP gets on the bare paths, added up. */
const bareSum = (results, { kind }) =>
  [1, 2]
    .map((path) => results.of('bare veth, one path', `${kind} path ${path}`, 'gbps'))
    .reduce((sum, value) => sum + (value ?? Number.NaN), 0);

function shapedRow(results, peer, shaped) {
  const gbps = results.of(peer, shaped.kind, 'gbps');
  const share = (whole) => (Number.isNaN(whole) ? '-' : `${number((100 * gbps) / whole, 1)} %`);
  const rounds = results.all(peer, shaped.kind, 'gbps').map((value) => number(value * 1000));
  return [
    peer,
    shaped.title,
    rounds.join(', '),
    share(bareSum(results, shaped)),
    share(shaped.wireGbps),
    number(results.of(peer, shaped.kind, 'pingMs'), 1),
    number(results.of(peer, shaped.kind, 'retransmits')),
  ];
}

function cutRow(results, peer, { kind, title }) {
  const udp = (name) => results.cell(peer, `${kind} udp`, name, 0);
  const tcp = (name) => results.cell(peer, `${kind} tcp`, name, 0);
  const udpCells = ['gapMs', 'lost', 'impairedMs', 'backMs'].map((name) => udp(name));
  return [peer, title, ...udpCells, tcp('gapMs'), tcp('backMs')];
}

const said = (isReached) => (isReached ? 'reached' : '**not reached**');

function goals(results, ours) {
  const rows = [];
  const add = (goal, values, digits, isGood) => {
    const known = values.filter(({ value }) => value !== undefined && !Number.isNaN(value));
    if (known.length === 0) return;
    const text = known
      .map(({ name, value }) => `${number(value, digits)}${name === '' ? '' : ` (${name})`}`)
      .join(', ');
    // Weft as it comes decides; its variants stand beside.
    rows.push([goal, text, said(isGood(known[0].value))]);
  };
  const each = (pick) => ours.map((name) => ({ name, value: pick(name) }));
  const stream = (name) => results.of(name, 'tcp1', 'gbps');
  const bare = results.of('bare veth, one path', 'tcp1', 'gbps');
  add(
    `one TCP stream over two unshaped paths: at least 5 Gbit/s where the bare veth gives 16 (here ${number(bare, 1)})`,
    each(stream),
    2,
    (value) => value >= 5,
  );
  add(
    `at least 10 times the original’s ${ORIGINAL_MBPS} Mbit/s (measured earlier on another machine of 2 cores, whose bare veth gave 15.8 Gbit/s)`,
    each((name) => (stream(name) * 1000) / ORIGINAL_MBPS),
    1,
    (value) => value >= 10,
  );
  const ordered = ours.filter((name) => !name.includes('no reorder'));
  for (const shaped of SHAPED) {
    const share = (name) => (100 * results.of(name, shaped.kind, 'gbps')) / bareSum(results, shaped);
    add(
      `${shaped.title} Mbit/s, reorder window on: at least 95 % of the sum of what TCP gets on the bare paths`,
      ordered.map((name) => ({ name, value: share(name) })),
      1,
      (value) => value >= 95,
    );
  }
  for (const { kind, title } of CUTS) {
    for (const what of ['udp', 'tcp']) {
      const worst = (name) => {
        const values = results.all(name, `${kind} ${what}`, 'gapMs');
        return values.length === 0 ? undefined : Math.max(...values);
      };
      add(
        `path cut (${title}), ${what.toUpperCase()}: at most 300 ms without bytes, the longest of the rounds`,
        each(worst),
        0,
        (value) => value <= 300,
      );
    }
  }
  return rows;
}

function soakLines(results) {
  const found = results.records.findLast(({ kind }) => kind === 'soak');
  if (found === undefined) return [];
  const { minutes, gbps, gigabytes, near, far } = found.values;
  const row = (name, end) => [
    name,
    number(end?.rssFirstMib, 1),
    number(end?.rssLastMib, 1),
    number(end?.rssMostMib, 1),
    number(end?.pssLastMib, 1),
    number(end?.slopeKibPerMinute, 0),
  ];
  return [
    '## Memory at full rate',
    '',
    `${number(minutes, 1)} minutes of TCP both ways, two streams each, ${number(gbps, 2)} Gbit/s in all: ${number(gigabytes)} GB. After the first minute:`,
    '',
    ...table(
      ['end', 'RSS first, MiB', 'RSS last', 'RSS most', 'PSS last', 'slope, KiB a minute'],
      [row('near', near), row('far', far)],
    ),
    '',
  ];
}

export function report({ machine, settings, peers, notes }, records) {
  const results = new Results(records);
  const known = peers.map(({ name }) => name).filter((name) => records.some(({ peer }) => peer === name));
  const ours = known.filter((name) => name.startsWith('Weft'));
  const rivals = known.filter((name) => !name.startsWith('Weft'));
  const noises = records.map(({ noise }) => noise);
  const fast = known.filter((name) => results.has(name, 'tcp1'));
  const ratio = (name, rival, kind, value) => results.of(name, kind, value) / results.of(rival, kind, value);
  const lines = [
    '# Tunnel benchmark',
    '',
    '`node bench/tunnel/run.mjs` wrote this file; what it measures and how stands in its head. Each measurement is a line of results.jsonl.',
    '',
    `- Date: ${machine.date}; ${number(machine.minutes)} minutes.`,
    `- Machine: ${machine.cpus} cores (${machine.model}), ${machine.memoryGib} GiB, Linux ${machine.kernel}, Node ${machine.node}. Senders, receivers and both ends of the tunnel share these cores.`,
    `- Load before the run: ${machine.loadBefore.toFixed(2)}. Cores that were busy just before a measurement: median ${number(median(noises), 2)}, at most ${number(Math.max(...noises), 2)}.`,
    `- ${settings.rounds} rounds of ${settings.seconds} s: the median, and in brackets the least and the most. ${machine.iperf}, TCP ${machine.congestion}, tunnels’ MTU 1440.`,
    `- Peers: ${peers
      .filter(({ name, version }) => rivals.includes(name) && version !== '')
      .map(({ name, version }) => `${name.replace(/,.*/, '')} ${version}`)
      .join(', ')}. MLVPN and glorytun are not in Debian.`,
    '',
  ];
  const goalRows = goals(
    results,
    ours.filter((name) => name !== 'Weft, redundant'),
  );
  if (goalRows.length > 0) lines.push('## Goals', '', ...table(['goal', 'measured', ''], goalRows), '');
  if (fast.length > 0) {
    lines.push(
      '## Unshaped paths',
      '',
      ...table(
        [
          '',
          'one TCP stream, Gbit/s',
          'four',
          'CPU s a GB: machine / near end / far end',
          'UDP 64 bytes, 1000 packets/s without loss',
          '1400 bytes',
          'idle ping ms, median / p95',
          'ping in four streams',
        ],
        fast.map((name) => speedRow(results, name)),
      ),
      '',
    );
  }
  if (ours.includes('Weft') && rivals.some((name) => fast.includes(name))) {
    lines.push(
      'Weft as a multiple of each peer (CPU: below 1 is better):',
      '',
      ...table(
        ['', 'one TCP stream', 'four', 'CPU of the machine a GB', 'UDP 64 bytes', '1400 bytes'],
        rivals
          .filter((name) => fast.includes(name))
          .map((rival) => [
            rival,
            number(ratio('Weft', rival, 'tcp1', 'gbps'), 2),
            number(ratio('Weft', rival, 'tcp4', 'gbps'), 2),
            number(ratio('Weft', rival, 'tcp1', 'machineCpuPerGb'), 2),
            number(ratio('Weft', rival, 'udp64', 'kpps'), 2),
            number(ratio('Weft', rival, 'udp1400', 'kpps'), 2),
          ]),
      ),
      '',
    );
  }
  const shapedRows = SHAPED.flatMap((shaped) =>
    known.filter((name) => results.has(name, shaped.kind)).map((name) => shapedRow(results, name, shaped)),
  );
  if (shapedRows.length > 0) {
    const bare = SHAPED.filter((shaped) => !Number.isNaN(bareSum(results, shaped))).map(
      (shaped) => `${number(bareSum(results, shaped) * 1000, 1)} (${shaped.title})`,
    );
    lines.push(
      '## Shaped paths, one TCP stream',
      '',
      `One TCP stream on each bare path alone, added up: ${bare.join(', ')} Mbit/s. A tunnel’s headers take 3 % of that. With routers the narrow place is in the middle, so that no sender feels it.`,
      '',
      ...table(
        [
          '',
          'paths, Mbit/s',
          'Mbit/s of each round',
          'of the bare paths’ sum',
          'of the wire’s sum',
          'ping ms',
          'retransmits',
        ],
        shapedRows,
      ),
      '',
    );
  }
  const cutRows = CUTS.flatMap((each) =>
    known.filter((name) => results.has(name, `${each.kind} tcp`)).map((name) => cutRow(results, name, each)),
  );
  if (cutRows.length > 0) {
    lines.push(
      '## One of two paths cut while a stream runs',
      '',
      `UDP: 2,000 packets a second of 1,000 bytes. TCP: at full rate over 100+100 Mbit/s. The cut lasts ${settings.cut.cutS} s.`,
      '',
      ...table(
        [
          '',
          'cut',
          'UDP: longest gap ms',
          'packets lost',
          'from first to last lost ms',
          'path in use again after ms',
          'TCP: longest gap ms',
          'in use again after ms',
        ],
        cutRows,
      ),
      '',
    );
  }
  lines.push(
    ...soakLines(results),
    '## Reading it',
    '',
    '- Without loss: the highest rate at which less than 0.1 % of the packets of a second is lost, to about 2 %; payload bytes; sender and receiver use sendmmsg and recvmmsg.',
    '- CPU of the machine counts everything: iperf3, the kernel, the tunnel. It is measured while the pings run.',
    '- Weft’s ping and CPU are of userspace, as wireguard-go’s and openvpn’s are; bare veth and MPTCP stay in the kernel.',
    ...peers
      .filter(({ name, note }) => note !== undefined && known.includes(name))
      .map(({ name, note }) => `- ${name}: ${note}.`),
    ...notes.map((text) => `- Failed: ${text}.`),
    '',
  );
  return lines.join('\n');
}
