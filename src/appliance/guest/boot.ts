/**
 * The guest's beginning and end as the first process: file systems, kernel modules, settings. Runs once, before
 * anything that needs /proc or a network link. Not here: what the host asks for later (agent.ts).
 *
 * Invariant: the console is told what failed; what is not vital (a module, a setting) does not stop the boot.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { errorText } from '../../base/index.ts';
import { loadKernelModule, mountFileSystem, powerOff, raiseOpenFiles } from '../../native/index.ts';
import { RouteNetlink } from '../../netlink/index.ts';
import { MODULE_LIST } from '../image/layout.ts';

/** BOUNDED: each of 16,384 tunnels has two sockets, and some have pipes. */
const OPEN_FILES = 65_536;

/** Under /proc/sys/net; the links' own values are copies of `default`. */
const SETTINGS: readonly (readonly [string, string])[] = [
  // The host tells every address; nothing is to be learned from the link or waited for.
  ['ipv6/conf/all/accept_ra', '0'],
  ['ipv6/conf/default/accept_ra', '0'],
  ['ipv6/conf/default/accept_dad', '0'],
  // An address answers only on its own link, so that what comes in by an uplink does not reach the host's side.
  ['ipv4/conf/all/arp_ignore', '1'],
  ['ipv4/conf/default/arp_ignore', '1'],
  ['ipv4/conf/all/accept_redirects', '0'],
  ['ipv4/conf/default/accept_redirects', '0'],
];

const tell = (text: string) => process.stderr.write(`weft: ${text}\n`);

function attempt(what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    tell(`${what}: ${errorText(error)}`);
  }
}

/** @throws SystemError when /proc, /sys or /dev cannot be had */
export function bootGuest(): void {
  mountFileSystem('proc', '/proc');
  mountFileSystem('sysfs', '/sys');
  mountFileSystem('devtmpfs', '/dev');
  for (const path of readFileSync(MODULE_LIST, 'utf8').split('\n').filter(Boolean)) {
    attempt('a kernel module is missing', () => loadKernelModule(path));
  }
  attempt('open files', () => raiseOpenFiles(OPEN_FILES));
  for (const [name, value] of SETTINGS) {
    attempt(`net/${name}`, () => writeFileSync(`/proc/sys/net/${name}`, value));
  }
  attempt('loopback', () => {
    const netlink = RouteNetlink.open();
    const loopback = netlink.linkByName('lo');
    if (loopback !== undefined) netlink.setLink(loopback.index, { up: true });
    netlink.close();
  });
}

/** Ends the guest. @throws WeftError NOT_INIT where this is not the first process of a machine */
export function endGuest(): void {
  powerOff();
}
