/** docs/web.md has every code that the page's server refuses with, each with its status, and no other. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const pathOf = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

it('the codes and their statuses', () => {
  const found = new Set<string>();
  for (const name of readdirSync(pathOf('src/web')).filter((file) => /(?<!\.test)\.ts$/.test(file))) {
    const text = readFileSync(pathOf(`src/web/${name}`), 'utf8').replaceAll(/\s+/g, ' ');
    for (const [, status, code] of text.matchAll(/refused\( ?(\d{3}), '([A-Z_]+)'/g))
      found.add(`${code} ${status}`);
    for (const [, status, code] of text.matchAll(/status: (\d{3}), code: '([A-Z_]+)'/g))
      found.add(`${code} ${status}`);
    for (const [, status, code] of text.matchAll(/sendFailure\(response, (\d{3}), \{[^}]*code: '([A-Z_]+)'/g))
      found.add(`${code} ${status}`);
    for (const [, code] of text.matchAll(/\.\.\.NO_KEY, code: '([A-Z_]+)'/g)) found.add(`${code} 401`);
  }
  // As the control calls say of a call that there is not.
  found.delete('NO_SUCH_CALL 404');
  expect(found.size).toBeGreaterThan(9);
  const page = readFileSync(pathOf('docs/web.md'), 'utf8');
  const told = [...page.matchAll(/^\| `([A-Z_]+)` \| ([\d, ]+) \|/gm)].flatMap(
    ([, code = '', statuses = '']) => statuses.split(', ').map((status) => `${code} ${status}`),
  );
  expect(told.sort()).toEqual([...found].sort());
});
