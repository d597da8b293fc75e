/**
 * Which user sent a datagram over loopback. MPT takes commands from every process of the host and carries them out as
 * root; here a change is taken only from root and from the user that the server runs as. UDP says nothing of the
 * sender, but the kernel's list of sockets does: /proc/net/udp and udp6 (proc(5)).
 *
 *   sl  local_address rem_address st tx:rx tr:when retrnsmt uid …
 *   12: 0100007F:EC2C 00000000:0000 07 …                    1000 …
 *
 * An address is printed as 32-bit words of the host's order, in hex; a socket without one has zeros.
 *
 * Invariant: whoever cannot be told is nobody: a sender that is gone, or shares its port with another user's socket.
 */
import { readFileSync } from 'node:fs';
import { parseIp, unmapV4 } from '../../base/index.ts';

const LINE = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ \S+ \S+ \S+ \S+\s+(\d+) /gm;

/** An address as /proc/net prints it on a little-endian machine, which x64 and arm64 are. */
function printed(address: Uint8Array): string {
  const bytes: string[] = [];
  for (let word = 0; word < address.length; word += 4) {
    for (let i = 3; i >= 0; i--) bytes.push(address[word + i]!.toString(16).padStart(2, '0'));
  }
  return bytes.join('').toUpperCase();
}

/** The same address as an IPv6 socket has it. */
function mapped(address: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(address, 12);
  return bytes;
}

/**
 * Users of the sockets that datagrams from this address and port may come from. Pure; `lists`: the texts of udp and
 * udp6. A port that nobody has: none.
 */
export function ownersOf(lists: readonly string[], address: string, port: number): Set<number> {
  const bytes = parseIp(unmapV4(address));
  const owners = new Set<number>();
  if (bytes === undefined) return owners;
  const wanted = new Set([printed(bytes), '0'.repeat(32)]);
  if (bytes.length === 4) wanted.add(printed(mapped(bytes))).add('0'.repeat(8));
  for (const list of lists) {
    for (const [, local, portHex, uid] of list.matchAll(LINE)) {
      if (Number.parseInt(portHex!, 16) === port && wanted.has(local!)) owners.add(Number(uid));
    }
  }
  return owners;
}

function readList(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'latin1');
  } catch {
    // No IPv6 here; or no /proc, and then nobody is told.
    return '';
  }
}

/** Whether root or this process's own user sent what came from this loopback address and port, and is waiting there. */
export function isFromAdministrator(address: string, port: number): boolean {
  const owners = ownersOf([readList('udp'), readList('udp6')], address, port);
  if (owners.size === 0) return false;
  for (const uid of owners) if (uid !== 0 && uid !== process.geteuid!()) return false;
  return true;
}
