/**
 * As whom QEMU runs, and whether it can have the processor's own virtualisation (decisions pure, facts read here).
 * Root starts it as `nobody`; who is not root starts it as himself.
 */
import { readFileSync, statSync } from 'node:fs';

/** `nobody`: the kernel's own number for a user of whom nothing is known, and Debian's. */
const NOBODY = 65_534;

export interface QemuUser {
  /** Absent: as who Weft runs. */
  readonly uid?: number;
  readonly gid?: number;
  /** Why it runs with more rights than it should, in words. */
  readonly trouble?: string;
}

export interface UserFacts {
  readonly uid: number;
  /** Of /proc/self/uid_map and gid_map. */
  readonly uidMap: string;
  readonly gidMap: string;
  /** Owner, group and permissions of /dev/kvm; absent where there is none. */
  readonly kvm?: { readonly uid: number; readonly gid: number; readonly mode: number };
}

/** Whether a number exists in this user namespace (pure). */
function isMapped(map: string, id: number): boolean {
  return map.split('\n').some((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return first !== undefined && count !== undefined && id >= first && id < first + count;
  });
}

/** Pure. */
export function chooseUser({ gidMap, kvm, uid, uidMap }: UserFacts): QemuUser {
  if (uid !== 0) return {};
  if (!isMapped(uidMap, NOBODY) || !isMapped(gidMap, NOBODY)) {
    return { trouble: 'this user namespace has no other user, so QEMU runs with the rights of Weft itself' };
  }
  // The group that may use /dev/kvm and nothing more.
  const byGroup = kvm !== undefined && kvm.gid !== 0 && (kvm.mode & 0o060) === 0o060;
  return { uid: NOBODY, gid: byGroup && isMapped(gidMap, kvm.gid) ? kvm.gid : NOBODY };
}

/** Whether that user may open /dev/kvm (pure). */
export function mayUseKvm(facts: UserFacts, user: QemuUser): boolean {
  const { kvm } = facts;
  if (kvm === undefined) return false;
  const uid = user.uid ?? facts.uid;
  if (uid === 0) return true;
  const bits = kvm.mode & 0o777;
  if (uid === kvm.uid) return (bits & 0o600) === 0o600;
  if (user.gid !== undefined && user.gid === kvm.gid) return (bits & 0o060) === 0o060;
  return (bits & 0o006) === 0o006;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export function readUserFacts(): UserFacts {
  const kvm = statSync('/dev/kvm', { throwIfNoEntry: false });
  return {
    uid: process.getuid?.() ?? 0,
    uidMap: textOf('/proc/self/uid_map'),
    gidMap: textOf('/proc/self/gid_map'),
    ...(kvm === undefined ? {} : { kvm: { uid: kvm.uid, gid: kvm.gid, mode: kvm.mode } }),
  };
}
