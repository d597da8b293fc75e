/** Which network namespace this is, for records on disk: numbers of namespaces are used again, boots end them all. */
import { readFileSync, statSync } from 'node:fs';
import { AF_INET } from '../base/index.ts';
import {
  closeFd,
  getSocketOption,
  inNamespace,
  openSocket,
  SO_NETNS_COOKIE,
  SOCK_DGRAM,
  SOL_SOCKET,
  SystemError,
} from '../native/index.ts';

/** What tells one network namespace from every other, at any time. */
export interface NamespaceIdentity {
  /** Of the namespace's file; unique among those that live now. */
  readonly inode: number;
  /** SO_NETNS_COOKIE: never given twice in one boot; 0 before Linux 5.14. */
  readonly cookie: string;
  readonly bootId: string;
}

function readCookie(): string {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0);
  try {
    const value = new Uint8Array(8);
    getSocketOption(fd, SOL_SOCKET, SO_NETNS_COOKIE, value);
    return String(new DataView(value.buffer).getBigUint64(0, true));
  } catch (error) {
    if (error instanceof SystemError) return '0';
    throw error;
  } finally {
    closeFd(fd);
  }
}

/** @param netns file of the namespace; default is this thread's own */
export function namespaceIdentity(netns?: string): NamespaceIdentity {
  return {
    inode: statSync(netns ?? '/proc/thread-self/ns/net').ino,
    cookie: netns === undefined ? readCookie() : inNamespace(netns, readCookie),
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  };
}
