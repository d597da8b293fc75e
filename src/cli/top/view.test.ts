import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionDetail, ConnectionReading, ObservedEvent, Overview } from '../../service/index.ts';
import { anOverview, aPath } from '../../service/observe/test-readings.ts';
import { HELP_LINES } from './help.ts';
import { lengthOf, renderLine } from './line.ts';
import { TopState, type View } from './state.ts';
import { LEAST_COLUMNS, LEAST_ROWS, picture, snapshotLines, type Frame } from './view.ts';

const WLAN = {
  subflows: 3,
  sentBitsPerSecond: 1_200_000,
  receivedBitsPerSecond: 94_300_000,
  lossShare: 0.003,
  rttUs: 12_400,
};

const overview = (part: Partial<Overview> = {}): Overview =>
  anOverview({
    time: 0,
    version: '1.2.3',
    upForMs: 65_000,
    multipath: { inUse: true, explanation: ['Multipath is in use: 2 paths.'] },
    paths: [
      aPath('wlan0 192.0.2.7', WLAN),
      aPath('lte0 198.51.100.3', {
        ...WLAN,
        state: 'down',
        why: 'the link does not carry',
        receivedBitsPerSecond: 0,
      }),
    ],
    tunnels: [
      {
        tunnel: 'tun0',
        connections: [
          {
            name: 'office',
            paths: [
              {
                name: 'p1',
                localAddress: '192.0.2.7',
                remoteAddress: '203.0.113.9',
                weight: 3,
                state: 'active',
                sentBitsPerSecond: 100,
                receivedBitsPerSecond: 200,
                rttUs: 500,
              },
            ],
          },
        ],
      },
    ],
    totals: {
      connections: 12,
      mptcp: 10,
      fallbacks: 2,
      subflows: 20,
      severalPaths: 9,
      sentBitsPerSecond: 1_200_000,
      receivedBitsPerSecond: 94_300_000,
      retransmissionsPerSecond: 0,
    },
    ...part,
  });

const connection = (part: Partial<ConnectionReading>): ConnectionReading => ({
  id: 'm1f00ba7',
  owner: 'program',
  program: 'curl',
  pid: 99,
  localAddress: '192.0.2.7',
  localPort: 40_000,
  remoteAddress: '203.0.113.10',
  remotePort: 443,
  protocol: 'mptcp',
  state: 'established',
  subflowCount: 2,
  links: ['wlan0', 'lte0'],
  sentBytes: 1000,
  receivedBytes: 5_000_000,
  sentBitsPerSecond: 1000,
  receivedBitsPerSecond: 90_000_000,
  rttUs: 12_000,
  retransmittedSegments: 7,
  openForMs: 65_000,
  ...part,
});

const event = (text: string, part: Partial<ObservedEvent> = {}): ObservedEvent => ({
  time: 0,
  kind: 'path',
  event: 'down',
  text,
  fields: {},
  ...part,
});

function filled(rows: readonly ConnectionReading[] = [connection({})]): TopState {
  const state = new TopState({ name: 'the running Weft' });
  state.handleOverview(overview());
  state.handlePage({ time: 0, total: rows.length, found: rows.length, rows }, 0);
  state.handleEvents([event('lte0 198.51.100.3 is down: the link does not carry')]);
  return state;
}

const FRAME: Frame = { width: 79, rows: 24, color: false, unicode: true };

const shown = (state: TopState, frame: Partial<Frame> = {}) => {
  const full = { ...FRAME, ...frame };
  return picture(state, full).lines.map((line) => renderLine(line, full).trimEnd());
};

describe('picture', () => {
  it('has everything on 80 columns and 24 rows', () => {
    const lines = shown(filled());
    expect(lines).toHaveLength(24);
    const text = lines.join('\n');
    expect(lines[0]).toMatch(
      /^weft top {2}laptop {2}the running Weft, process 4711, for 1 min 5 s +\d\d:\d\d:\d\d$/,
    );
    expect(lines[1]).toBe('Multipath is in use: 2 paths.');
    expect(lines[2]).toBe('↓ 94.3M ↑ 1.2M bit/s  12 connections: 10 MPTCP, 9 on several paths, 2 fallbacks');
    expect(text).toMatch(/^PATH +STATE +DOWN +UP +RTT +LOSS/m);
    expect(text).toMatch(/^wlan0 192\.0\.2\.7 +active +94\.3M █+ +1\.2M +.* 12\.4ms +0\.3%/m);
    expect(text).toMatch(/^lte0 198\.51\.100\.3 +down/m);
    expect(text).toMatch(/^ {2}└ the link does not carry/m);
    expect(text).toMatch(/^tun0 office p1 +active +200 +100 +500us/m);
    expect(text).toMatch(/^> curl +203\.0\.113\.10:443 +wlan0,lt(?:e0|…) +mptcp/m);
    expect(text).toMatch(/^\d\d:\d\d:\d\d path +lte0 198\.51\.100\.3 is down/m);
    expect(lines.at(-1)).toMatch(/^q quit {2}\? help {2}s sort: rate/);
  });

  it('fits every size, in each view, with hostile texts', () => {
    const hostile = '\u001b[2J<img src=x>\u202e\u4e2d\n';
    const state = filled([
      connection({ program: hostile, target: hostile, links: [hostile], fallbackReason: hostile }),
      connection({ id: 'p17', owner: 'proxy', protocol: 'tcp' }),
    ]);
    state.handleOverview(
      overview({
        hostname: hostile,
        multipath: { inUse: false, explanation: [hostile] },
        paths: Array.from({ length: 20 }, (_none, i) =>
          aPath('wlan0 192.0.2.7', { id: `${hostile}${i}`, why: hostile }),
        ),
      }),
    );
    state.handleEvents(Array.from({ length: 50 }, () => event(hostile)));
    state.trouble = hostile;
    state.followed = {
      id: 'm1',
      detail: {
        ...connection({ target: hostile }),
        subflows: [
          {
            localAddress: '2001:db8:1111:2222:3333:4444:5555:6666',
            localPort: 50_000,
            remoteAddress: '203.0.113.10',
            remotePort: 443,
            link: hostile,
            initial: true,
            backup: false,
            state: 'stale',
            why: hostile,
            tcpState: 'established',
            congestionControl: hostile,
          },
        ],
      },
    };
    const views: View[] = ['overview', 'connections', 'events', 'connection', 'help'];
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 250 }),
        fc.integer({ min: 1, max: 80 }),
        fc.constantFrom(...views),
        fc.boolean(),
        (width, rows, view, unicode) => {
          state.view = view;
          const { lines, room } = picture(state, { width, rows, color: false, unicode });
          expect(room).toBeGreaterThan(0);
          expect(lines.length).toBeLessThanOrEqual(rows);
          if (width + 1 >= LEAST_COLUMNS && rows >= LEAST_ROWS) expect(lines).toHaveLength(rows);
          const text = lines.map((line) => renderLine(line, { width, color: false, unicode })).join('');
          expect(text).toMatch(unicode ? /^[ -~\u00a0-\u024f█▉▊▋▌▍▎▏└…↓↑]*$/ : /^[ -~]*$/);
        },
      ),
    );
  });

  it('says so when there is no room', () => {
    expect(shown(filled(), { width: 30 }).join('')).toMatch(/^too small: 40 columns/);
    expect(shown(filled(), { rows: 5 }).join('')).toMatch(/^too small/);
  });

  it('says that the source is lost, and that it is paused, and which words are searched for', () => {
    const state = filled();
    state.source = { name: 'the running Weft', lostAtMs: 0 };
    state.paused = true;
    state.search = 'curl';
    state.handlePage({ time: 0, total: 3, found: 0, rows: [] }, 0);
    const text = shown(state).join('\n');
    expect(text).toMatch(/^lost the running Weft at \d\d:\d\d:\d\d; trying again; paused: p goes on$/m);
    expect(text).toContain('with "curl"');
    expect(text).toContain('none is found; Esc shows all');
  });

  it('cuts many paths and says how many there are', () => {
    const state = filled();
    state.handleOverview(
      overview({ paths: Array.from({ length: 30 }, (_none, i) => aPath(`eth${i} 10.0.0.1`, WLAN)) }),
    );
    expect(shown(state).join('\n')).toMatch(/^ {2}and \d+ more paths$/m);
    expect(shown(state).join('\n')).toContain('203.0.113.10:443');
  });

  it('shows the followed connection with its subflows, and that it has ended', () => {
    const state = filled();
    state.handleKey({ name: 'enter' }, 10);
    const detail: ConnectionDetail = {
      ...connection({ target: 'example.org:443', owner: 'proxy', client: '127.0.0.1:5000' }),
      subflowsMax: 8,
      denyJoinId0: true,
      subflows: [
        {
          localAddress: '192.0.2.7',
          localPort: 40_000,
          remoteAddress: '203.0.113.10',
          remotePort: 443,
          link: 'wlan0',
          initial: true,
          backup: false,
          state: 'stale',
          why: 'three retransmission timeouts',
          tcpState: 'established',
          windowSegments: 10,
        },
      ],
    };
    state.handleDetail('m1f00ba7', detail, 0);
    const text = shown(state).join('\n');
    expect(text).toMatch(/^connection m1f00ba7 {2}example\.org:443$/m);
    expect(text).toMatch(/^ {2}subflows +2; 8 beside the first are allowed$/m);
    expect(text).toMatch(/C flag/);
    expect(text).toMatch(/^192\.0\.2\.7:40000 .*stale/m);
    expect(text).toMatch(/└ three retransmission timeouts/);
    state.handleDetail('m1f00ba7', undefined, 0);
    expect(shown(state).join('\n')).toMatch(/it has ended, before/);
  });

  it('has room for its help', () => {
    expect(HELP_LINES.length).toBeLessThanOrEqual(20);
    for (const line of HELP_LINES) expect(line.length).toBeLessThan(80);
    const state = filled();
    state.handleKey({ name: 'text', text: '?' }, 10);
    expect(shown(state).join('\n')).toContain('any key: back');
  });
});

describe('snapshotLines', () => {
  it('has paths, tunnels and all the rows that were asked for', () => {
    const rows = Array.from({ length: 40 }, (_none, i) => connection({ id: `m${i}`, remotePort: 1000 + i }));
    const lines = snapshotLines(filled(rows), FRAME);
    const text = lines.map((line) => renderLine(line, FRAME).trimEnd()).join('\n');
    expect(text).toContain(':1039');
    expect(text).toContain('1-40 of 40');
    expect(Math.max(...lines.map(lengthOf))).toBeLessThan(200);
  });
});
