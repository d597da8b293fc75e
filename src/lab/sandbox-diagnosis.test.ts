import { expect, it } from 'vitest';
import { diagnoseNamespaces, type NamespaceFacts } from './sandbox-diagnosis.ts';

const facts: NamespaceFacts = {
  root: false,
  failure: 'unshare: unshare failed: Operation not permitted',
  programMissing: false,
  unprivilegedUsernsClone: undefined,
  apparmorRestrictsUserns: undefined,
  maxUserNamespaces: '96365',
  maxNetNamespaces: '96365',
  seccompMode: '0',
};

it.each([
  [{ programMissing: true }, 'not installed', 'apt-get install util-linux'],
  [{ maxNetNamespaces: '0' }, 'max_net_namespaces is 0', 'sysctl user.max_net_namespaces='],
  [{ unprivilegedUsernsClone: '0' }, 'unprivileged_userns_clone is 0', 'unprivileged_userns_clone=1'],
  [{ maxUserNamespaces: '0' }, 'max_user_namespaces is 0', 'sysctl user.max_user_namespaces='],
  [{ apparmorRestrictsUserns: '1' }, 'apparmor_restrict', 'apparmor_restrict_unprivileged_userns=0'],
  [{ seccompMode: '2' }, 'system call filter', 'seccomp=unconfined'],
  [{ seccompMode: '2', root: true }, 'system call filter', '--cap-add SYS_ADMIN,NET_ADMIN'],
  // The settings of ordinary users do not stop root.
  [{ root: true, unprivilegedUsernsClone: '0' }, 'no CAP_SYS_ADMIN', '--privileged'],
  [{}, 'Operation not permitted', 'run this as root'],
])('%o', (change, reason, remedy) => {
  const problem = diagnoseNamespaces({ ...facts, ...change });
  expect(problem.reason).toContain(reason);
  expect(problem.remedy).toContain(remedy);
});
