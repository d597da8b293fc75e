/** docs/policy.md: its examples are without mistakes, and its tables name every key that there is and no other. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FULLMESH_SETTINGS } from '../src/pathmanager/plugins/fullmesh.ts';
import { NDIFFPORTS_SETTINGS } from '../src/pathmanager/plugins/ndiffports.ts';
import type { SettingType } from '../src/pathmanager/plugins/plugin-settings.ts';
import { readPolicy, RULE_KEYS } from '../src/pathmanager/plugins/policy-file.ts';

const [page = '', others = ''] = readFileSync(new URL('../docs/policy.md', import.meta.url), 'utf8').split(
  '## The other plugins',
);
const shown = (type: SettingType) =>
  type.kind === 'duration'
    ? type.default / 1000
    : type.kind === 'boolean'
      ? type.default
        ? 'yes'
        : 'no'
      : type.default;

const USERS = new Map([['backup', 34]]);

it('every example is a policy', () => {
  const examples = [...page.matchAll(/```toml\n([^]*?)```/g)].map((match) => match[1]!);
  expect(examples.length).toBeGreaterThan(2);
  for (const example of examples) expect(readPolicy(example, USERS).mistakes).toEqual([]);
});

it('every key is in a table', () => {
  const rows = [...page.matchAll(/^\| `([a-z]+)` \|/gm)].map((match) => match[1]!);
  expect(rows.toSorted()).toEqual([...RULE_KEYS, 'first', 'longest'].toSorted());
});

it('every setting of the other plugins is in a table, with its default', () => {
  const rows = [...others.matchAll(/^\| `([a-z-]+)` +\| ([a-z, ]+) \| (\w+) +\|/gm)];
  const documented = rows.flatMap(([, name, plugins, value]) =>
    plugins!.split(',').map((plugin) => `${plugin.trim()} ${name} ${value}`),
  );
  const known = Object.entries({ fullmesh: FULLMESH_SETTINGS, ndiffports: NDIFFPORTS_SETTINGS }).flatMap(
    ([plugin, settings]) =>
      Object.entries<SettingType>(settings).map(([name, type]) => `${plugin} ${name} ${shown(type)}`),
  );
  expect(documented.toSorted()).toEqual(known.toSorted());
});

it('the mistakes are those that the plugin tells', () => {
  const example = /```toml\n([^]*?)```/.exec(page)![1]!;
  const wrong = example.replace('# /etc/weft/policy.toml\n\n', '').replace('"backup"\n', '"bakcup"\n');
  const { mistakes } = readPolicy(wrong.replace('interfaces =', 'interface ='), USERS);
  const lines = mistakes.map(({ line, text }) => `/etc/weft/policy.toml:${line}: ${text}`);
  expect(page).toContain(`\`\`\`\n${lines.join('\n')}\n\`\`\``);
});
