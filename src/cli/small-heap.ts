/**
 * The heap of a program that runs for weeks: small rather than fast to be filled. V8 lets the heap of a process that
 * looks at thousands of sockets twice a second grow to several times what it holds, and new objects alone may take
 * 32 MiB; so told, it collects a little more often. Measured by bench/page (part `memory`).
 *
 * Called when the program is ready: what the flag costs while code is loaded for the first time would delay the start.
 */
import { setFlagsFromString } from 'node:v8';

export function preferSmallHeap(): void {
  setFlagsFromString('--optimize-for-size');
}
