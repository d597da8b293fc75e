import { describe, expect, it } from 'vitest';
import { parseCounters } from '../../mptcp/index.ts';
import type { DaemonStatus } from '../../pathmanager/index.ts';
import type { ProxyCounters } from '../../proxy/index.ts';
import type { LinkReading, PathReading, TunnelReading } from '../observe/model.ts';
import { anOverview, aPath, aPeer } from '../observe/test-readings.ts';
import type { MetricFacts } from './metric.ts';
import { formatMetrics, METRICS, Metrics } from './metrics.ts';
import { fallbackWord } from './reasons.ts';

const PATH = aPath('wlan0 192.0.2.7', {
  subflows: 3,
  sentBytes: 1000,
  receivedBytes: 2_000_000,
  retransmittedSegments: 4,
  sentSegments: 50,
  sentBitsPerSecond: 1,
  receivedBitsPerSecond: 2,
  rttUs: 12_400,
});

const LINK: LinkReading = {
  link: 'wlan0',
  index: 2,
  up: true,
  receivedBytes: 10,
  sentBytes: 20,
  receivedBitsPerSecond: 0,
  sentBitsPerSecond: 0,
  errors: 1,
  drops: 2,
};

const OVERVIEW = anOverview({
  sample: 17,
  sampleMs: 5,
  sampleIntervalMs: 2000,
  version: '1.2.3',
  links: [LINK],
  paths: [PATH],
  peers: [{ ...aPeer('198.51.100.77', []), name: 'peer.example', subflows: 2 }],
  endpoints: [
    { id: 1, address: '192.0.2.7', port: 0, flags: ['subflow'], ours: true },
    { id: 2, address: '192.0.2.8', port: 0, flags: ['signal'], ours: false },
  ],
  limits: { subflows: 8, addAddrAccepted: 2 },
  totals: {
    connections: 12,
    mptcp: 10,
    fallbacks: 1,
    subflows: 21,
    severalPaths: 9,
    sentBitsPerSecond: 0,
    receivedBitsPerSecond: 0,
    retransmissionsPerSecond: 0,
  },
});

const PROXY: ProxyCounters = {
  clientConnections: 5,
  requests: 2,
  exchangesFailed: 0,
  requestsRetried: 0,
  tunnelsOpened: 3,
  tunnelsOpen: 1,
  tunnelsClosed: 2,
  tunnelsClosedByReason: { finished: 2 },
  dialsFailed: 3,
  dialsFailedByReason: { refused: 1, 'a reason of tomorrow': 1, another: 1 },
  upstreamsMptcp: 3,
  upstreamsTcp: 1,
  fallbacksByReason: { 'the other end, or something on the path to it, does not speak MPTCP': 1 },
  refused: 0,
  refusedByReason: {},
  bytesUp: 7,
  bytesDown: 8,
  udpAssociations: 0,
  udpAssociationsOpen: 0,
  datagramsUp: 0,
  datagramsDown: 0,
  datagramBytesUp: 0,
  datagramBytesDown: 0,
  datagramsDropped: 0,
  datagramsDroppedByReason: {},
};

const FACTS: MetricFacts = {
  overview: OVERVIEW,
  process: {
    cpuSeconds: 1.5,
    residentBytes: 60_000_000,
    heapUsedBytes: 20_000_000,
    openDescriptors: 40,
    startedAtSeconds: 1_700_000_000.5,
    loopActiveSeconds: 0.25,
    loopLagSeconds: 0.0005,
  },
  kernel: parseCounters('MPTcpExt: MPPrioTx MPCurrEstab BrandNew\nMPTcpExt: 3 10 1\n'),
  proxy: PROXY,
};

const linesOf = async (facts: Partial<MetricFacts> = {}, accept?: string) => {
  const { body } = await formatMetrics({ ...FACTS, ...facts }, accept);
  return body.split('\n');
};

const withPath = (path: Partial<PathReading>) => ({
  overview: { ...OVERVIEW, paths: [{ ...PATH, ...path }] },
});

describe('formatMetrics', () => {
  it('writes OpenMetrics: each family once, with type and help, counters with _total, an end', async () => {
    const lines = await linesOf();
    expect(lines.slice(-2)).toEqual(['# EOF', '']);
    const path = '{link="wlan0",address="192.0.2.7",family="ipv4"}';
    for (const line of [
      '# TYPE weft_path_received_bytes counter',
      `weft_path_received_bytes_total${path} 2000000`,
      `weft_path_rtt_seconds${path} 0.0124`,
      'weft_path_state{link="wlan0",address="192.0.2.7",family="ipv4",state="active"} 1',
      'weft_path_state{link="wlan0",address="192.0.2.7",family="ipv4",state="down"} 0',
      'weft_link_drops_total{link="wlan0"} 2',
      'weft_connections{protocol="mptcp"} 10',
      'weft_connections{protocol="tcp"} 2',
      'weft_endpoints{owner="others"} 1',
      'weft_mode{mode="multipath"} 1',
      'weft_mode{mode="no-mptcp"} 0',
      'weft_kernel_mptcp_events_total{counter="MPPrioTx",group="priority"} 3',
      'weft_kernel_mptcp_events_total{counter="BrandNew",group="other"} 1',
      'weft_kernel_mptcp_established 10',
      'weft_proxy_fallbacks_total{reason="peer-or-path"} 1',
      'weft_proxy_bytes_total{direction="down"} 8',
      'process_resident_memory_bytes 60000000',
    ]) {
      expect(lines).toContain(line);
    }
    const families = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2]);
    expect(new Set(families).size).toBe(families.length);
  });

  it('has the same in the older format for who accepts nothing else', async () => {
    const plain = await linesOf({}, 'text/plain;version=0.0.4');
    expect(plain).toContain('# TYPE weft_path_received_bytes_total counter');
    expect(plain).not.toContain('# EOF');
    const values = (lines: readonly string[]) => lines.filter((line) => /^[a-z]/.test(line));
    expect(values(plain)).toEqual(values(await linesOf()));
    const prometheus =
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
    for (const accept of [undefined, '*/*', prometheus]) {
      expect((await formatMetrics(FACTS, accept)).contentType).toBe(
        'application/openmetrics-text; version=1.0.0; charset=utf-8',
      );
    }
  });

  it('leaves out what is not known, and what the process does not have', async () => {
    const { rttUs, ...unmeasured } = PATH;
    expect(rttUs).toBeDefined();
    const { limits, mode, ...overview } = OVERVIEW;
    expect([limits, mode]).not.toContain(undefined);
    const { proxy, ...facts } = FACTS;
    expect(proxy).toBeDefined();
    const { body } = await formatMetrics({ ...facts, overview: { ...overview, paths: [unmeasured] } });
    for (const name of ['weft_path_rtt_seconds', 'weft_limit_', 'weft_mode', 'weft_proxy_', 'weft_daemon_']) {
      expect(body).not.toContain(name);
    }
    expect(body).toContain('weft_path_subflows');
    expect(body).not.toMatch(/ (nan|undefined|[+-]inf)$/im);
  });

  it('counts reasons that are in no table together', async () => {
    const lines = await linesOf();
    expect(lines.filter((line) => line.startsWith('weft_proxy_upstream_failures_total'))).toEqual([
      'weft_proxy_upstream_failures_total{reason="refused"} 1',
      'weft_proxy_upstream_failures_total{reason="other"} 2',
    ]);
  });

  it('is bounded, whatever there is, and says how many it leaves out', async () => {
    const paths = Array.from({ length: 100 }, (_none, i) => ({ ...PATH, address: `192.0.2.${i}` }));
    const links = Array.from({ length: 300 }, (_none, i) => ({ ...LINK, link: `eth${i}` }));
    const omitted = { pathsOmitted: 5, linksOmitted: 7 };
    const lines = await linesOf({ overview: { ...OVERVIEW, paths, links, ...omitted } });
    expect(lines.filter((line) => line.startsWith('weft_path_subflows{'))).toHaveLength(64);
    expect(lines.filter((line) => line.startsWith('weft_link_up{'))).toHaveLength(64);
    expect(lines).toContain('weft_paths_left_out 41');
    expect(lines).toContain('weft_links_left_out 243');
  });

  it('keeps a hostile name within its quotes', async () => {
    const lines = await linesOf(withPath({ link: 'a"b\\c\nd\re\u2028' }));
    expect(lines.filter((line) => line.startsWith('weft_path_subflows{'))).toEqual([
      String.raw`weft_path_subflows{link="a\"b\\c\\x0ad\\x0de\\x2028",address="192.0.2.7",family="ipv4"} 3`,
    ]);
  });

  it('names no peer, no connection and no client', async () => {
    const { body } = await formatMetrics(FACTS);
    expect(body).not.toMatch(/198\.51\.100\.77|peer\.example/);
  });

  it('tells of the daemon and its plugins', async () => {
    const lines = await linesOf({ daemon: DAEMON });
    for (const line of [
      'weft_daemon_connections 4',
      'weft_daemon_overruns_total{socket="mptcp"} 1',
      'weft_daemon_plugins{state="running"} 1',
      'weft_daemon_plugin_callbacks_total{plugin="addr_adv",result="failed"} 1',
    ]) {
      expect(lines).toContain(line);
    }
  });
});

const DAEMON = {
  connections: 4,
  counters: {
    mptcpEvents: 20,
    dispatched: 18,
    unmatched: 2,
    mptcpOverruns: 1,
    networkOverruns: 0,
    resynchronisations: 1,
  },
  plugins: [
    {
      name: 'addr_adv',
      state: 'running',
      callbacks: { delivered: 9, failed: 1, late: 0, dropped: 0 },
    },
  ] as unknown as DaemonStatus['plugins'],
};

const TUNNEL: TunnelReading = {
  tunnel: 'tun0',
  connections: [
    {
      name: 'office',
      paths: [
        {
          name: 'p1',
          link: 'wlan0',
          localAddress: '192.0.2.7',
          remoteAddress: '198.51.100.77',
          weight: 3,
          state: 'stale',
          sentBytes: 1000,
          receivedBytes: 2000,
          sentBitsPerSecond: 0,
          receivedBitsPerSecond: 0,
          rttUs: 500,
          jitterUs: 20,
          lossShare: 0.25,
        },
      ],
    },
  ],
};

describe('METRICS', () => {
  it('has a value of each when everything is known', () => {
    const all = { 'socket-failed': 1 };
    const facts: MetricFacts = {
      ...FACTS,
      overview: { ...OVERVIEW, tunnels: [TUNNEL] },
      proxy: { ...PROXY, refusedByReason: { loop: 1 }, datagramsDroppedByReason: all },
      actions: { looks: 3, failures: 1, lastLookMs: 2 },
      daemon: DAEMON,
    };
    for (const { labels, name, read } of METRICS) {
      const samples = read(facts).filter(([value]) => value !== undefined);
      expect(samples.length, name).toBeGreaterThan(0);
      for (const [value, has = {}] of samples) {
        expect(value, name).toBeGreaterThanOrEqual(0);
        expect(Object.keys(has), name).toEqual(labels);
      }
    }
  });

  it('tells of the paths of tunnels, and not of the other end', async () => {
    const { body } = await formatMetrics({ ...FACTS, overview: { ...OVERVIEW, tunnels: [TUNNEL] } });
    const path = '{tunnel="tun0",connection="office",path="p1"}';
    for (const line of [
      `weft_tunnel_path_received_bytes_total${path} 2000`,
      `weft_tunnel_path_loss_ratio${path} 0.25`,
      `weft_tunnel_path_rtt_seconds${path} 0.0005`,
      'weft_tunnel_path_state{tunnel="tun0",connection="office",path="p1",state="stale"} 1',
      'weft_tunnels 1',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
    expect(body).not.toContain('198.51.100.77');
  });
});

describe('fallbackWord', () => {
  it('has a word for what the kernel and the dialer say, and "other" for the rest', () => {
    expect(fallbackWord('MPTCP is switched off (sysctl …) (ENOPROTOOPT)')).toBe('switched-off');
    expect(fallbackWord('the kernel refused MPTCP for this connection (EINVAL)')).toBe('kernel-refused');
    expect(fallbackWord('something new')).toBe('other');
  });
});

describe('Metrics', () => {
  it('asks each source once for those who scrape at the same time, and anew for the next', async () => {
    let asked = 0;
    const metrics = new Metrics({
      overview: () => {
        asked++;
        return { ...OVERVIEW, sample: asked };
      },
      kernel: () => {
        throw new Error('no /proc');
      },
    });
    const [first, second] = await Promise.all([metrics.render(), metrics.render()]);
    expect(first).toBe(second);
    expect(asked).toBe(1);
    expect((await metrics.render()).body).toContain('weft_samples_total 2');
    expect(first.body).toContain('process_cpu_seconds_total');
  });
});
