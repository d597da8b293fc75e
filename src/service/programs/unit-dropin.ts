/**
 * The drop-in that gives a unit MPTCP, from what the unit's other files say (pure).
 *
 * Invariant: it is made of the unit's files without itself, so making it twice gives the same text.
 */
import { extended, preloadAdditions, proxyVariables, type Mechanisms } from './environment.ts';
import {
  environmentOf,
  escapeSpecifiers,
  formatEnvironment,
  splitWords,
  valuesOf,
  type Assignment,
} from './unit-file.ts';

/** By this line Weft knows its own; only files that begin with it are changed or removed. */
export const DROP_IN_HEADER = '# MPTCP for this unit, written by Weft. "weft disable" removes this file.';
export const DROP_IN_NAME = 'weft-mptcp.conf';

export const isOurDropIn = (text: string): boolean => text.split('\n', 1)[0] === DROP_IN_HEADER;

/** One file of the unit. */
export interface UnitSource {
  readonly path: string;
  readonly assignments: readonly Assignment[];
}

export interface DropIn {
  readonly text: string;
  /** What could keep it from having an effect. */
  readonly warnings: readonly string[];
}

/** For a service, extending what its files set. `sources`: in the order in which systemd applies them. */
export function serviceDropIn(sources: readonly UnitSource[], mechanisms: Mechanisms): DropIn {
  const all = sources.flatMap(({ assignments }) => assignments);
  const current = environmentOf(all);
  const lines: string[] = [];
  const names: string[] = [];
  for (const addition of preloadAdditions(mechanisms)) {
    const ours = { ...addition, value: escapeSpecifiers(addition.value) };
    names.push(addition.name);
    lines.push(formatEnvironment(addition.name, extended(current.get(addition.name), ours)));
  }
  return { text: compose('Service', lines), warnings: overrides(sources, names) };
}

/** For a service that is to use the proxy. */
export function proxyDropIn(sources: readonly UnitSource[], proxyUrl: string): DropIn {
  const variables = proxyVariables(escapeSpecifiers(proxyUrl));
  const lines = [...variables].map(([name, value]) => formatEnvironment(name, value));
  return { text: compose('Service', lines), warnings: overrides(sources, [...variables.keys()]) };
}

/** systemd opens this unit's listening sockets. */
export const socketDropIn = (): DropIn => ({
  text: compose('Socket', ['SocketProtocol=mptcp']),
  warnings: [],
});

const compose = (section: string, lines: readonly string[]): string =>
  `${[DROP_IN_HEADER, `[${section}]`, ...lines].join('\n')}\n`;

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** What is applied behind our drop-in: files whose names sort behind its name, and every EnvironmentFile. */
function overrides(sources: readonly UnitSource[], names: readonly string[]): string[] {
  const warnings: string[] = [];
  for (const { path, assignments } of sources.slice(1)) {
    if (fileName(path) <= DROP_IN_NAME) continue;
    const lost = names.filter((name) => environmentOf(assignments).has(name));
    if (lost.length > 0) {
      warnings.push(`"${path}" is read later and has the last word on ${lost.join(', ')}`);
    }
  }
  const all = sources.flatMap(({ assignments }) => assignments);
  const files = valuesOf(all, 'Service', 'EnvironmentFile');
  if (files.length > 0) {
    warnings.push(
      `EnvironmentFile=${files.join(' ')} has the last word where it sets one of ${names.join(', ')}`,
    );
  }
  return warnings;
}

/** The program that a service starts with; `undefined` where a specifier decides. */
export function startedProgram(sources: readonly UnitSource[]): string | undefined {
  const all = sources.flatMap(({ assignments }) => assignments);
  const [command = ''] = valuesOf(all, 'Service', 'ExecStart');
  const [word = ''] = splitWords(command);
  const program = word.replace(/^[@\-:+!|]+/, '');
  return program === '' || program.includes('%') ? undefined : program;
}

/** Whether a socket unit has a TCP listener, which alone can be MPTCP. */
export function hasTcpListener(sources: readonly UnitSource[]): boolean {
  const all = sources.flatMap(({ assignments }) => assignments);
  return valuesOf(all, 'Socket', 'ListenStream').some((address) => !/^[/@]|^vsock:/.test(address));
}
