/** Checks of the kernel and of this user's rights (pure): is there an MPTCP to use, and may Weft set it up? */
import type { Check, CheckResult, HostFacts, ReadFact } from './facts.ts';
import type { HostFindingId } from './finding-ids.ts';

interface Found {
  readonly id: string;
  readonly verdict: CheckResult['verdict'];
  readonly evidence: string;
  readonly advice?: readonly string[];
  readonly cause?: HostFindingId;
  readonly facts?: readonly ReadFact[];
}

const result = (found: Found): CheckResult => ({ advice: [], ...found });

/** `6.18.44` as [6, 18]; `undefined` when it does not look like a version. */
function parseRelease(release: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

const atLeast = ([major, minor]: readonly [number, number], wantedMajor: number, wantedMinor: number) =>
  major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);

export const checkPlatform: Check = ({ platform, architecture }) => {
  const id = 'platform';
  if (platform !== 'linux') {
    return result({
      id,
      verdict: 'fail',
      evidence: `this is ${platform}, and MPTCP sockets for programs are Linux's`,
      advice: ['run Weft on Linux 5.6 or newer, for instance in a virtual machine'],
    });
  }
  const evidence = `Linux on ${architecture}`;
  if (architecture !== 'x64' && architecture !== 'arm64') {
    return result({ id, verdict: 'fail', evidence, advice: ['Weft is written for x64 and arm64'] });
  }
  return result({ id, verdict: 'ok', evidence });
};

export const checkKernel: Check = ({ kernelRelease, mptcpSocket }) => {
  const id = 'kernel';
  const facts = [{ name: 'uname -r', value: kernelRelease }];
  const version = parseRelease(kernelRelease);
  if (version === undefined) {
    const evidence = `kernel "${kernelRelease}" has no version I can read`;
    return result({ id, verdict: 'unknown', evidence, facts });
  }
  const [major, minor] = version;
  // What the kernel does counts more than what its version says: some distributions carry MPTCP back.
  if (!mptcpSocket.ok && !atLeast(version, 5, 6)) {
    return result({
      id,
      cause: 'kernel-old',
      verdict: 'fail',
      evidence: `Linux ${kernelRelease} is older than MPTCP (5.6)`,
      facts,
      advice: ['install a newer kernel, 6.1 or later (Debian 12, Ubuntu 24.04, Fedora and RHEL 9 have one)'],
    });
  }
  if (!atLeast(version, 5, 15)) {
    return result({
      id,
      cause: 'kernel-old',
      verdict: 'warn',
      evidence: `Linux ${major}.${minor} has an early MPTCP: no fullmesh, weak backup paths`,
      facts,
      advice: ['a kernel of 6.1 or later works better'],
    });
  }
  return result({ id, verdict: 'ok', evidence: `Linux ${kernelRelease}`, facts });
};

/** The setting as it was read, or that the kernel has none of that name. */
export function settingFact(sysctls: HostFacts['sysctls'], name: string): ReadFact {
  return { name, value: sysctls.get(name) ?? 'not there' };
}

export const checkMptcp: Check = ({ mptcpSocket, sysctls }) => {
  const id = 'mptcp';
  const facts = [settingFact(sysctls, 'net.mptcp.enabled')];
  if (mptcpSocket.ok) {
    return result({ id, verdict: 'ok', evidence: 'the kernel opens MPTCP sockets', facts });
  }
  facts.push({ name: 'socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)', value: mptcpSocket.reason });
  const enabled = sysctls.get('net.mptcp.enabled');
  if (enabled === undefined) {
    return result({
      id,
      cause: 'no-mptcp',
      verdict: 'fail',
      evidence: `no MPTCP in this kernel (${mptcpSocket.reason})`,
      facts,
      advice: [
        'use a kernel built with CONFIG_MPTCP=y (and CONFIG_MPTCP_IPV6=y), as Debian, Ubuntu, Fedora and RHEL ship it',
      ],
    });
  }
  if (enabled === '0') {
    return result({
      id,
      cause: 'mptcp-off',
      verdict: 'fail',
      evidence: 'MPTCP is switched off: net.mptcp.enabled is 0',
      facts,
      advice: [
        'sysctl -w net.mptcp.enabled=1',
        'to keep it: echo net.mptcp.enabled=1 > /etc/sysctl.d/90-mptcp.conf',
      ],
    });
  }
  return result({
    id,
    cause: 'mptcp-refused',
    verdict: 'fail',
    evidence: `the kernel has MPTCP, but opens no socket here: ${mptcpSocket.reason}`,
    facts,
    advice: ['look at what restricts this process: seccomp, SELinux, a container runtime'],
  });
};

/** Somebody who started Weft without multipath knows; somebody else who looks may not. */
export const checkWanted: Check = ({ running }) => {
  if (running?.multipath !== false) return undefined;
  return result({
    id: 'multipath',
    cause: 'multipath-off',
    verdict: 'warn',
    evidence: `the running Weft (process ${running.pid}) was started with --no-multipath: its connections are plain TCP`,
    facts: [{ name: 'option', value: '--no-multipath' }],
    advice: ['start it without that option'],
  });
};

export const checkPathManager: Check = ({ daemon, sysctls }) => {
  const id = 'path-manager';
  const name =
    sysctls.get('net.mptcp.path_manager') ??
    (sysctls.get('net.mptcp.pm_type') === '1' ? 'userspace' : undefined);
  if (name === undefined) {
    if (!sysctls.has('net.mptcp.enabled')) return undefined;
    return result({ id, verdict: 'ok', evidence: 'this kernel has one path manager only, its own' });
  }
  const facts: ReadFact[] = [
    sysctls.has('net.mptcp.path_manager')
      ? settingFact(sysctls, 'net.mptcp.path_manager')
      : settingFact(sysctls, 'net.mptcp.pm_type'),
  ];
  if (name === 'kernel') {
    return result({ id, verdict: 'ok', evidence: "the kernel's path manager is in charge", facts });
  }
  if (daemon !== undefined) facts.push({ name: 'path-management daemon', value: `process ${daemon.pid}` });
  if (daemon?.opensSubflows === true) {
    const evidence = `the daemon's plugin "${daemon.plugin ?? '?'}" opens subflows, as net.mptcp.path_manager "${name}" wants`;
    return result({ id, verdict: 'ok', evidence, facts });
  }
  const who =
    daemon === undefined
      ? ', and no daemon that opens subflows answers here'
      : `, and the daemon's plugin "${daemon.plugin ?? 'none'}" opens no subflows`;
  return result({
    id,
    cause: 'path-manager-userspace',
    verdict: 'fail',
    evidence: `net.mptcp.path_manager is "${name}": the kernel ignores endpoints for new connections${who}`,
    facts,
    advice: [
      'sysctl -w net.mptcp.path_manager=kernel',
      'or keep it, if a daemon such as mptcpd manages the paths',
    ],
  });
};

export const checkScheduler: Check = ({ sysctls }) => {
  const id = 'scheduler';
  const name = sysctls.get('net.mptcp.scheduler');
  if (name === undefined) return undefined;
  const facts = [settingFact(sysctls, 'net.mptcp.scheduler')];
  const available = sysctls.get('net.mptcp.available_schedulers')?.split(/\s+/) ?? [name];
  if (!available.includes(name)) {
    return result({
      id,
      cause: 'scheduler-missing',
      verdict: 'warn',
      evidence: `the scheduler "${name}" is not loaded, so the default one is used (there are: ${available.join(', ')})`,
      facts: [...facts, settingFact(sysctls, 'net.mptcp.available_schedulers')],
      advice: ['sysctl -w net.mptcp.scheduler=default'],
    });
  }
  return result({ id, verdict: 'ok', evidence: `packets are spread by the scheduler "${name}"`, facts });
};

export const checkPrivilege: Check = ({ netAdmin }) => {
  const id = 'privilege';
  if (netAdmin === undefined) {
    return result({ id, verdict: 'unknown', evidence: 'could not find out whether CAP_NET_ADMIN is there' });
  }
  const facts = [{ name: 'CAP_NET_ADMIN', value: netAdmin ? 'there' : 'missing' }];
  if (netAdmin) {
    const evidence = 'CAP_NET_ADMIN is there: endpoints and routes can be set';
    return result({ id, verdict: 'ok', evidence, facts });
  }
  return result({
    id,
    cause: 'no-privilege',
    verdict: 'warn',
    evidence: 'no CAP_NET_ADMIN: the proxy works, but "weft up" cannot set up endpoints and routes',
    facts,
    advice: ['sudo weft up'],
  });
};
