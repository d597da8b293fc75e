/** docs/proxy.md and packaging/rules.toml say what the rules file can have, and what they show is understood. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import {
  LIMIT_KEYS,
  readRulesDocument,
  ROOT_KEYS,
  RULE_KEYS,
  UPSTREAM_KEYS,
  USER_KEYS,
} from '../src/service/proxy-rules-document.ts';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

it('every key is documented, and no other', () => {
  const page = read('docs/proxy.md');
  const documented = [...page.matchAll(/^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|/gm)].flatMap((match) =>
    [...match[1]!.matchAll(/`([a-z_]+)`/g)].map((key) => key[1]!),
  );
  const keys = [...RULE_KEYS, ...UPSTREAM_KEYS, ...USER_KEYS, ...LIMIT_KEYS];
  expect(documented.toSorted()).toEqual(keys.toSorted());
  for (const key of ROOT_KEYS) expect(page).toMatch(new RegExp(`\\[${key}[\\].]|\`${key} = `));
});

it('the examples are understood', () => {
  const blocks = [...read('docs/proxy.md').matchAll(/^```toml\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
  expect(blocks.length).toBeGreaterThan(0);
  for (const block of blocks) expect(readRulesDocument(block).mistakes).toEqual([]);
});

it('the file of the package is understood as it is, and with everything in it that is commented out', () => {
  const file = read('packaging/rules.toml');
  expect(readRulesDocument(file).mistakes).toEqual([]);
  const verifier = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`;
  const whole = file.replaceAll(/^#(?=[a-z[])/gm, '').replace(/\$scrypt\$\S*…/, verifier);
  const { document, mistakes } = readRulesDocument(whole);
  expect(mistakes).toEqual([]);
  expect(document).toMatchObject({ defaultWay: { kind: 'multipath' }, limits: { connections: 200 } });
  expect(document?.rules.length).toBe(3);
  expect(document?.upstreams.map(({ name }) => name)).toEqual(['home', 'office']);
});
