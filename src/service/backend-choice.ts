/**
 * Which backend a host gets (pure): its own kernel where that has MPTCP, the appliance where it has none and an
 * appliance can run, and otherwise the kernel without multipath, with a text that says what would help.
 *
 * backend-facts.ts finds out what is so.
 */
import { WeftError } from '../base/index.ts';
import type { BackendKind } from './control-api.ts';

export const BACKEND_WISHES = ['auto', 'native', 'appliance'] as const;
export type BackendWish = (typeof BACKEND_WISHES)[number];

export interface HostFacts {
  /** As process.platform says. */
  readonly platform: string;
  /** Why the kernel opens no MPTCP socket; absent: it does. */
  readonly mptcpProblem?: string;
  /** Path of QEMU; absent: not found. */
  readonly qemu?: string;
  /** Why there is no image to boot; absent: there is one. */
  readonly imageProblem?: string;
}

export interface BackendChoice {
  readonly kind: BackendKind;
  /** Why this one, in words that go on from "backend KIND: ". */
  readonly why: string;
  /** What keeps multipath from working all the same, with what helps; for a warning. */
  readonly warning?: string;
}

const INSTALL_QEMU = 'install QEMU ("apt-get install qemu-system-x86")';
const GET_IMAGE = 'make its image ("weft appliance build") or import one ("weft appliance import FILE")';

/** What an appliance lacks; `undefined` when it can be started. */
function lackOfAppliance({ qemu, imageProblem }: HostFacts): { why: string; hint: string } | undefined {
  const needs = [
    ...(qemu === undefined ? [{ why: 'there is no QEMU', hint: INSTALL_QEMU }] : []),
    ...(imageProblem === undefined ? [] : [{ why: imageProblem, hint: GET_IMAGE }]),
  ];
  if (needs.length === 0) return undefined;
  return {
    why: needs.map(({ why }) => why).join(', and '),
    hint: needs.map(({ hint }) => hint).join(', then '),
  };
}

const isLinux = ({ platform }: HostFacts) => platform === 'linux';

function chooseNative(facts: HostFacts): BackendChoice {
  if (!isLinux(facts)) {
    throw new WeftError(`the backend "native" needs Linux, and this is ${facts.platform}`, {
      code: 'NOT_LINUX',
      hint: '--backend appliance runs a small Linux for it',
    });
  }
  const { mptcpProblem } = facts;
  return {
    kind: 'native',
    why: 'it was asked for',
    ...(mptcpProblem === undefined ? {} : { warning: `connections are plain TCP: ${mptcpProblem}` }),
  };
}

function chooseAppliance(facts: HostFacts): BackendChoice {
  const lack = lackOfAppliance(facts);
  if (lack !== undefined) {
    throw new WeftError(`the appliance cannot be started: ${lack.why}`, {
      code: 'NO_APPLIANCE',
      hint: lack.hint,
    });
  }
  return { kind: 'appliance', why: 'it was asked for' };
}

function chooseBest(facts: HostFacts): BackendChoice {
  const { mptcpProblem, platform } = facts;
  if (isLinux(facts) && mptcpProblem === undefined) {
    return { kind: 'native', why: 'the kernel of this host speaks MPTCP' };
  }
  const problem = mptcpProblem ?? `${platform} has no MPTCP that a proxy could use`;
  const lack = lackOfAppliance(facts);
  if (lack === undefined) return { kind: 'appliance', why: problem };
  const help = `an appliance would have MPTCP, but ${lack.why}: ${lack.hint}`;
  if (!isLinux(facts)) throw new WeftError(`${problem}; ${help}`, { code: 'NO_BACKEND' });
  return {
    kind: 'native',
    why: `${problem}, and there is no appliance either`,
    warning: `connections are plain TCP: ${problem}; ${help}`,
  };
}

/** @throws WeftError `NO_APPLIANCE`, `NOT_LINUX`, `NO_BACKEND`: what was asked for cannot be had, with what helps */
export function chooseBackend(wish: BackendWish, facts: HostFacts): BackendChoice {
  const choose = { auto: chooseBest, native: chooseNative, appliance: chooseAppliance }[wish];
  return choose(facts);
}
