/**
 * The values that the daemon's options and configuration keys take, from their text (pure). The command line and the
 * configuration file share these, so that both know the same words and complain in the same ones.
 *
 * References: mptcpd(8); docs/daemon.md.
 */
import { nearestWord } from '../../base/index.ts';
import { EndpointFlag } from '../../mptcp/index.ts';

export const LOG_DESTINATIONS = ['stderr', 'syslog', 'journal', 'null'] as const;
export type LogDestination = (typeof LOG_DESTINATIONS)[number];

/** Those of an endpoint that an administrator gives; `implicit` is the kernel's. */
export const ADDRESS_FLAGS = ['subflow', 'signal', 'backup', 'fullmesh', 'laminar'] as const;
export type AddressFlag = (typeof ADDRESS_FLAGS)[number];

export const NOTIFY_FLAGS = ['existing', 'skip_link_local', 'skip_loopback', 'check_route'] as const;
export type NotifyFlag = (typeof NOTIFY_FLAGS)[number];

export const AT_EXIT = ['remove', 'keep'] as const;
export type AtExit = (typeof AT_EXIT)[number];

/** A value, or what is wrong with the text: the sentence's end, after the option's name. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

export const problem = (text: string): { readonly problem: string } => ({ problem: text });

/** `did you mean "x"? `, or nothing. */
export function meant(word: string, candidates: readonly string[]): string {
  const near = nearestWord(word, candidates);
  return near === undefined ? '' : `: did you mean "${near}"?`;
}

export function parseWord<T extends string>(text: string, words: readonly T[], what: string): Parsed<T> {
  const found = words.find((word) => word === text);
  if (found !== undefined) return { value: found };
  return problem(`unknown ${what} "${text}"${meant(text, words)} (it can be ${words.join(', ')})`);
}

/** Words between commas; mptcpd allows a comma after the last one. */
function splitList(text: string): readonly string[] {
  const words = text.split(',').map((word) => word.trim());
  if (words.at(-1) === '') words.pop();
  return words;
}

/** Flags between commas, in the given order and each once. An empty text means none. */
function parseFlags<T extends string>(text: string, words: readonly T[]): Parsed<readonly T[]> {
  const flags = new Set<T>();
  for (const word of splitList(text)) {
    const flag = parseWord(word, words, 'flag');
    if ('problem' in flag) return flag;
    flags.add(flag.value);
  }
  return { value: [...flags] };
}

/** A pair that the kernel refuses in one endpoint (mptcp_pm_nl_add_addr_doit). */
export function parseAddressFlags(text: string): Parsed<readonly AddressFlag[]> {
  const flags = parseFlags(text, ADDRESS_FLAGS);
  if ('value' in flags && flags.value.includes('signal') && flags.value.includes('fullmesh')) {
    return problem('the flags "signal" and "fullmesh" exclude one another');
  }
  return flags;
}

export const parseNotifyFlags = (text: string): Parsed<readonly NotifyFlag[]> =>
  parseFlags(text, NOTIFY_FLAGS);

/** EndpointFlag bits. */
export const addressFlagBits = (flags: readonly AddressFlag[]): number =>
  flags.reduce((bits, flag) => bits | EndpointFlag[flag], 0);

const FILE_NAME_MAX_BYTES = 200;

/** The name of a plugin, which is also that of a file without its ending. */
export function parsePluginName(text: string): Parsed<string> {
  if (text === '') return problem('the name of a plugin is empty');
  // eslint-disable-next-line no-control-regex
  if (/[/\u0000-\u001f]/.test(text) || text.startsWith('.') || text.length > FILE_NAME_MAX_BYTES) {
    return problem(`"${text}" cannot be the name of a plugin: it is a name of the plugin folder, not a path`);
  }
  return { value: text };
}

/** Plugin names between commas, in the order of loading and each once. */
export function parsePluginNames(text: string): Parsed<readonly string[]> {
  const names = new Set<string>();
  for (const word of splitList(text)) {
    const name = parsePluginName(word);
    if ('problem' in name) return name;
    names.add(name.value);
  }
  return names.size > 0 ? { value: [...names] } : problem('no plugin is named');
}

export const parseAtExit = (text: string): Parsed<AtExit> => parseWord(text, AT_EXIT, 'way to end');

export const parseLogDestination = (text: string): Parsed<LogDestination> =>
  parseWord(text, LOG_DESTINATIONS, 'log destination');

export function parseYesNo(text: string): Parsed<boolean> {
  const word = parseWord(text, ['yes', 'no'], 'answer');
  return 'problem' in word ? word : { value: word.value === 'yes' };
}

const BUDGET_MAX_SECONDS = 3600;

/** @returns milliseconds */
export function parseBudget(text: string): Parsed<number> {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  const durationMs = Math.round(seconds * 1000);
  if (durationMs < 1 || seconds > BUDGET_MAX_SECONDS) {
    return problem(`"${text}" is not a number of seconds (0.001 to ${BUDGET_MAX_SECONDS})`);
  }
  return { value: durationMs };
}
