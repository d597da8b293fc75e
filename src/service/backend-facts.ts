/**
 * Finds out what a host can: MPTCP sockets of its kernel, by opening one; QEMU, in PATH; an image, in the store of the
 * appliance. backend-choice.ts decides what follows.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { AF_INET } from '../base/index.ts';
import { readSysctls } from '../mptcp/index.ts';
import { closeFd, IPPROTO_MPTCP, openSocket, SOCK_STREAM, SystemError } from '../native/index.ts';
import type { HostFacts } from './backend-choice.ts';

/** Names of QEMU for this processor, best first. */
const QEMU_NAMES: Readonly<Record<string, readonly string[]>> = {
  x64: ['qemu-system-x86_64', 'kvm'],
  arm64: ['qemu-system-aarch64'],
};

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of these names in PATH. Folders that are not absolute are left out: what is in them depends on where we are. */
export function findProgram(names: readonly string[], path = process.env['PATH'] ?? ''): string | undefined {
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder));
  for (const name of names) {
    const found = folders.map((folder) => join(folder, name)).find(isProgram);
    if (found !== undefined) return found;
  }
  return undefined;
}

export const findQemu = (): string | undefined => findProgram(QEMU_NAMES[process.arch] ?? []);

/** Why this kernel opens no MPTCP sockets, or `undefined` when it does. */
export function mptcpSocketProblem(): string | undefined {
  try {
    closeFd(openSocket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (readSysctls().enabled === false) {
      return 'MPTCP is switched off in this kernel ("sysctl -w net.mptcp.enabled=1" switches it on)';
    }
    return `this kernel has no MPTCP (${error.code}; Linux 5.6 or newer with CONFIG_MPTCP has)`;
  }
}

/** @param imageProblem why there is no image to boot; asked only when an appliance may be needed */
export function readHostFacts(imageProblem: () => string | undefined): HostFacts {
  const { platform } = process;
  const mptcpProblem = platform === 'linux' ? mptcpSocketProblem() : undefined;
  const qemu = findQemu();
  const problem = imageProblem();
  return {
    platform,
    ...(mptcpProblem === undefined ? {} : { mptcpProblem }),
    ...(qemu === undefined ? {} : { qemu }),
    ...(problem === undefined ? {} : { imageProblem: problem }),
  };
}
