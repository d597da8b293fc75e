/**
 * Who sent a local command: the user whose socket has the source port. The command port is open to every process of the
 * host, and the original obeys all of them; here what changes something is done for root and for the server's own user
 * only.
 *
 * The kernel's list of UDP sockets is read, so the sender's socket must still be there: the client's is, it waits for the
 * answer. Of several sockets on the port every one counts, because any of them may have sent.
 *
 *   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid …
 *   12: 0100007F:EC4B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0 …
 *
 * References: proc_net_udp in proc(5).
 */
import { readFileSync } from 'node:fs';

const FILES = ['/proc/self/net/udp', '/proc/self/net/udp6'] as const;
const COLUMN = { local: 1, uid: 7 } as const;

/** The users that have a socket on this port (pure). `text`: of /proc/net/udp or udp6. */
export function usersOfPort(text: string, port: number): readonly number[] {
  const users: number[] = [];
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const line of text.split('\n')) {
    const columns = line.trim().split(/\s+/);
    if (columns[COLUMN.local]?.endsWith(suffix) === true) users.push(Number(columns[COLUMN.uid]));
  }
  return users;
}

/** Whether every socket on this port is root's or this process's user's, and there is one. */
export function isTrustedSender(port: number): boolean {
  const users: number[] = [];
  for (const file of FILES) {
    try {
      users.push(...usersOfPort(readFileSync(file, 'utf8'), port));
    } catch {
      // A host without IPv6 has no list of it.
    }
  }
  const own = process.geteuid?.();
  return users.length > 0 && users.every((user) => user === 0 || user === own);
}
