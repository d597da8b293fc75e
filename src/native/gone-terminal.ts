/**
 * The end of a process whose terminal is gone. Node puts the modes of its terminals back when it ends, takes it for
 * impossible that this fails, and aborts (SIGABRT, a core file) when the terminal was closed. A descriptor that has
 * become another file is left alone, so the standard descriptors become /dev/null first.
 *
 * References: ResetStdio in node's src/node.cc (v20), "hung_up_tty_ioctl" in Linux's drivers/tty/tty_io.c.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';

const STANDARD_DESCRIPTORS = [0, 1, 2] as const;
/** Of st_rdev: terminals (4) and pseudo-terminals (136 to 143), Documentation/admin-guide/devices.txt. */
const isTerminalMajor = (major: number) => major === 4 || (major >= 136 && major <= 143);

/** Whether a descriptor is of a terminal that was closed. */
export function isGoneTerminal(fd: number): boolean {
  try {
    const { rdev } = fstatSync(fd);
    return isTerminalMajor((rdev >> 8) & 0xfff) && !isatty(fd);
  } catch {
    // It is closed.
    return false;
  }
}

/** For the last moment of a process (its event `exit`): whatever of it still writes, writes to nobody. */
export function releaseGoneTerminals(): void {
  for (const fd of STANDARD_DESCRIPTORS) {
    if (!isGoneTerminal(fd)) continue;
    closeSync(fd);
    // The lowest free number is the one that was closed.
    openSync('/dev/null', fd === 0 ? 'r' : 'w');
  }
}
