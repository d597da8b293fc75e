/** docs/daemon.md shows mptcpd's help as it is printed, and every key of the file. WEFT_UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { mptcpdHelp } from '../src/cli/compat/mptcpd-texts.ts';
import { parseConfigFile } from '../src/service/daemon/config-file.ts';
import {
  ADDRESS_FLAGS,
  AT_EXIT,
  LOG_DESTINATIONS,
  NOTIFY_FLAGS,
} from '../src/service/daemon/option-values.ts';

const PAGE = fileURLToPath(new URL('../docs/daemon.md', import.meta.url));
const HELP = /(?<=<!-- help of mptcpd -->\n\n```\n)[^`]*?(?=```\n)/;

it('the help', () => {
  const page = readFileSync(PAGE, 'utf8');
  const help = mptcpdHelp('mptcpd').replaceAll('`', "'");
  if (process.env['WEFT_UPDATE_DOCS'] === '1')
    writeFileSync(
      PAGE,
      page.replace(HELP, () => help),
    );
  else expect(HELP.exec(page)?.[0]).toBe(help);
});

it('every key of [core], with its values', () => {
  const page = readFileSync(PAGE, 'utf8');
  const file = parseConfigFile('[core]\nzzzzzzzzzzzzzzz=1');
  const [, keys = ''] = ('problems' in file && /\(it has (.*)\)/.exec(file.problems[0]?.text ?? '')) || [];
  const documented = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, key = '']) => key);
  expect(documented).toEqual(expect.arrayContaining(keys.split(', ')));
  const words = [...ADDRESS_FLAGS, ...NOTIFY_FLAGS, ...LOG_DESTINATIONS, ...AT_EXIT];
  for (const word of words) expect(page).toContain(`\`${word}\``);
});

it('the example of the file is one', () => {
  const page = readFileSync(PAGE, 'utf8');
  const [, example = ''] = /```ini\n([\s\S]*?)```/.exec(page) ?? [];
  expect(example).toContain('[core]');
  expect(parseConfigFile(example)).toHaveProperty('options');
});
