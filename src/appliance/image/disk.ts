/**
 * Makes a qcow2 disk of a VMDK disk, by qemu-img: what a stranger made is read by a program that, where Weft is root, has
 * no rights but on the two files it is given, as descriptors.
 *
 * Invariant: nothing is left when it fails.
 */
import { spawn } from 'node:child_process';
import { closeSync, fchmodSync, fchownSync, openSync, readSync, rmSync } from 'node:fs';
import { WeftError } from '../../base/index.ts';
import { brokenImage } from './image-folder.ts';
import { parseVmdkHead, VMDK_HEAD_BYTES } from './vmdk.ts';

const TIMEOUT_MS = 600_000;
/** BOUNDED: what is kept of its complaints. */
const OUTPUT_MAX = 4096;
/** Behind the standard streams. */
const [SOURCE, TARGET] = ['/proc/self/fd/3', '/proc/self/fd/4'] as const;

/** As whom qemu-img runs; `{}`: as who Weft runs. */
export interface ProgramUser {
  readonly uid?: number;
  readonly gid?: number;
}

function readHead(fd: number): Uint8Array {
  const head = new Uint8Array(VMDK_HEAD_BYTES);
  return head.subarray(0, readSync(fd, head, 0, head.length, 0));
}

function qemuImg(args: readonly string[], files: readonly number[], user: ProgramUser): Promise<void> {
  const child = spawn('qemu-img', args, {
    stdio: ['ignore', 'ignore', 'pipe', ...files],
    cwd: '/',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    ...user,
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < OUTPUT_MAX) complaint += text.slice(0, OUTPUT_MAX);
  });
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new WeftError(`qemu-img, which reads VMDK disks, could not start: ${cause.message}`, {
          code: 'NO_QEMU_IMG',
          cause,
          hint: 'install qemu-utils (Debian), or take an image that was built with "weft appliance build"',
        }),
      );
    });
    child.once('close', (code, signal) => {
      const [line = ''] = complaint.trim().split('\n');
      const why = line === '' ? `it ended with ${signal ?? code}` : line;
      if (code === 0) resolve();
      else reject(new WeftError(`the disk could not be converted: ${why}`, { code: 'BROKEN_IMAGE' }));
    });
  });
}

/**
 * @param target must not be there
 * @throws WeftError BROKEN_IMAGE, NO_QEMU_IMG
 */
export async function convertVmdk(source: string, target: string, user: ProgramUser = {}): Promise<void> {
  const from = openSync(source, 'r');
  try {
    const head = parseVmdkHead(readHead(from));
    if (typeof head === 'string') throw brokenImage(source, head);
    const to = openSync(target, 'wx', 0o600);
    try {
      // It opens both anew by their descriptors: whose folders they lie in does not matter then.
      fchmodSync(from, 0o644);
      if (user.uid !== undefined) fchownSync(to, user.uid, user.gid ?? user.uid);
      await qemuImg(['convert', '-f', 'vmdk', '-O', 'qcow2', SOURCE, TARGET], [from, to], user);
      if (user.uid !== undefined) fchownSync(to, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
      fchmodSync(to, 0o644);
    } catch (error) {
      rmSync(target, { force: true });
      throw error;
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}
