import { describe, expect, it } from 'vitest';
import { judgeSummary, type DemoState, type DemoSummary } from './demo-state.ts';
import { drawDemo, plainLine, summaryLines } from './demo-view.ts';

const uplink = { capacityBps: 100e6, delayMs: 10, cut: false };
const during: DemoState = {
  phase: 'cut',
  elapsedMs: 12_340,
  uplinks: [
    { ...uplink, name: 'wifi0', rateBps: 0, cut: true },
    { ...uplink, name: 'lte0', rateBps: 50e6 },
  ],
  historyBps: [0, 100e6, 200e6, 50e6],
  download: { bytes: 12e6, totalBytes: 200e6 },
  results: { singleBps: 93e6, bothBps: 186e6 },
};
const plain = { width: 80, color: false, unicode: true };

describe('drawDemo', () => {
  it('is this picture', () => {
    expect(drawDemo(during, plain).map((line) => line.trimEnd())).toEqual([
      'weft lab  12.3 s  the first uplink is cut, and nobody is told',
      '',
      '   wifi0                                  0 bit/s of 100 Mbit/s, 10 ms  cut',
      '   lte0   █████████████▌              50.0 Mbit/s of 100 Mbit/s, 10 ms  up',
      '   in all ██████▊                     50.0 Mbit/s',
      '          ▁▅█▃',
      '',
      '   one path: plain TCP over wifi0           93.0 Mbit/s',
      '   both paths, through weft up              186 Mbit/s, 2.00 times one',
      ' > wifi0 cut in the middle                  …',
      '   wifi0 brought back',
      '',
      '   12.0 MB of 200 MB',
    ]);
  });

  it('has the same number of lines in every phase, none wider than the terminal', () => {
    const phases = ['build', 'single', 'start', 'both', 'cut', 'restored', 'done'] as const;
    for (const width of [20, 40, 79, 200]) {
      const heights = phases.map((phase) => {
        const state: DemoState = { ...during, phase, download: undefined, results: {} };
        const lines = drawDemo(state, { ...plain, width });
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
        return lines.length;
      });
      expect(new Set(heights).size).toBe(1);
    }
  });

  it('has colours only on request, and they do not count as width', () => {
    const colored = drawDemo(during, { ...plain, color: true });
    expect(colored.join('\n')).toContain('\u001B[31mcut\u001B[0m');
    // oxlint-disable-next-line no-control-regex -- this is about control characters
    const stripped = colored.map((line) => line.replaceAll(/\u001B\[\d*m/g, ''));
    expect(stripped).toEqual(drawDemo(during, plain));
  });

  it('keeps to ASCII where the terminal knows nothing else', () => {
    const text = drawDemo({ ...during, phase: 'both' }, { ...plain, unicode: false }).join('\n');
    expect(text).toMatch(/lte0 {3}#{13}\.{14} /);
    expect(text).not.toMatch(/[█▁]/);
  });
});

it('plainLine says what the picture says', () => {
  expect(plainLine(during)).toBe(' 12.3 s  wifi0 0 bit/s (cut)  lte0 50.0 Mbit/s  in all 50.0 Mbit/s');
});

const summary: DemoSummary = {
  singleBps: 93e6,
  bothBps: 184e6,
  ratio: 184 / 93,
  stallMs: 312,
  cutBps: 92e6,
  backAfterMs: 1234,
  totalBytes: 200e6,
  sha256: '0123456789abcdef0123',
  intact: true,
  uplinks: [
    { name: 'wifi0', receivedBytes: 90e6 },
    { name: 'lte0', receivedBytes: 120e6 },
  ],
};

it('summaryLines are aligned and complete', () => {
  expect(summaryLines(summary)).toEqual([
    'one path (wifi0, plain TCP)    93.0 Mbit/s',
    'both paths (through weft up)   184 Mbit/s, 1.98 times one path',
    'stall when wifi0 was cut       312 ms, then 92.0 Mbit/s over lte0',
    'wifi0 when it was back         carried again after 1.2 s',
    'bytes per path                 wifi0 90.0 MB, lte0 120 MB',
    'download                       200 MB, intact (SHA-256 0123456789abcdef…)',
  ]);
  const { stallMs: _stall, cutBps: _cut, backAfterMs: _back, ...withoutCut } = summary;
  expect(summaryLines({ ...withoutCut, intact: false }).join('\n')).not.toMatch(/cut|back/);
  expect(summaryLines({ ...withoutCut, intact: false }).join('\n')).toContain('NOT INTACT');
});

it('judgeSummary wants an intact download and at least half of what the second path can add', () => {
  const equal = [100e6, 100e6];
  expect(judgeSummary(summary, equal)).toBeUndefined();
  expect(judgeSummary({ ...summary, intact: false }, equal)).toMatch('not intact');
  expect(judgeSummary({ ...summary, ratio: 1.4 }, equal)).toMatch('only 1.40 times one; 2.00');
  expect(judgeSummary({ ...summary, ratio: 2.6 }, equal)).toMatch('cannot be');
  expect(judgeSummary({ ...summary, ratio: 1.2 }, [100e6, 20e6])).toBeUndefined();
});
