/**
 * The kernel's settings for MPTCP, net.mptcp.*, as typed values. They belong to a network namespace: without
 * `netns` that of the calling thread. Names come from the table below for typed access, and from the kernel for
 * `readSysctls`, so that a newer kernel's are seen too.
 *
 * References: Documentation/networking/mptcp-sysctl.rst, net/mptcp/ctrl.c.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../base/errors.ts';
import { inNamespace } from '../native/index.ts';

const FOLDER = '/proc/sys/net/mptcp';

interface SysctlSpec {
  readonly type: 'boolean' | 'number' | 'text' | 'list';
  readonly readOnly?: boolean;
  /** One line, with the unit and the kernel's default. */
  readonly meaning: string;
}

/** Every setting known, up to Linux 7. Not every kernel has all of them. */
export const MPTCP_SYSCTLS = {
  enabled: { type: 'boolean', meaning: 'programs may open MPTCP sockets (default on)' },
  path_manager: {
    type: 'text',
    meaning: 'who decides on subflows of new connections: "kernel" (default) or "userspace"',
  },
  available_path_managers: { type: 'list', readOnly: true, meaning: 'what path_manager may be set to' },
  pm_type: { type: 'number', meaning: 'older form of path_manager: 0 kernel (default), 1 userspace' },
  scheduler: { type: 'text', meaning: 'which subflow new connections send on (default "default")' },
  available_schedulers: { type: 'list', readOnly: true, meaning: 'what scheduler may be set to' },
  add_addr_timeout: {
    type: 'number',
    meaning:
      'seconds until an announced address that was not echoed is announced again (default 120, 0 never)',
  },
  add_addr_v6_port_drop_ts: {
    type: 'boolean',
    meaning:
      'TCP timestamps give way to an announced IPv6 address with port, which needs the room (default on)',
  },
  allow_join_initial_addr_port: {
    type: 'boolean',
    meaning: 'the other end may join to the address and port of the first subflow (default on)',
  },
  blackhole_timeout: {
    type: 'number',
    meaning:
      'seconds without MPTCP after SYNs with MPTCP were dropped; doubles each time (default 3600, 0 never)',
  },
  checksum_enabled: { type: 'boolean', meaning: 'data sequence mappings carry a checksum (default off)' },
  close_timeout: {
    type: 'number',
    meaning: 'seconds that a connection without any subflow is kept, waiting for one (default 60)',
  },
  stale_loss_cnt: {
    type: 'number',
    meaning:
      'retransmission intervals without an answer until a subflow counts as stale (default 4, 0 never)',
  },
  syn_retrans_before_tcp_fallback: {
    type: 'number',
    meaning: 'SYNs sent again with MPTCP before plain TCP is tried (default 2)',
  },
} as const satisfies Readonly<Record<string, SysctlSpec>>;

export type SysctlName = keyof typeof MPTCP_SYSCTLS;

interface SysctlTypes {
  boolean: boolean;
  number: number;
  text: string;
  list: string[];
}

export type SysctlValue<Name extends SysctlName> = SysctlTypes[(typeof MPTCP_SYSCTLS)[Name]['type']];

/** Those that can be written. */
export type WritableSysctlName = {
  [Name in SysctlName]: (typeof MPTCP_SYSCTLS)[Name] extends { readOnly: true } ? never : Name;
}[SysctlName];

/** Typed values by name; only those that this kernel has. */
export type MptcpSysctls = { readonly [Name in SysctlName]?: SysctlValue<Name> };

export interface SysctlOptions {
  /** File of a network namespace (`/run/netns/NAME`). */
  readonly netns?: string;
}

function inside<T>(options: SysctlOptions, work: () => T): T {
  return options.netns === undefined ? work() : inNamespace(options.netns, work);
}

/** A value's text as its type; pure. */
export function parseSysctl(type: SysctlSpec['type'], text: string): boolean | number | string | string[] {
  const trimmed = text.trim();
  if (type === 'text') return trimmed;
  if (type === 'list') return trimmed === '' ? [] : trimmed.split(/\s+/);
  return type === 'number' ? Number(trimmed) : trimmed !== '0';
}

function absent(name: string, cause: unknown): WeftError {
  let present = true;
  try {
    readdirSync(FOLDER);
  } catch {
    present = false;
  }
  return new WeftError(`read net.mptcp.${name}: this kernel has no such setting (ENOENT)`, {
    code: 'NO_SYSCTL',
    cause,
    hint: present
      ? 'a newer kernel has it'
      : 'the kernel has no MPTCP (CONFIG_MPTCP, Linux 5.6 or newer), or /proc/sys is not mounted',
  });
}

/**
 * One setting.
 *
 * @throws WeftError NO_SYSCTL when this kernel does not have it; SystemError when `netns` cannot be entered
 */
export function readSysctl<Name extends SysctlName>(
  name: Name,
  options: SysctlOptions = {},
): SysctlValue<Name> {
  return inside(options, () => {
    try {
      const text = readFileSync(join(FOLDER, name), 'utf8');
      return parseSysctl(MPTCP_SYSCTLS[name].type, text) as SysctlValue<Name>;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw absent(name, error);
    }
  });
}

/** All settings that this kernel has and this program knows; none when the kernel has no MPTCP. Never throws for that. */
export function readSysctls(options: SysctlOptions = {}): MptcpSysctls {
  return inside(options, () => {
    const values: Record<string, unknown> = {};
    for (const name of Object.keys(MPTCP_SYSCTLS) as SysctlName[]) {
      try {
        values[name] = readSysctl(name);
      } catch (error) {
        if (!(error instanceof WeftError) || error.code !== 'NO_SYSCTL') throw error;
      }
    }
    return values;
  });
}

/** Every setting of this kernel as text, known to this program or not, in alphabetical order. */
export function readSysctlTexts(options: SysctlOptions = {}): Map<string, string> {
  return inside(options, () => {
    let names: string[] = [];
    try {
      names = readdirSync(FOLDER).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return new Map(names.map((name) => [name, readFileSync(join(FOLDER, name), 'utf8').trim()]));
  });
}

function writeHint(name: WritableSysctlName, code: string): string | undefined {
  if (code === 'EACCES' || code === 'EPERM') return 'this needs root, or CAP_NET_ADMIN in that namespace';
  if (code === 'EROFS')
    return '/proc/sys is mounted read-only here, as in most containers; set it on the host';
  if (code === 'EINVAL') return MPTCP_SYSCTLS[name].meaning;
  if (code !== 'ENOENT') return undefined;
  const choices = name === 'scheduler' ? 'available_schedulers' : 'available_path_managers';
  try {
    return `available: ${readSysctl(choices).join(', ')}`;
  } catch {
    return MPTCP_SYSCTLS[name].meaning;
  }
}

/**
 * Changes one setting.
 *
 * @throws WeftError NO_SYSCTL when this kernel does not have it; WeftError with the errno's name as code when the
 *   kernel refuses (EACCES, EPERM, EROFS, EINVAL, and ENOENT for a path manager or scheduler that it has not)
 */
export function writeSysctl<Name extends WritableSysctlName>(
  name: Name,
  value: SysctlValue<Name>,
  options: SysctlOptions = {},
): void {
  const text = typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
  inside(options, () => {
    readSysctl(name);
    try {
      writeFileSync(join(FOLDER, name), text, { flag: 'r+' });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'SYSCTL';
      const hint = writeHint(name, code);
      throw new WeftError(`set net.mptcp.${name} to "${text}": refused (${code})`, {
        code,
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  });
}
