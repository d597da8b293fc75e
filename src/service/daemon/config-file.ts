/**
 * /etc/mptcpd/mptcpd.conf (pure): what its sections and keys mean. `[core]` has mptcpd's keys; the other sections are
 * Weft's own:
 *
 *   [core]                 log plugin-dir path-manager addr-flags notify-flags load-plugins at-exit callback-budget
 *   [interface PATTERN]    use flags flags4 flags6      for links whose name matches, as in glob(7)
 *   [kind PATTERN]         the same                     for links of a kind: veth, bridge, wireguard …, hardware
 *   [metric >N]            the same                     for links whose default route has a higher metric
 *   [interface P, kind K]  the same                     for links that are both
 *   [plugin NAME]          what the plugin knows        free keys, but for the plugins of Weft
 *
 * Invariant: nothing in the file is passed over. What is not understood is a problem with its line, and a file with a
 * problem is not used at all. References: mptcpd(8); docs/daemon.md.
 */
import { parseMetricTest, SHIPPED_SETTINGS, type InterfaceRule } from '../../pathmanager/index.ts';
import { parseIni, PROBLEMS_MAX, type ConfigProblem, type IniEntry, type IniSection } from './ini.ts';
import {
  addressFlagBits,
  meant,
  parseAddressFlags,
  parseAtExit,
  parseBudget,
  parseLogDestination,
  parseNotifyFlags,
  parsePluginName,
  parsePluginNames,
  parseYesNo,
  problem,
  type Parsed,
} from './option-values.ts';
import type { FileOptions } from './options.ts';

/** A key's value as part of what its section gives, or what is wrong with it. */
type KeyReader<T> = (text: string) => Parsed<Partial<T>>;

function reader<V, T>(parse: (text: string) => Parsed<V>, use: (value: V) => Partial<T>): KeyReader<T> {
  return (text) => {
    const parsed = parse(text);
    return 'problem' in parsed ? parsed : { value: use(parsed.value) };
  };
}

const notEmpty = (text: string): Parsed<string> =>
  text === '' ? problem('nothing is named') : { value: text };

type CoreOptions = Omit<FileOptions, 'rules' | 'pluginSettings'>;

const CORE_KEYS: Readonly<Record<string, KeyReader<CoreOptions>>> = {
  log: reader(parseLogDestination, (log) => ({ log })),
  'plugin-dir': reader(notEmpty, (pluginDirectory) => ({ pluginDirectory })),
  'path-manager': reader(parsePluginName, (pathManager) => ({ pathManager })),
  'addr-flags': reader(parseAddressFlags, (addressFlags) => ({ addressFlags })),
  'notify-flags': reader(parseNotifyFlags, (notifyFlags) => ({ notifyFlags })),
  'load-plugins': reader(parsePluginNames, (loadPlugins) => ({ loadPlugins })),
  'at-exit': reader(parseAtExit, (atExit) => ({ atExit })),
  'callback-budget': reader(parseBudget, (callbackBudgetMs) => ({ callbackBudgetMs })),
};

type RuleKeys = Pick<InterfaceRule, 'use' | 'flags' | 'flags4' | 'flags6'>;

const bits = (name: 'flags' | 'flags4' | 'flags6'): KeyReader<RuleKeys> =>
  reader(parseAddressFlags, (flags) => ({ [name]: addressFlagBits(flags) }));

const RULE_KEYS: Readonly<Record<string, KeyReader<RuleKeys>>> = {
  use: reader(parseYesNo, (use) => ({ use })),
  flags: bits('flags'),
  flags4: bits('flags4'),
  flags6: bits('flags6'),
};

type RuleMatch = Pick<InterfaceRule, 'interface' | 'kind' | 'metric'>;

const CONDITIONS: Readonly<Record<string, KeyReader<RuleMatch>>> = {
  interface: reader(notEmpty, (pattern) => ({ interface: pattern })),
  kind: reader(notEmpty, (kind) => ({ kind })),
  metric: (text) => {
    const metric = parseMetricTest(text);
    return metric === undefined
      ? problem(`"${text}" is no test of a metric, such as >600`)
      : { value: { metric } };
  },
};

const SECTION_WORDS = ['core', ...Object.keys(CONDITIONS), 'plugin'];

/** `interface wl*, kind hardware`: all of it has to hold. */
function parseConditions(name: string): Parsed<RuleMatch> {
  const match: RuleMatch = {};
  for (const condition of name.split(',')) {
    const [word, argument] = splitWord(condition);
    const read = Object.hasOwn(CONDITIONS, word) ? CONDITIONS[word] : undefined;
    if (read === undefined)
      return problem(`unknown condition "${word}"${meant(word, Object.keys(CONDITIONS))}`);
    if (Object.hasOwn(match, word)) return problem(`"${word}" is asked for twice`);
    const parsed = read(argument);
    if ('problem' in parsed) return problem(`${word}: ${parsed.problem}`);
    Object.assign(match, parsed.value);
  }
  return { value: match };
}

/** The first word, and the rest. */
function splitWord(text: string): readonly [string, string] {
  const [, word = '', rest = ''] = /^(\S*)\s*(.*)$/s.exec(text.trim()) ?? [];
  return [word, rest];
}

class ConfigReader {
  readonly problems: ConfigProblem[] = [];
  readonly #rules: InterfaceRule[] = [];
  readonly #plugins = new Map<string, Map<string, string>>();
  #core: CoreOptions = {};
  /** The line of each key of each section by name, so that none is given twice. BOUNDED: by the file. */
  readonly #lines = new Map<string, number>();

  #complain(line: number, text: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ line, text });
  }

  #isNew({ key, line }: IniEntry, section: string): boolean {
    const name = `${section}\n${key}`;
    const before = this.#lines.get(name);
    if (before !== undefined) this.#complain(line, `"${key}" is given twice, first on line ${before}`);
    else this.#lines.set(name, line);
    return before === undefined;
  }

  #complainOfKey({ key, line }: IniEntry, section: IniSection, known: readonly string[]): void {
    const instead = known.length === 0 ? ' (it has none)' : ` (it has ${known.join(', ')})`;
    this.#complain(line, `unknown key "${key}" in [${section.name}]${meant(key, known) || instead}`);
  }

  #readKeys<T>(section: IniSection, keys: Readonly<Record<string, KeyReader<T>>>): Partial<T> {
    const given: Partial<T> = {};
    for (const entry of section.entries) {
      const { key, line, value } = entry;
      const read = Object.hasOwn(keys, key) ? keys[key] : undefined;
      if (read === undefined) {
        this.#complainOfKey(entry, section, Object.keys(keys));
        continue;
      }
      if (!this.#isNew(entry, section.name)) continue;
      const parsed = read(value);
      if ('problem' in parsed) this.#complain(line, `${key}: ${parsed.problem}`);
      else Object.assign(given, parsed.value);
    }
    return given;
  }

  #readPlugin(section: IniSection, text: string): void {
    const name = parsePluginName(text);
    if ('problem' in name) {
      this.#complain(section.line, name.problem);
      return;
    }
    const settings = this.#plugins.get(name.value) ?? new Map<string, string>();
    const known = SHIPPED_SETTINGS.get(name.value);
    for (const entry of section.entries) {
      if (known?.includes(entry.key) === false) this.#complainOfKey(entry, section, known);
      else if (this.#isNew(entry, section.name)) settings.set(entry.key, entry.value);
    }
    this.#plugins.set(name.value, settings);
  }

  #readRule(section: IniSection): void {
    const match = parseConditions(section.name);
    const keys = this.#readKeys(section, RULE_KEYS);
    if ('problem' in match) this.#complain(section.line, `[${section.name}]: ${match.problem}`);
    else if (section.entries.length === 0) this.#complain(section.line, `[${section.name}] says nothing`);
    else this.#rules.push({ ...match.value, ...keys });
  }

  get options(): FileOptions {
    const pluginSettings = new Map(
      [...this.#plugins].map(([name, settings]) => [name, Object.fromEntries(settings)]),
    );
    return { ...this.#core, rules: this.#rules, pluginSettings };
  }

  read(section: IniSection): void {
    const [word, argument] = splitWord(section.name);
    if (!SECTION_WORDS.includes(word)) {
      this.#complain(section.line, `unknown section [${section.name}]${meant(word, SECTION_WORDS)}`);
    } else if (word === 'plugin') this.#readPlugin(section, argument);
    else if (word !== 'core') this.#readRule(section);
    else if (argument === '') this.#core = { ...this.#core, ...this.#readKeys(section, CORE_KEYS) };
    else this.#complain(section.line, `[${section.name}]: "core" stands alone`);
  }
}

/** What the file says, or everything that is wrong with it, up to `PROBLEMS_MAX`, by line. */
export type ConfigFile = { readonly options: FileOptions } | { readonly problems: readonly ConfigProblem[] };

export function parseConfigFile(text: string): ConfigFile {
  const { problems, sections } = parseIni(text);
  const config = new ConfigReader();
  for (const section of sections) config.read(section);
  const all = [...problems, ...config.problems].sort((a, b) => a.line - b.line).slice(0, PROBLEMS_MAX);
  return all.length > 0 ? { problems: all } : { options: config.options };
}
