/**
 * `GET /metrics` of a Weft and of a daemon that run: read by the strict parser of Prometheus's client for Python
 * (Debian's python3-prometheus-client), and compared with what went over the lab's links.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { LabNode } from '../src/lab/index.ts';
import { METRICS } from '../src/service/metrics/index.ts';
import { download } from './support/download.ts';
import { useTestLabs } from './support/test-labs.ts';
import { runtimeFiles, RunningWeft, startWeft, weftCommand } from './support/weft-program.ts';

const PYTHON = '/usr/bin/python3';
/** Looked for by scripts/test-programs.mjs. */
const PARSER_PACKAGE = '/usr/lib/python3/dist-packages/prometheus_client';
const PARSER = fileURLToPath(new URL('support/parse-open-metrics.py', import.meta.url));
const PAGE_METRICS = 'http://127.0.0.1:13180/metrics';

const { buildLab, loneHost } = useTestLabs('metrics');

type Sample = readonly [name: string, labels: Readonly<Record<string, string>>, value: number];

interface Scrape {
  readonly families: Readonly<Record<string, string>>;
  readonly samples: readonly Sample[];
}

function parse(text: string): Scrape {
  const output = execFileSync(PYTHON, [PARSER], {
    input: text,
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: PARSER_PACKAGE.replace(/\/[^/]+$/, '') },
  });
  return JSON.parse(output) as Scrape;
}

async function curl(node: LabNode, ...args: string[]): Promise<string> {
  const { code, stderr, stdout } = await node.run(['curl', '-sS', '--fail', '--max-time', '30', ...args]);
  if (code !== 0) throw new Error(`curl ended with ${code}: ${stderr}`);
  return stdout;
}

/** Over the control socket whose file name begins so. */
function scrapeSocket(node: LabNode, file: string, ...args: string[]): Promise<string> {
  const socket = runtimeFiles(node).find((path) => path.includes(`/${file}-`) && path.endsWith('.sock'));
  return curl(node, '--unix-socket', socket ?? 'none', ...args, 'http://weft/metrics');
}

const valueOf = ({ samples }: Scrape, name: string, labels: Readonly<Record<string, string>> = {}): number =>
  samples
    .filter(
      ([sampleName, has]) =>
        sampleName === name && Object.entries(labels).every(([label, value]) => has[label] === value),
    )
    .reduce((sum, [, , value]) => sum + value, 0);

/** Names, types and labels are those of the table, which docs/metrics.md shows. */
function expectDocumented({ families, samples }: Scrape): void {
  const known = new Map(METRICS.map((metric) => [metric.name, metric]));
  for (const [name, labels] of samples) {
    const metric = known.get(name);
    expect(metric, name).toBeDefined();
    expect(Object.keys(labels).toSorted(), name).toEqual([...(metric?.labels ?? [])].toSorted());
    expect(families[name.replace(/_total$/, '')], name).toBe(metric?.type);
  }
}

it('tells what went over which path of a running Weft, in text that a strict parser takes', async () => {
  const lab = await buildLab();
  const client = lab.node('client');
  await startWeft(client);
  const before = parse(await scrapeSocket(client, 'control'));
  expectDocumented(before);
  expect(valueOf(before, 'weft_build_info', { program: 'up' })).toBe(1);
  expect(valueOf(before, 'weft_mode', { mode: 'multipath' })).toBe(1);
  expect(valueOf(before, 'weft_path_state', { link: 'wifi0', family: 'ipv4', state: 'active' })).toBe(1);
  expect(valueOf(before, 'weft_endpoints', { owner: 'weft' })).toBe(4);

  const bytes = 20_000_000;
  await download(client, lab.url(bytes, 7), '--proxytunnel');
  const received = (scrape: Scrape, link: string) =>
    valueOf(scrape, 'weft_link_received_bytes_total', { link });
  let text: string;
  let after: Scrape;
  do {
    text = await curl(client, PAGE_METRICS);
    after = parse(text);
    // Links are as at the last look.
  } while (received(after, 'wifi0') + received(after, 'lte0') < bytes);
  expectDocumented(after);
  expect(valueOf(after, 'weft_proxy_tunnels_opened_total')).toBe(1);
  expect(valueOf(after, 'weft_proxy_upstream_connections_total', { protocol: 'mptcp' })).toBe(1);
  // With the answer's head.
  expect(valueOf(after, 'weft_proxy_bytes_total', { direction: 'down' })).toBeGreaterThanOrEqual(bytes);
  expect(valueOf(after, 'weft_kernel_mptcp_events_total', { counter: 'MPCapableSYNACKRX' })).toBe(1);
  expect(valueOf(after, 'weft_kernel_mptcp_events_total', { counter: 'MPJoinSynAckRx' })).toBeGreaterThan(0);
  expect(valueOf(after, 'process_resident_memory_bytes')).toBeGreaterThan(10_000_000);
  // The server's address and the client's are nowhere.
  expect(text).not.toMatch(/203\.0\.113\.10|2001:db8:9::10|127\.0\.0\.1/);

  const plain = await curl(client, '-H', 'accept: text/plain', PAGE_METRICS);
  expect(plain).toContain('# TYPE weft_path_received_bytes_total counter');
  expect(plain).not.toContain('# EOF');
  const head = await curl(client, '-o', '/dev/null', '-w', '%{content_type}', PAGE_METRICS);
  expect(head).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');

  // Counters never fall, and none that was there is missing.
  const later = parse(await scrapeSocket(client, 'control'));
  for (const [name, labels, value] of after.samples) {
    if (name.endsWith('_total')) expect(valueOf(later, name, labels), name).toBeGreaterThanOrEqual(value);
  }
});

it('counts what was carried over each path while a download runs', async () => {
  const lab = await buildLab({ rateBps: 50e6, delayMs: 5 });
  const client = lab.node('client');
  await startWeft(client);
  const curlEndless = ['curl', '-sS', '-o', '/dev/null', '-x', 'http://127.0.0.1:13128', '--proxytunnel'];
  client.spawn([...curlEndless, lab.url(1e12)], { stdio: 'ignore' });
  const path = (link: string) => ({ link, family: 'ipv4' });
  for (;;) {
    const scrape = parse(await scrapeSocket(client, 'control'));
    const sums = ['wifi0', 'lte0'].map((link) =>
      valueOf(scrape, 'weft_path_received_bytes_total', path(link)),
    );
    if (sums.some((sum) => sum < 1_000_000)) continue;
    for (const link of ['wifi0', 'lte0']) {
      expect(valueOf(scrape, 'weft_path_subflows', path(link))).toBe(1);
      expect(valueOf(scrape, 'weft_path_rtt_seconds', path(link))).toBeGreaterThan(0.005);
      // What came by the link has headers beside the payload.
      expect(valueOf(scrape, 'weft_path_received_bytes_total', path(link))).toBeLessThan(
        valueOf(scrape, 'weft_link_received_bytes_total', { link }),
      );
    }
    expect(valueOf(scrape, 'weft_connections_on_several_paths')).toBe(1);
    return;
  }
});

it('tells of the daemon, which has no proxy, and keeps a hostile name within its quotes', async () => {
  const host = loneHost();
  const name = 'a"b\\c{}=,#1';
  await host.run(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'other']);
  await host.run(['ip', 'link', 'set', 'other', 'up']);
  await host.run(['ip', 'link', 'set', name, 'up']);
  await host.run(['ip', 'addr', 'add', '10.9.0.2/24', 'dev', name]);
  const daemon = new RunningWeft(
    host.spawn(weftCommand('daemon', '--log=stderr'), { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await daemon.seen(/mptcpd is ready/);
  const scrape = parse(await scrapeSocket(host, 'mptcpd'));
  expectDocumented(scrape);
  expect(valueOf(scrape, 'weft_build_info', { program: 'daemon' })).toBe(1);
  expect(valueOf(scrape, 'weft_daemon_plugins', { state: 'running' })).toBeGreaterThan(0);
  expect(scrape.samples.filter(([sample]) => sample.startsWith('weft_proxy_'))).toEqual([]);
  expect(valueOf(scrape, 'weft_link_up', { link: name })).toBe(1);
  expect(valueOf(scrape, 'weft_path_state', { link: name, address: '10.9.0.2', state: 'down' })).toBe(0);
  expect(await daemon.stop()).toBe(0);
});
