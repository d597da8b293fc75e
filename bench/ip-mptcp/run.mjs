/**
 * Measures `weft mptcp` and `ip-mptcp` against Node's own start and the `ip` of this machine, in a network namespace
 * of its own, and prints the tables of RESULTS.md.
 *
 *   node bench/ip-mptcp/run.mjs          needs root or user namespaces, and hyperfine
 *
 * WEFT_BIN names another folder than dist/bin; PEER_IP another `ip` than the one of this machine.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);
const INSIDE = 'WEFT_BENCH_INSIDE';

if (process.env[INSIDE] === undefined) {
  const user = process.getuid() === 0 ? [] : ['-Ur'];
  const result = spawnSync('unshare', [...user, '-n', process.execPath, here], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  process.exit(result.status ?? 1);
}

const bin = process.env.WEFT_BIN ?? join(dirname(dirname(dirname(here))), 'dist', 'bin');
const peer = process.env.PEER_IP ?? 'ip';
const node = process.execPath;
const weft = `${node} ${join(bin, 'weft.js')}`;
const ours = `${node} ${join(bin, 'ip-mptcp.js')}`;
const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'));
const LINES = 5000;

const ip = (...words) => execFileSync('ip', words, { encoding: 'utf8' });

/** Times in milliseconds, by command. */
function measure(runs, commands) {
  const json = join(folder, 'result.json');
  const args = ['-N', '--warmup', '3', '--runs', String(runs), '--export-json', json, '--style', 'none'];
  const result = spawnSync('hyperfine', [...args, ...commands], { stdio: ['ignore', 'ignore', 'pipe'] });
  if (result.status !== 0) throw new Error(`hyperfine: ${result.error?.message ?? String(result.stderr)}`);
  return JSON.parse(readFileSync(json, 'utf8')).results.map(({ median, min, user, system }) => ({
    median: median * 1000,
    min: min * 1000,
    cpu: (user + system) * 1000,
  }));
}

const ms = (value) => value.toFixed(1);

function table(title, head, rows) {
  const lines = [head, head.map((_cell, i) => (i === 0 ? '---' : '---:')), ...rows];
  console.log(`\n${title}\n\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`);
}

function measureStart() {
  const commands = [`${node} -e 0`, `${weft} mptcp endpoint show`, `${ours} mptcp endpoint show`];
  const more = [
    `${weft} mptcp --json endpoint show`,
    `${weft} mptcp connections`,
    `${peer} mptcp endpoint show`,
  ];
  const results = measure(60, [...commands, ...more]);
  const [{ median: base, cpu }] = results;
  const names = ['`node -e 0`', '`weft mptcp endpoint show`', '`ip-mptcp mptcp endpoint show`'];
  names.push(
    '`weft mptcp --json endpoint show`',
    '`weft mptcp connections`',
    `\`${peer} mptcp endpoint show\``,
  );
  table(
    'Start (60 runs each, 8 endpoints)',
    ['command', 'median ms', 'min ms', 'CPU ms', '× node'],
    results.map((result, i) => [
      names[i],
      ms(result.median),
      ms(result.min),
      ms(result.cpu),
      (result.median / base).toFixed(2),
    ]),
  );
  return { base, cpu };
}

/** A batch file with these lines; returns its path. */
function batchFile(name, lines) {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `mptcp ${line}\n`).join(''));
  return path;
}

function measureBatches() {
  const many = (line) => Array.from({ length: LINES }, (_value, i) => line(i));
  const batches = [
    [
      '`limits show`',
      batchFile(
        'limits',
        many(() => 'limits show'),
      ),
    ],
    [
      '`endpoint show` (8 endpoints)',
      batchFile(
        'show',
        many(() => 'endpoint show'),
      ),
    ],
    [
      '`endpoint change`',
      batchFile(
        'change',
        many((i) => `endpoint change id 1 ${i % 2 ? '' : 'no'}backup`),
      ),
    ],
  ];
  const one = batchFile('one', ['limits show']);
  const [start] = measure(40, [`${ours} -b ${one}`]);
  const rows = batches.map(([name, path]) => {
    const [mine, theirs] = measure(30, [`${ours} -b ${path}`, `${peer} -b ${path}`]);
    const added = mine.median - start.median;
    return [name, ms(theirs.median), ms(mine.median), ms(added), (added / theirs.median).toFixed(1)];
  });
  table(
    `Batches of ${LINES} lines (30 runs each; a batch of one line takes ${ms(start.median)} ms)`,
    ['line', `${peer} ms`, 'ip-mptcp ms', 'without start ms', '× ip'],
    rows,
  );
}

try {
  ip('link', 'set', 'lo', 'up');
  for (let i = 1; i <= 8; i++) ip('mptcp', 'endpoint', 'add', `10.0.0.${i}`, 'subflow', 'dev', 'lo');
  console.log(`Node ${process.version}, ${execFileSync(peer, ['-V'], { encoding: 'utf8' }).trim()}`);
  measureStart();
  measureBatches();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
