/**
 * By what a program can be given MPTCP without changing it (pure). The facts come from program-file.ts.
 */
import type { Elf } from './elf.ts';

/** What is known of a program that is about to run. */
export interface ProgramFacts {
  /** As found in PATH. */
  readonly path: string;
  /** Of the file that runs in the end: the interpreter of a script. */
  readonly runsPath: string;
  /** `undefined`: neither ELF nor a script. */
  readonly elf: Elf | undefined;
  readonly goVersion?: readonly [major: number, minor: number];
  /** It runs with other rights than its user has: setuid, setgid. */
  readonly privileged: boolean;
}

export const Mechanism = {
  /** Node: `weft/register`. */
  register: 'register',
  /** Go 1.21 or newer: `GODEBUG=multipathtcp=1`. */
  go: 'go',
  /** Uses the C library: libmptcpwrap.so. */
  library: 'library',
} as const;
export type Mechanism = (typeof Mechanism)[keyof typeof Mechanism];

/** A library that can be preloaded, and for which programs. */
export interface WrapLibrary {
  readonly path: string;
  readonly bits: 32 | 64;
  readonly machine: number;
}

export type Verdict =
  | { readonly mechanism: Mechanism }
  /** Nothing of this machine reaches its sockets. */
  | { readonly mechanism: undefined; readonly reason: string; readonly remedy?: string };

const none = (reason: string, remedy?: string): Verdict =>
  remedy === undefined ? { mechanism: undefined, reason } : { mechanism: undefined, reason, remedy };

const NODE = /\/node(?:js)?$/;
const FIRST_GO_WITH_MPTCP = 21;
const INSTALL = 'apt-get install mptcpize';

/** Which mechanism reaches the sockets of a program. */
export function judgeProgram(facts: ProgramFacts, library: WrapLibrary | undefined): Verdict {
  const { elf } = facts;
  if (NODE.test(facts.runsPath)) return { mechanism: Mechanism.register };
  if (elf?.madeByGo === true) {
    const [major, minor] = facts.goVersion ?? [1, FIRST_GO_WITH_MPTCP];
    if (major === 1 && minor < FIRST_GO_WITH_MPTCP) {
      return none(`it was made with Go ${major}.${minor}, which knows no MPTCP (1.21 does)`);
    }
    return { mechanism: Mechanism.go };
  }
  if (facts.privileged) return none('it runs with the rights of another user, which ends preloading');
  if (elf === undefined) return none('it is no program of a kind that Weft knows');
  if (elf.interpreter === undefined) return none('it is linked statically, which ends preloading');
  if (library === undefined) return none('libmptcpwrap.so is not installed', INSTALL);
  if (elf.interpreter.includes('ld-musl')) return none('it uses another C library than libmptcpwrap.so');
  if (elf.bits !== library.bits || elf.machine !== library.machine) {
    return none(`it is of another architecture than "${library.path}"`);
  }
  return { mechanism: Mechanism.library };
}
