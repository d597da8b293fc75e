/**
 * docs/metrics.md lists every metric and every reason as the code has them, and nothing else; the dashboard asks only for
 * metrics and labels that exist. WEFT_UPDATE_DOCS=1 writes the tables anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { METRICS, REASONS } from '../src/service/metrics/index.ts';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const page = at('docs/metrics.md');

const code = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(', ');

function metricsTable(): string {
  const rows = METRICS.map(
    ({ help, labels, name, type }) => `| \`${name}\` | ${type} | ${code(labels)} | ${help} |`,
  );
  return ['| metric | type | labels | what it is |', '|---|---|---|---|', ...rows].join('\n');
}

function reasonsTable(): string {
  const rows = Object.entries(REASONS).map(
    ([name, words]) => `| \`${name}\` | ${code([...words].toSorted())} |`,
  );
  return ['| metric | values of `reason`, and `other` |', '|---|---|', ...rows].join('\n');
}

const TABLES = { metrics: metricsTable, reasons: reasonsTable } as const;

const between = (name: string) => new RegExp(`(<!-- table of ${name} -->\n\n)([^]*?)(\n*<!-- end -->)`);

describe('docs/metrics.md', () => {
  it.each(['metrics', 'reasons'] as const)('has the table of %s as the code has it', (name) => {
    const text = readFileSync(page, 'utf8');
    const table = TABLES[name]();
    if (process.env['WEFT_UPDATE_DOCS'] === '1') {
      writeFileSync(
        page,
        text.replace(between(name), (_all, head: string) => `${head}${table}\n\n<!-- end -->`),
      );
      return;
    }
    expect(between(name).exec(text)?.[2]).toBe(table);
  });

  it('asks for nothing else in its examples', () => {
    const known = new Set(METRICS.map(({ name }) => name));
    const named = readFileSync(page, 'utf8').match(/\bweft_[a-z0-9_]+/g) ?? [];
    expect(named.length).toBeGreaterThan(METRICS.length / 2);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('the metrics', () => {
  it('have names, units and help as OpenMetrics wants them', () => {
    for (const { help, labels, name, type } of METRICS) {
      expect(name).toMatch(/^(weft|process)_[a-z0-9_]+[a-z0-9]$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      // Prefixes and units that are no base units.
      expect(name).not.toMatch(/_(ms|us|bits|kb|mb|percent|milliseconds)(_|$)/);
      expect(help).toMatch(/^[A-Z][^"\\\n]{10,200}[^.]$/);
      for (const label of labels) expect(label).toMatch(/^[a-z]+$/);
    }
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  });

  it('have no label of connections, peers or clients', () => {
    const labels = new Set(METRICS.flatMap((metric) => metric.labels));
    expect([...labels].toSorted()).toEqual(
      'action address connection counter direction family group link mode owner path plugin program protocol reason result socket state tunnel version'.split(
        ' ',
      ),
    );
    // A tunnel's connection is a name of its configuration.
    const named = METRICS.filter((metric) => metric.labels.includes('connection'));
    for (const { name } of named) expect(name).toMatch(/^weft_tunnel_path_/);
  });
});

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly Target[];
}

describe('packaging/grafana-weft.json', () => {
  const text = readFileSync(at('packaging/grafana-weft.json'), 'utf8');
  const dashboard = JSON.parse(text) as { panels: readonly Panel[] };
  const targets = dashboard.panels.flatMap(({ targets: all = [] }) => all);
  /** Those that Prometheus adds. */
  const ADDED = ['job', 'instance'];
  const labelsOf = (names: readonly string[]) =>
    new Set([
      ...ADDED,
      ...METRICS.filter(({ name }) => names.includes(name)).flatMap(({ labels }) => labels),
    ]);

  it('asks only for metrics that exist, and for labels that they have', () => {
    const known = new Set(METRICS.map(({ name }) => name));
    expect(targets.length).toBeGreaterThan(20);
    for (const { expr, legendFormat } of targets) {
      const names = expr.match(/\b(?:weft|process)_[a-z0-9_]+/g) ?? [];
      expect(names.length, expr).toBeGreaterThan(0);
      for (const name of names) expect(known, expr).toContain(name);
      const labels = [
        ...[...expr.matchAll(/[{,]\s*([a-z_]+)\s*(?:=~|!~|!=|=)"/g)].map((match) => match[1]!),
        ...[...expr.matchAll(/\b(?:by|without) \(([^)]*)\)/g)].flatMap((match) => match[1]!.split(/,\s*/)),
        ...[...legendFormat.matchAll(/\{\{([^}]+)\}\}/g)].map((match) => match[1]!.trim()),
      ];
      for (const label of labels) expect(labelsOf(names), `${label} in ${expr}`).toContain(label);
    }
  });

  it('takes the growth of counters and the value of gauges', () => {
    for (const { expr } of targets) {
      for (const { name, type } of METRICS) {
        const uses = [...expr.matchAll(new RegExp(`(\\w+\\()?\\b${name}\\b`, 'g'))];
        for (const [, call = ''] of uses) {
          expect(/^(rate|increase)\($/.test(call), expr).toBe(type === 'counter');
        }
      }
    }
  });

  it('has a number of its own for each panel, and no address of anybody', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(text).not.toMatch(/https?:/);
  });
});
