/**
 * The environment by which programs find a proxy, in the words of several shells (pure).
 *
 * Names in lower and in upper case, because programs agree on neither; of the two, curl reads only `http_proxy`.
 */

export const SHELLS = ['sh', 'fish', 'csh', 'powershell'] as const;
export type Shell = (typeof SHELLS)[number];

/** What goes past a proxy: this host, in each of the ways in which programs understand the list. */
const NO_PROXY = 'localhost,.localhost,127.0.0.1,127.0.0.0/8,::1';

/** @param address `host:port`, IPv6 in brackets */
function variables(address: string): readonly (readonly [name: string, value: string])[] {
  const pairs = [
    ['http_proxy', `http://${address}`],
    ['https_proxy', `http://${address}`],
    // For all else, with names left to the proxy: those that it resolves may lead elsewhere.
    ['all_proxy', `socks5h://${address}`],
    ['no_proxy', NO_PROXY],
  ] as const;
  return [...pairs, ...pairs.map(([name, value]) => [name.toUpperCase(), value] as const)];
}

/** Shells are named by their program; every other is taken to be like sh. */
export function shellOf(path: string | undefined): Shell {
  const name = path?.split('/').at(-1) ?? '';
  if (name === 'fish') return 'fish';
  if (name === 'csh' || name === 'tcsh') return 'csh';
  return name === 'pwsh' || name === 'powershell' ? 'powershell' : 'sh';
}

const SET: Readonly<Record<Shell, (name: string, value: string) => string>> = {
  sh: (name, value) => `export ${name}='${value}'`,
  fish: (name, value) => `set -gx ${name} '${value}'`,
  csh: (name, value) => `setenv ${name} '${value}'`,
  powershell: (name, value) => `$Env:${name} = '${value}'`,
};

const UNSET: Readonly<Record<Shell, (name: string) => string>> = {
  sh: (name) => `unset ${name}`,
  fish: (name) => `set -e ${name}`,
  csh: (name) => `unsetenv ${name}`,
  powershell: (name) => `Remove-Item -ErrorAction Ignore Env:${name}`,
};

/** Lines for `eval`; each ends its command, so that csh and fish may have them on one line too. */
export function setLines(shell: Shell, address: string): string {
  return variables(address)
    .map(([name, value]) => `${SET[shell](name, value)};\n`)
    .join('');
}

export function unsetLines(shell: Shell): string {
  return variables('')
    .map(([name]) => `${UNSET[shell](name)};\n`)
    .join('');
}
