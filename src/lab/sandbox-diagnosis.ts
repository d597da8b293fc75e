/**
 * Why this machine refuses private namespaces, in words a person can act on (pure). The facts are read by
 * sandbox.ts; here they become one sentence each.
 *
 * References: user_namespaces(7), namespaces(7), unshare(1); Debian's kernel.unprivileged_userns_clone, Ubuntu's
 * kernel.apparmor_restrict_unprivileged_userns.
 */

export interface NamespaceFacts {
  readonly root: boolean;
  /** What unshare(1) wrote to standard error, or why it could not start. */
  readonly failure: string;
  /** `true` when the program itself is not there. */
  readonly programMissing: boolean;
  /** Contents of files under /proc/sys; `undefined` when there is no such file. */
  readonly unprivilegedUsernsClone: string | undefined;
  readonly apparmorRestrictsUserns: string | undefined;
  readonly maxUserNamespaces: string | undefined;
  readonly maxNetNamespaces: string | undefined;
  /** "Seccomp" of /proc/self/status: 0 none, 2 a filter, as containers have. */
  readonly seccompMode: string | undefined;
}

export interface NamespaceProblem {
  readonly reason: string;
  readonly remedy: string;
}

/** The most likely reason, judged from what is certain to what is a guess. */
export function diagnoseNamespaces(facts: NamespaceFacts): NamespaceProblem {
  if (facts.programMissing) {
    return {
      reason: 'the program "unshare" or "setpriv" is not installed',
      remedy: 'apt-get install util-linux',
    };
  }
  if (facts.maxNetNamespaces === '0') {
    return {
      reason: 'user.max_net_namespaces is 0',
      remedy: 'sysctl user.max_net_namespaces=10000, as root',
    };
  }
  if (!facts.root) {
    if (facts.unprivilegedUsernsClone === '0') {
      return {
        reason: 'kernel.unprivileged_userns_clone is 0, so only root may make user namespaces',
        remedy: 'sysctl kernel.unprivileged_userns_clone=1, as root, or run this as root',
      };
    }
    if (facts.maxUserNamespaces === '0') {
      return {
        reason: 'user.max_user_namespaces is 0, so nobody may make user namespaces',
        remedy: 'sysctl user.max_user_namespaces=10000, as root, or run this as root',
      };
    }
    if (facts.apparmorRestrictsUserns === '1') {
      return {
        reason:
          'kernel.apparmor_restrict_unprivileged_userns is 1, so user namespaces of ordinary users have no rights',
        remedy: 'sysctl kernel.apparmor_restrict_unprivileged_userns=0, as root, or run this as root',
      };
    }
  }
  if (facts.seccompMode === '2') {
    return {
      reason: `a system call filter is in force, as containers have (${facts.failure})`,
      remedy: facts.root
        ? 'start the container with --privileged, or with --cap-add SYS_ADMIN,NET_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined'
        : 'start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined',
    };
  }
  if (facts.root) {
    return {
      reason: `root has no CAP_SYS_ADMIN here (${facts.failure})`,
      remedy: 'start the container with --privileged, or run this on the host',
    };
  }
  return {
    reason: facts.failure === '' ? 'the kernel refused' : facts.failure,
    remedy: 'run this as root',
  };
}
