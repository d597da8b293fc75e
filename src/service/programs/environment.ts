/**
 * The environment variables that give a program MPTCP, merged into what is there (pure).
 *
 * Invariant: a value that is there stays, ours comes behind it, and nothing is added twice.
 */

/** One variable to extend: `value` is added behind `separator`. */
export interface Addition {
  readonly name: string;
  readonly value: string;
  readonly separator: string;
}

const GO_SETTING = 'multipathtcp=';

/** The parts of a value between separators, which for LD_PRELOAD may be colons or spaces. */
const partsOf = (value: string, separator: string): string[] =>
  value.split(separator === ':' ? /[:\s]+/ : separator).filter((part) => part !== '');

/** A library is the same whichever of its names it is called by. */
function isSame(part: string, { name, value }: Addition): boolean {
  if (name === 'LD_PRELOAD') return part === value || /(?:^|\/)libmptcpwrap\.so[.\d]*$/.test(part);
  return part === value;
}

/** `current` with the addition; unchanged when it has it already. */
export function extended(current: string | undefined, addition: Addition): string {
  const { value, separator } = addition;
  if (current === undefined || current.trim() === '') return value;
  if (addition.name === 'NODE_OPTIONS') return current.includes(value) ? current : `${current} ${value}`;
  // Go takes the last of several settings, so one that switches it off is answered by ours behind it.
  const parts = partsOf(current, separator);
  const ours =
    addition.name === 'GODEBUG' ? parts.findLast((part) => part.startsWith(GO_SETTING)) === value : false;
  if (ours || (addition.name !== 'GODEBUG' && parts.some((part) => isSame(part, addition)))) return current;
  return `${current}${separator}${value}`;
}

/** A word of NODE_OPTIONS: quoted where Node would take it for several. */
export function quoteNodeOption(word: string): string {
  return /[\s"\\]/.test(word) ? `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"` : word;
}

export interface Mechanisms {
  /** dist/register/register.cjs. Absent: it is not installed. */
  readonly registerPath?: string | undefined;
  /** libmptcpwrap.so. */
  readonly libraryPath?: string | undefined;
}

/** What to add for preloading. All of it for every program: each variable counts only for the programs it is for. */
export function preloadAdditions({ registerPath, libraryPath }: Mechanisms): readonly Addition[] {
  return [
    ...(libraryPath === undefined ? [] : [{ name: 'LD_PRELOAD', value: libraryPath, separator: ':' }]),
    { name: 'GODEBUG', value: `${GO_SETTING}1`, separator: ',' },
    ...(registerPath === undefined
      ? []
      : [{ name: 'NODE_OPTIONS', value: `--require ${quoteNodeOption(registerPath)}`, separator: ' ' }]),
  ];
}

export const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy'] as const;

/** The variables by which programs find a proxy. */
export function proxyVariables(url: string): ReadonlyMap<string, string> {
  return new Map(PROXY_VARIABLES.map((name) => [name, url]));
}
