/**
 * Shipped plugins that make subflows themselves can do so only for connections that the kernel leaves to them, and it
 * keeps new ones for itself unless a setting says otherwise. Weft changes no setting of the host unasked; it says so.
 */
import type { Logger } from '../base/index.ts';
import { readSysctls, type MptcpSysctls, type SysctlOptions } from '../mptcp/index.ts';
import { USERSPACE_PLUGINS } from './shipped-plugins.ts';

/** What an administrator has to do, or nothing (pure). */
export function userspaceAdvice(plugin: string, settings: MptcpSysctls): string | undefined {
  if (!USERSPACE_PLUGINS.has(plugin)) return undefined;
  const { path_manager: name, pm_type: type } = settings;
  // Older kernels have only the number.
  if (name === undefined ? type === 1 : name === 'userspace') return undefined;
  const command = name === undefined ? 'net.mptcp.pm_type=1' : 'net.mptcp.path_manager=userspace';
  const keeper = name === undefined || name === 'kernel' ? "the kernel's own path manager" : `"${name}"`;
  return `plugin "${plugin}" makes no subflows: new connections are under ${keeper} — sysctl -w ${command}`;
}

export function adviseOnUserspace(plugin: string | undefined, logger: Logger, options: SysctlOptions): void {
  const advice = plugin === undefined ? undefined : userspaceAdvice(plugin, readSysctls(options));
  if (advice !== undefined) logger.warn({ plugin }, advice);
}
