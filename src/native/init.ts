/**
 * What the first process of a machine does before anything else can: file systems, kernel modules, the limit of open
 * files, and the end of the machine. For the appliance's guest, where Weft is that process.
 *
 * References: mount(2), init_module(2), reboot(2), getrlimit(2).
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { WeftError } from '../base/errors.ts';
import { check, EEXIST, EBUSY, SystemError } from './errno.ts';
import { lastErrno, libc } from './libc.ts';

const SYS_FINIT_MODULE = process.arch === 'arm64' ? 273 : 313;
const RB_POWER_OFF = 0x4321fedc;
const RLIMIT_NOFILE = 7;

/**
 * Mounts a file system that needs no device, `proc`, `sysfs`, `devtmpfs` …, and makes the folder. Harmless when it
 * is mounted there already.
 * @throws SystemError EPERM, ENODEV when the kernel does not have it …
 */
export function mountFileSystem(type: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  if (libc.mount(type, folder, type, 0, null) === 0) return;
  const errno = lastErrno();
  if (errno !== EBUSY) throw new SystemError(`mount ${type} at "${folder}"`, errno);
}

/**
 * Loads a kernel module from its file. Harmless when it is loaded already. Modules that it needs must be.
 * @throws SystemError ENOENT (symbols of another module are missing), ENOEXEC, EPERM …
 */
export function loadKernelModule(path: string): void {
  const fd = openSync(path, 'r');
  try {
    if (libc.finitModule(SYS_FINIT_MODULE, fd, '', 0) === 0) return;
    const errno = lastErrno();
    if (errno !== EEXIST) throw new SystemError(`load kernel module "${path}"`, errno);
  } finally {
    closeSync(fd);
  }
}

/** Lets this process open that many files. @throws SystemError EPERM when the hard limit would be raised without right */
export function raiseOpenFiles(count: number): void {
  const limits = new Uint8Array(new BigUint64Array([BigInt(count), BigInt(count)]).buffer);
  check(libc.setrlimit(RLIMIT_NOFILE, limits), `raise the limit of open files to ${count}`);
}

/**
 * Switches the machine off, now, without asking anybody.
 * @throws WeftError NOT_INIT in any process but the first of a machine; SystemError EPERM
 */
export function powerOff(): void {
  if (process.pid !== 1) {
    throw new WeftError(`only the first process of a machine switches it off, not process ${process.pid}`, {
      code: 'NOT_INIT',
    });
  }
  check(libc.reboot(RB_POWER_OFF), 'switch the machine off');
}
