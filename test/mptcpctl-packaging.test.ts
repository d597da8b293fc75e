/** packaging/: the manual page of mptcpctl is sound and names what there is; the unit of `weft up` has what that needs. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MPTCPCTL_COMMANDS, MPTCPCTL_USAGE } from '../src/cli/compat/mptcpctl-grammar.ts';

const pathOf = (name: string) => fileURLToPath(new URL(`../packaging/${name}`, import.meta.url));

/** A page for terminals makes letters bold with a backspace between two of them. */
const withoutBold = (page: string) =>
  page
    .split('\b')
    .map((part, index, parts) => (index < parts.length - 1 ? part.slice(0, -1) : part))
    .join('');

describe('mptcpctl.8', () => {
  it('has nothing that mandoc complains of', () => {
    const lint = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', pathOf('mptcpctl.8')], {
      encoding: 'utf8',
    });
    expect(lint).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('names every command and option of the help', () => {
    const { stdout } = spawnSync('mandoc', ['-T', 'ascii', pathOf('mptcpctl.8')], { encoding: 'utf8' });
    const page = withoutBold(stdout);
    const options = [...MPTCPCTL_USAGE.matchAll(/^ {2}(--[a-z]+)/gm)].map(([, option = '']) => option);
    expect(options.length).toBeGreaterThan(3);
    for (const word of [...MPTCPCTL_COMMANDS, ...options]) expect(page).toContain(word);
  });
});

describe('weft.service', () => {
  const settings = new Map(
    [...readFileSync(pathOf('weft.service'), 'utf8').matchAll(/^([A-Za-z]+)=(.*)$/gm)].map(
      ([, key = '', value = '']) => [key, value],
    ),
  );

  it('starts "weft up", reloads it by SIGHUP, and gives it time to undo what it made', () => {
    expect(Object.fromEntries(settings)).toMatchObject({
      ExecStart: 'weft up',
      ExecReload: '/bin/kill -HUP $MAINPID',
      RuntimeDirectory: 'weft',
      RuntimeDirectoryMode: '0700',
      RuntimeDirectoryPreserve: 'restart',
      StateDirectory: 'weft',
      WantedBy: 'multi-user.target',
    });
    expect(Number(settings.get('TimeoutStopSec'))).toBeGreaterThan(15);
    expect(settings.get('CapabilityBoundingSet')).toMatch(/\bCAP_NET_ADMIN\b/);
    // Node needs these two as they are by default.
    for (const never of ['MemoryDenyWriteExecute', 'LimitNPROC'])
      expect([...settings.keys()]).not.toContain(never);
  });
});
