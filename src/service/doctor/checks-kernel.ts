/** Checks of the kernel and of this user's rights (pure): is there an MPTCP to use, and may Weft set it up? */
import type { Check, CheckResult } from './facts.ts';

const result = (
  id: string,
  verdict: CheckResult['verdict'],
  evidence: string,
  advice: readonly string[] = [],
): CheckResult => ({ id, verdict, evidence, advice });

/** `6.18.44` as [6, 18]; `undefined` when it does not look like a version. */
function parseRelease(release: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

const atLeast = ([major, minor]: readonly [number, number], wantedMajor: number, wantedMinor: number) =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

export const checkPlatform: Check = ({ platform, architecture }) => {
  if (platform !== 'linux') {
    return result('platform', 'fail', `this is ${platform}, and MPTCP sockets for programs are Linux's`, [
      'run Weft on Linux 5.6 or newer, for instance in a virtual machine',
    ]);
  }
  if (architecture !== 'x64' && architecture !== 'arm64') {
    return result('platform', 'fail', `Linux on ${architecture}`, ['Weft is written for x64 and arm64']);
  }
  return result('platform', 'ok', `Linux on ${architecture}`);
};

export const checkKernel: Check = ({ kernelRelease, mptcpSocket }) => {
  const version = parseRelease(kernelRelease);
  if (version === undefined)
    return result('kernel', 'unknown', `kernel "${kernelRelease}" has no version I can read`);
  const [major, minor] = version;
  // What the kernel does counts more than what its version says: some distributions carry MPTCP back.
  if (!mptcpSocket.ok && !atLeast(version, 5, 6)) {
    return result('kernel', 'fail', `Linux ${kernelRelease} is older than MPTCP (5.6)`, [
      'install a newer kernel, 6.1 or later (Debian 12, Ubuntu 24.04, Fedora and RHEL 9 have one)',
    ]);
  }
  if (!atLeast(version, 5, 15)) {
    return result(
      'kernel',
      'warn',
      `Linux ${major}.${minor} has an early MPTCP: no fullmesh, weak backup paths`,
      ['a kernel of 6.1 or later works better'],
    );
  }
  return result('kernel', 'ok', `Linux ${kernelRelease}`);
};

export const checkMptcp: Check = ({ mptcpSocket, sysctls }) => {
  if (mptcpSocket.ok) return result('mptcp', 'ok', 'the kernel opens MPTCP sockets');
  const enabled = sysctls.get('net.mptcp.enabled');
  if (enabled === undefined) {
    return result('mptcp', 'fail', `no MPTCP in this kernel (${mptcpSocket.reason})`, [
      'use a kernel built with CONFIG_MPTCP=y (and CONFIG_MPTCP_IPV6=y), as Debian, Ubuntu, Fedora and RHEL ship it',
    ]);
  }
  if (enabled === '0') {
    return result('mptcp', 'fail', 'MPTCP is switched off: net.mptcp.enabled is 0', [
      'sysctl -w net.mptcp.enabled=1',
      'to keep it: echo net.mptcp.enabled=1 > /etc/sysctl.d/90-mptcp.conf',
    ]);
  }
  return result('mptcp', 'fail', `the kernel has MPTCP, but opens no socket here: ${mptcpSocket.reason}`, [
    'look at what restricts this process: seccomp, SELinux, a container runtime',
  ]);
};

export const checkPathManager: Check = ({ sysctls }) => {
  const name =
    sysctls.get('net.mptcp.path_manager') ??
    (sysctls.get('net.mptcp.pm_type') === '1' ? 'userspace' : undefined);
  if (name === undefined) {
    return sysctls.has('net.mptcp.enabled')
      ? result('path-manager', 'ok', 'this kernel has one path manager only, its own')
      : undefined;
  }
  if (name === 'kernel') return result('path-manager', 'ok', "the kernel's path manager is in charge");
  return result(
    'path-manager',
    'fail',
    `net.mptcp.path_manager is "${name}": the kernel ignores endpoints for new connections`,
    ['sysctl -w net.mptcp.path_manager=kernel', 'or keep it, if a daemon such as mptcpd manages the paths'],
  );
};

export const checkScheduler: Check = ({ sysctls }) => {
  const name = sysctls.get('net.mptcp.scheduler');
  if (name === undefined) return undefined;
  const available = sysctls.get('net.mptcp.available_schedulers')?.split(/\s+/) ?? [name];
  if (!available.includes(name)) {
    return result('scheduler', 'warn', `the scheduler "${name}" is not loaded, so the default one is used`, [
      `sysctl -w net.mptcp.scheduler=default (there are: ${available.join(', ')})`,
    ]);
  }
  return result('scheduler', 'ok', `packets are spread by the scheduler "${name}"`);
};

export const checkPrivilege: Check = ({ netAdmin }) => {
  if (netAdmin === undefined)
    return result('privilege', 'unknown', 'could not find out whether CAP_NET_ADMIN is there');
  if (netAdmin) return result('privilege', 'ok', 'CAP_NET_ADMIN is there: endpoints and routes can be set');
  return result(
    'privilege',
    'warn',
    'no CAP_NET_ADMIN: the proxy works, but "weft up" cannot set up endpoints and routes',
    ['sudo weft up'],
  );
};
