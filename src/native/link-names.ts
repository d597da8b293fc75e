/**
 * Names and indexes of links in the calling thread's network namespace, one link at a time: what a short command
 * needs instead of a dump of all of them. Alternative names (`ip link property`) are found too.
 *
 * References: if_nametoindex(3), netdevice(7) (SIOCGIFINDEX, SIOCGIFNAME).
 */
import { libc } from './libc.ts';

/** <linux/if.h>, the zero at the end included. */
const IFNAMSIZ = 16;

/** `undefined` when there is no link of that name. */
export function linkIndexOf(name: string): number | undefined {
  if (name.includes('\0')) return undefined;
  const index = libc.if_nametoindex(name);
  return index === 0 ? undefined : index;
}

/** `undefined` when there is no link of that index. */
export function linkNameOf(index: number): string | undefined {
  if (index <= 0) return undefined;
  const name = Buffer.alloc(IFNAMSIZ);
  if (libc.if_indextoname(index, name) === null) return undefined;
  return name.toString('utf8', 0, name.indexOf(0));
}
