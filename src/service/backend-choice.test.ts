import { describe, expect, it } from 'vitest';
import { WeftError } from '../base/index.ts';
import { chooseBackend, type BackendWish, type HostFacts } from './backend-choice.ts';

const NO_MPTCP = 'this kernel has no MPTCP (EPROTONOSUPPORT)';
const NO_IMAGE = 'there is no image';
const LINUX: HostFacts = { platform: 'linux', imageProblem: NO_IMAGE };
const OLD_LINUX: HostFacts = { ...LINUX, mptcpProblem: NO_MPTCP };
const READY = { qemu: '/usr/bin/qemu-system-x86_64' };
const OLD_LINUX_WITH_APPLIANCE: HostFacts = { platform: 'linux', mptcpProblem: NO_MPTCP, ...READY };
const MAC: HostFacts = { platform: 'darwin', ...READY };

function refusal(wish: BackendWish, facts: HostFacts): WeftError {
  try {
    chooseBackend(wish, facts);
  } catch (error) {
    if (error instanceof WeftError) return error;
  }
  throw new Error('it was not refused');
}

describe('auto', () => {
  it('takes the kernel that has MPTCP, whatever else there is', () => {
    for (const facts of [LINUX, { platform: 'linux', ...READY }])
      expect(chooseBackend('auto', facts)).toEqual({
        kind: 'native',
        why: 'the kernel of this host speaks MPTCP',
      });
  });

  it('takes the appliance where the kernel has none, and says so', () => {
    expect(chooseBackend('auto', OLD_LINUX_WITH_APPLIANCE)).toEqual({ kind: 'appliance', why: NO_MPTCP });
    expect(chooseBackend('auto', MAC)).toMatchObject({ kind: 'appliance' });
  });

  it('is a plain proxy where neither can be had, with what would help', () => {
    const choice = chooseBackend('auto', OLD_LINUX);
    expect(choice.kind).toBe('native');
    expect(choice.warning).toMatch(/plain TCP: .*no MPTCP.*no QEMU, and there is no image: install QEMU/);
    expect(choice.warning).toMatch(/then make its image \("weft appliance build"\)/);
    const { warning } = chooseBackend('auto', { ...OLD_LINUX, ...READY });
    expect(warning).not.toMatch(/install QEMU/);
  });

  it('is nothing on a system without both', () => {
    const error = refusal('auto', { platform: 'darwin', imageProblem: NO_IMAGE });
    expect(error.code).toBe('NO_BACKEND');
    expect(error.message).toMatch(/darwin has no MPTCP.*install QEMU/);
  });
});

describe('a wish', () => {
  it('is followed', () => {
    expect(chooseBackend('native', LINUX)).toEqual({ kind: 'native', why: 'it was asked for' });
    expect(chooseBackend('native', OLD_LINUX).warning).toMatch(/plain TCP: this kernel has no MPTCP/);
    expect(chooseBackend('appliance', OLD_LINUX_WITH_APPLIANCE).kind).toBe('appliance');
    expect(chooseBackend('appliance', { platform: 'linux', ...READY }).kind).toBe('appliance');
  });

  it('that cannot be had is refused with what is missing', () => {
    expect(refusal('native', MAC).code).toBe('NOT_LINUX');
    const error = refusal('appliance', LINUX);
    expect(error.code).toBe('NO_APPLIANCE');
    expect(error.message).toMatch(/there is no QEMU, and there is no image — install QEMU/);
  });
});
