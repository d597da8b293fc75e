/**
 * packaging/: the configuration file is one that the daemon takes, with every example in it; the manual page is sound
 * and names what there is; the unit gives the daemon what it needs and no more.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mptcpdHelp } from '../src/cli/compat/mptcpd-texts.ts';
import { parseConfigFile } from '../src/service/daemon/config-file.ts';

const pathOf = (name: string) => fileURLToPath(new URL(`../packaging/${name}`, import.meta.url));
const textOf = (name: string) => readFileSync(pathOf(name), 'utf8');

/** A page for terminals makes letters bold with a backspace between two of them. */
const withoutBold = (page: string) =>
  page
    .split('\b')
    .map((part, index, parts) => (index < parts.length - 1 ? part.slice(0, -1) : part))
    .join('');

describe('mptcpd.conf', () => {
  const text = textOf('mptcpd.conf');

  it('says what is built in', () => {
    expect(parseConfigFile(text)).toEqual({
      options: { log: 'stderr', pathManager: 'addr_adv', rules: [], pluginSettings: new Map() },
    });
  });

  it('has examples that are right, for every key and every kind of section', () => {
    const examples = text.replaceAll(/^#(?=[a-z[])/gm, '');
    const file = parseConfigFile(examples);
    if (!('options' in file)) throw new Error(JSON.stringify(file.problems));
    const { pluginSettings, rules, ...core } = file.options;
    expect(Object.keys(core).sort()).toEqual(
      [
        'addressFlags',
        'atExit',
        'callbackBudgetMs',
        'log',
        'loadPlugins',
        'notifyFlags',
        'pathManager',
        'pluginDirectory',
      ].sort(),
    );
    expect(new Set(rules.flatMap((rule) => Object.keys(rule)))).toEqual(
      new Set(['interface', 'kind', 'metric', 'use', 'flags', 'flags4', 'flags6']),
    );
    expect([...pluginSettings.keys()]).toEqual(['policy']);
  });
});

describe('mptcpd.8', () => {
  it('has nothing that mandoc complains of', () => {
    const lint = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', pathOf('mptcpd.8')], {
      encoding: 'utf8',
    });
    expect(lint).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('names every option of the help, and every key of the file', () => {
    const { stdout } = spawnSync('mandoc', ['-T', 'ascii', pathOf('mptcpd.8')], { encoding: 'utf8' });
    const page = withoutBold(stdout);
    const options = [...mptcpdHelp('mptcpd').matchAll(/--[a-z-]+(?:=[A-Z]+)?/g)].map(([option]) => option);
    const forms = options.filter((option) => !option.includes('=addr'));
    expect(forms.length).toBeGreaterThan(9);
    const keys = [...textOf('mptcpd.conf').matchAll(/^#?([a-z][a-z0-9-]+) = /gm)].map(([, key = '']) => key);
    expect(keys.length).toBeGreaterThan(10);
    for (const word of [...forms, ...keys]) expect(page).toContain(word);
  });
});

describe('mptcp.service', () => {
  const settings = new Map(
    [...textOf('mptcp.service').matchAll(/^([A-Za-z]+)=(.*)$/gm)].map(([, key = '', value = '']) => [
      key,
      value,
    ]),
  );

  it('waits for readiness, watches, reloads, and has one capability', () => {
    expect(Object.fromEntries(settings)).toMatchObject({
      Type: 'notify',
      DynamicUser: 'yes',
      CapabilityBoundingSet: 'CAP_NET_ADMIN',
      AmbientCapabilities: 'CAP_NET_ADMIN',
      RuntimeDirectory: 'mptcpd',
      RuntimeDirectoryMode: '0700',
      WatchdogSec: '30',
      ExecReload: '/bin/kill -HUP $MAINPID',
      ExecStart: 'mptcpd --log=journal',
      WantedBy: 'multi-user.target',
    });
    // Node needs these two as they are by default.
    for (const never of ['MemoryDenyWriteExecute', 'LimitNPROC'])
      expect([...settings.keys()]).not.toContain(never);
  });
});
