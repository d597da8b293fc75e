/**
 * Links with names that are legal and that programs stumble over: those of JavaScript's own properties, of markup, of
 * terminals' and shells' grammar. `weft up` starts, tells of them, and changes what is meant.
 */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { readHostAddresses } from '../src/netlink/index.ts';
import type { LabNode } from '../src/lab/index.ts';
import { useTestLabs } from './support/test-labs.ts';
import { readStatus, runWeft, startWeft } from './support/weft-program.ts';

const { loneHost } = useTestLabs('odd');

const NAMES = ['constructor', '__proto__', 'toString', 'a"b\\c', '<b>x', "a'$(id)", 'ü€', '\u001b[31m', '-x'];

function addLinks(node: LabNode): void {
  NAMES.forEach((name, index) => {
    const ip = (...words: string[]) => node.inside(() => execFileSync('ip', words));
    ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', `peer${index}`);
    ip('link', 'set', `peer${index}`, 'up');
    ip('link', 'set', 'dev', name, 'up');
    ip('addr', 'add', `10.77.${index}.2/24`, 'dev', name);
  });
}

it('starts, tells of every link, and makes the one that is meant backup', async () => {
  const node = loneHost();
  addLinks(node);
  const addresses = node.inside(() => readHostAddresses());
  expect(NAMES.map((name) => addresses.find(({ link }) => link === name)?.address)).toEqual(
    NAMES.map((_, index) => `10.77.${index}.2`),
  );
  const weft = await startWeft(node, ['--web', '0']);
  const { paths, ignoredLinks } = await readStatus(node);
  const told = new Set([...paths, ...ignoredLinks].map(({ link }) => link));
  expect(NAMES.filter((name) => !told.has(name))).toEqual([]);
  for (const name of NAMES) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as somebody types
    const { code, stderr, stdout } = await runWeft(node, 'path', '--', name, 'backup');
    expect([name, code, stderr]).toEqual([name, 0, '']);
    // oxlint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/\u001b/);
  }
  expect(await weft.stop()).toBe(0);
  // oxlint-disable-next-line no-control-regex
  expect(weft.stderr).not.toMatch(/\u001b/);
});
