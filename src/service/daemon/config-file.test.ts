import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EndpointFlag } from '../../mptcp/index.ts';
import { parseConfigFile } from './config-file.ts';
import { parseIni, PROBLEMS_MAX } from './ini.ts';

function optionsOf(text: string) {
  const file = parseConfigFile(text);
  if (!('options' in file)) throw new Error(JSON.stringify(file.problems));
  return file.options;
}

function problemsOf(text: string): readonly string[] {
  const file = parseConfigFile(text);
  return 'problems' in file ? file.problems.map((item) => `${item.line}: ${item.text}`) : [];
}

describe('the configuration file', () => {
  it('has the keys of mptcpd, and those of Weft', () => {
    const text = `
      # comment
      ; another
      [core]
      log=journal
      plugin-dir = /usr/lib/my\\splugins
      path-manager=sspi
      addr-flags=subflow, backup,
      notify-flags=existing,skip_link_local,skip_loopback,check_route
      load-plugins=addr_adv,sspi
      at-exit = keep
      callback-budget = 0.5
    `;
    expect(optionsOf(text)).toEqual({
      log: 'journal',
      pluginDirectory: '/usr/lib/my plugins',
      pathManager: 'sspi',
      addressFlags: ['subflow', 'backup'],
      notifyFlags: ['existing', 'skip_link_local', 'skip_loopback', 'check_route'],
      loadPlugins: ['addr_adv', 'sspi'],
      atExit: 'keep',
      callbackBudgetMs: 500,
      rules: [],
      pluginSettings: new Map(),
    });
  });

  it('has rules in their order', () => {
    const { backup, subflow } = EndpointFlag;
    const text = `
      [interface wl*]
      flags = subflow,backup
      flags6 =
      [kind hardware]
      flags4 = subflow
      [metric >600]
      use = no
      [interface eth[0-3], kind !veth]
      use = yes
      [ interface   * ]
      use = no
    `;
    expect(optionsOf(text).rules).toEqual([
      { interface: 'wl*', flags: subflow | backup, flags6: 0 },
      { kind: 'hardware', flags4: subflow },
      { metric: { is: '>', value: 600 }, use: false },
      { interface: 'eth[0-3]', kind: '!veth', use: true },
      { interface: '*', use: false },
    ]);
  });

  it('has settings of plugins, from all their sections', () => {
    const text = '[plugin acme]\nfile = /etc/x.toml\n[plugin a b]\n__proto__ = 1\n[plugin acme]\ndebug =\n';
    const { pluginSettings } = optionsOf(text);
    expect(pluginSettings.get('acme')).toEqual({ file: '/etc/x.toml', debug: '' });
    expect(Object.entries(pluginSettings.get('a b') ?? {})).toEqual([['__proto__', '1']]);
  });

  it('may be empty, end without a line end, and come from Windows', () => {
    expect(optionsOf('')).toEqual({ rules: [], pluginSettings: new Map() });
    expect(optionsOf('\uFEFF[core]\r\nlog=null\r\n[core]\r\nat-exit=keep').log).toBe('null');
  });

  it.each([
    ['[core]\nlgo=stderr', '2: unknown key "lgo" in [core]: did you mean "log"?'],
    ['[core]\nconstructor=x', /^2: unknown key "constructor" in \[core\] \(it has log, plugin-dir, .*\)$/],
    ['[coer]\nlog=stderr', '1: unknown section [coer]: did you mean "core"?'],
    ['[core x]', '1: [core x]: "core" stands alone'],
    ['[]\nlog=stderr', '1: unknown section []'],
    ['log=stderr', '1: "log" stands before the first section, such as [core]'],
    ['[core\nlog=stderr', '1: "[core" is not a section: it has the form [NAME]'],
    ['[core]\nlog', '2: "log" is neither a section nor KEY = VALUE'],
    ['[core]\n=x', '2: "=x" is neither a section nor KEY = VALUE'],
    [
      '[core]\nlog=stdout',
      /^2: log: unknown log destination "stdout".*\(it can be stderr, syslog, journal, null\)$/,
    ],
    ['[core]\nlog=STDERR', /unknown log destination "STDERR"/],
    ['[core]\nlog=stderr # to here', /unknown log destination "stderr # to here"/],
    ['[core]\naddr-flags=subflow,bakup', /^2: addr-flags: unknown flag "bakup": did you mean "backup"\?/],
    ['[core]\naddr-flags=,subflow', /^2: addr-flags: unknown flag ""/],
    ['[core]\naddr-flags=implicit', /^2: addr-flags: unknown flag "implicit"/],
    [
      '[core]\naddr-flags=signal,fullmesh',
      '2: addr-flags: the flags "signal" and "fullmesh" exclude one another',
    ],
    ['[core]\nnotify-flags=exist', /^2: notify-flags: unknown flag "exist"/],
    ['[core]\nplugin-dir=', '2: plugin-dir: nothing is named'],
    ['[core]\npath-manager=', '2: path-manager: the name of a plugin is empty'],
    ['[core]\nload-plugins=', '2: load-plugins: no plugin is named'],
    ['[core]\nload-plugins=a,../b', /^2: load-plugins: "\.\.\/b" cannot be the name of a plugin/],
    ['[core]\nat-exit=stay', /^2: at-exit: unknown way to end "stay"/],
    ['[core]\ncallback-budget=5s', /^2: callback-budget: "5s" is not a number of seconds/],
    ['[core]\ncallback-budget=0', /^2: callback-budget: "0" is not a number of seconds/],
    ['[core]\nplugin-dir=C:\\dir', '2: "plugin-dir" has an unknown escape: write "\\\\" for a backslash'],
    ['[core]\nlog=null\nlog=stderr', '3: "log" is given twice, first on line 2'],
    ['[core]\nlog=null\n[core]\nlog=stderr', '4: "log" is given twice, first on line 2'],
    ['[interface wl*]\nuse=maybe', /^2: use: unknown answer "maybe"/],
    ['[interface wl*]\nuses=no', '2: unknown key "uses" in [interface wl*]: did you mean "use"?'],
    ['[interface wl*]', '1: [interface wl*] says nothing'],
    ['[interface]\nuse=no', '1: [interface]: interface: nothing is named'],
    [
      '[interface a, knd veth]\nuse=no',
      '1: [interface a, knd veth]: unknown condition "knd": did you mean "kind"?',
    ],
    ['[interface a, interface b]\nuse=no', '1: [interface a, interface b]: "interface" is asked for twice'],
    ['[metric much]\nuse=no', '1: [metric much]: metric: "much" is no test of a metric, such as >600'],
    ['[plugin]\na=b', '1: the name of a plugin is empty'],
    ['[plugin policy]\nflie=/x', '2: unknown key "flie" in [plugin policy]: did you mean "file"?'],
    ['[plugin addr_adv]\nx=1', '2: unknown key "x" in [plugin addr_adv] (it has none)'],
    ['[plugin /x]\na=b', /^1: "\/x" cannot be the name of a plugin/],
  ])('%j', (text, wanted) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    if (typeof wanted === 'string') expect(problems[0]).toBe(wanted);
    else expect(problems[0]).toMatch(wanted);
  });

  it('tells all that is wrong, by line, and not without end', () => {
    expect(problemsOf('[core]\nx\nlog=y\nz=1').map((text) => text.split(':')[0])).toEqual(['2', '3', '4']);
    expect(problemsOf(`[core]\n${'junk\n'.repeat(1000)}`)).toHaveLength(PROBLEMS_MAX);
  });
});

describe('the syntax', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,8}$/);
  const value = fc.string({ unit: 'binary' });
  const space = fc.stringMatching(/^[ \t]{0,3}$/);
  const escape = (text: string) =>
    text
      .replaceAll('\\', '\\\\')
      .replaceAll('\n', '\\n')
      .replaceAll('\r', '\\r')
      .replaceAll(/^\s|\s$/g, (character) =>
        character === ' ' ? '\\s' : character === '\t' ? '\\t' : character,
      );

  it('gives back what was written, wherever there is space', () => {
    const entries = fc.array(fc.tuple(name, value, space, space));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, entries)), (sections) => {
        // Space that no escape can write does not count at the ends.
        const text = sections
          .map(([section, list]) =>
            [
              `[${section}]`,
              ...list.map(([key, v, s, t]) => `${s}${key}${t}=${s}${escape(v.trim())}${t}`),
            ].join('\n'),
          )
          .join('\n');
        const { problems, sections: read } = parseIni(text);
        expect(problems).toEqual([]);
        expect(
          read.map((section) => [section.name, section.entries.map(({ key, value: v }) => [key, v])]),
        ).toEqual(sections.map(([section, list]) => [section, list.map(([key, v]) => [key, v.trim()])]));
      }),
    );
  });

  it('reads any lines without failing, and tells of each that it does not understand', () => {
    const line = fc.oneof(fc.stringMatching(/^[^=#;[\]\s]+$/), fc.constantFrom('[a', 'a]', '=', '= b'));
    fc.assert(
      fc.property(fc.array(line, { maxLength: PROBLEMS_MAX }), (lines) => {
        const { problems } = parseIni(`[core]\n${lines.join('\n')}\n`);
        expect(problems.map((item) => item.line)).toEqual(lines.map((_text, index) => index + 2));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { problems, sections } = parseIni(text);
        const used = sections.length + sections.flatMap(({ entries }) => entries).length;
        expect(used + problems.length).toBeLessThanOrEqual(text.split('\n').length);
      }),
    );
  });
});
