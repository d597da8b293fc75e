import { describe, expect, it } from 'vitest';
import { configPath } from './load-options.ts';
import { describeChanges, EMPTY_FILE, mergeOptions } from './options.ts';

const FILE = { ...EMPTY_FILE, log: 'journal', addressFlags: ['subflow'], pathManager: 'sspi' } as const;

describe('three sources', () => {
  it('built in: nothing is asked for', () => {
    expect(mergeOptions({}, EMPTY_FILE)).toEqual({
      debug: false,
      log: 'stderr',
      pathManager: 'addr_adv',
      addressFlags: [],
      notifyFlags: ['skip_link_local', 'skip_loopback'],
      atExit: 'remove',
      callbackBudgetMs: 5000,
      rules: [],
      pluginSettings: new Map(),
    });
  });

  it('the command line, then the file, for each key by itself', () => {
    const merged = mergeOptions({ log: 'syslog', notifyFlags: ['existing'] }, FILE);
    expect(merged).toMatchObject({
      log: 'syslog',
      pathManager: 'sspi',
      addressFlags: ['subflow'],
      notifyFlags: ['existing'],
    });
  });

  it('addr_adv has the connections, unless it is not loaded', () => {
    expect(mergeOptions({ loadPlugins: ['sspi', 'addr_adv'] }, EMPTY_FILE).pathManager).toBe('addr_adv');
    expect(mergeOptions({ loadPlugins: ['sspi'] }, EMPTY_FILE).pathManager).toBeUndefined();
    expect(mergeOptions({ loadPlugins: ['sspi'] }, FILE).pathManager).toBe('sspi');
  });

  it('an empty list on the command line takes away what the file says', () => {
    expect(mergeOptions({ addressFlags: [] }, FILE).addressFlags).toEqual([]);
  });
});

describe('what a new reading changes', () => {
  const before = mergeOptions({}, FILE);

  it('nothing', () => {
    expect(describeChanges(before, mergeOptions({}, { ...FILE, rules: [] }))).toEqual({
      now: [],
      atRestart: [],
    });
  });

  it('now, or at the next start', () => {
    const after = mergeOptions(
      {},
      {
        ...EMPTY_FILE,
        addressFlags: [],
        pluginDirectory: '/x',
        callbackBudgetMs: 100,
        rules: [{ interface: 'wl*', use: false }],
        pluginSettings: new Map([['policy', { file: 'x' }]]),
      },
    );
    expect(describeChanges(before, after)).toEqual({
      now: [
        'log: "journal" → "stderr"',
        'path-manager: "sspi" → "addr_adv"',
        'addr-flags: subflow → none',
        'rules for interfaces changed',
        'settings of plugins changed',
      ],
      atRestart: ['plugin-dir: not set → "/x"', 'callback-budget: 5 s → 0.1 s'],
    });
  });
});

it('the file is mptcpd’s, unless the environment names another', () => {
  expect(configPath({})).toEqual({ path: '/etc/mptcpd/mptcpd.conf', named: false });
  expect(configPath({ WEFT_MPTCPD_CONF: '' })).toEqual({ path: '/etc/mptcpd/mptcpd.conf', named: false });
  expect(configPath({ WEFT_MPTCPD_CONF: '/x' })).toEqual({ path: '/x', named: true });
});
