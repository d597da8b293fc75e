/**
 * Makes a qcow2 disk of a VMDK disk, by qemu-img: what a stranger made is read by a program that has no rights but on
 * the folder it works in, where Weft is root.
 *
 * Invariant: nothing is left when it fails.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { errorText, WeftError } from '../../base/index.ts';
import { brokenImage } from './image-folder.ts';
import { parseVmdkHead, VMDK_HEAD_BYTES } from './vmdk.ts';

const run = promisify(execFile);
const TIMEOUT_MS = 600_000;
const OUTPUT_MAX_BYTES = 1 << 20;

function readHead(path: string): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const head = new Uint8Array(VMDK_HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}

export interface ProgramUser {
  readonly uid?: number;
  readonly gid?: number;
}

async function qemuImg(args: readonly string[], user: ProgramUser): Promise<void> {
  try {
    await run('qemu-img', args, { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_MAX_BYTES, ...user });
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') {
      throw new WeftError('qemu-img is not installed, and without it a VMDK disk cannot be read', {
        code: 'NO_QEMU_IMG',
        hint: 'install qemu-utils (Debian), or take an image that was built with "weft appliance build"',
      });
    }
    const [line = ''] = (stderr ?? '').trim().split('\n');
    throw new WeftError(`qemu-img: ${line === '' ? errorText(error) : line}`, {
      code: 'BROKEN_IMAGE',
      cause: error,
    });
  }
}

/**
 * @param target must not be there
 * @param user as whom qemu-img runs; `{}`: as who Weft runs
 * @throws WeftError BROKEN_IMAGE, NO_QEMU_IMG
 */
export async function convertVmdk(source: string, target: string, user: ProgramUser = {}): Promise<void> {
  const head = parseVmdkHead(readHead(source));
  if (typeof head === 'string') throw brokenImage(source, head);
  const work = mkdtempSync(join(dirname(target), '.convert-'));
  try {
    const { gid, uid } = user;
    if (uid !== undefined) {
      // The folders above are Weft's own and private; it is let through, not in.
      chmodSync(dirname(target), 0o711);
      chmodSync(source, 0o644);
      chownSync(work, uid, gid ?? uid);
    }
    const made = join(work, 'disk.qcow2');
    await qemuImg(['convert', '-f', 'vmdk', '-O', 'qcow2', source, made], user);
    if (uid !== undefined) chownSync(made, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    chmodSync(made, 0o644);
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
