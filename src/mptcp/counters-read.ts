/**
 * Reads the MPTCP counters of a network namespace. /proc/thread-self, not /proc/net, because the latter shows the
 * namespace of the process's first thread, whatever namespace this one is in.
 */
import { readFileSync } from 'node:fs';
import { inNamespace } from '../native/index.ts';
import { parseCounters, type Counters } from './counters.ts';

const NETSTAT = '/proc/thread-self/net/netstat';

const read = () => parseCounters(readFileSync(NETSTAT, 'utf8'));

/**
 * @param options.netns file of a network namespace (`/run/netns/NAME`); without it, that of the calling thread
 * @returns no counters at all when the kernel has no MPTCP
 */
export function readCounters(options: { readonly netns?: string } = {}): Counters {
  return options.netns === undefined ? read() : inNamespace(options.netns, read);
}
