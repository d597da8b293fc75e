/**
 * Where benchmarks run: in user (when not root), network, mount and process namespaces of their own, so that nothing of
 * the host is touched.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

const INSIDE = 'WEFT_BENCH_INSIDE';

/**
 * Runs this program again in namespaces of its own, and ends with that one's exit code; returns only there. /run is
 * empty then, but for the folders asked for. The process namespace ends whatever was started, also when this program
 * is killed.
 */
export function enterNamespaces(...folders) {
  if (process.env[INSIDE] === undefined) {
    const user = process.getuid() === 0 ? [] : ['-Ur'];
    const namespaces = ['-nmp', '--fork', '--kill-child', '--mount-proc'];
    const args = [...user, ...namespaces, process.execPath, ...process.argv.slice(1)];
    const env = { ...process.env, [INSIDE]: '1' };
    const { status, error } = spawnSync('unshare', args, { stdio: 'inherit', env });
    if (error !== undefined) console.error(`unshare: ${error.message}`);
    process.exit(status ?? 1);
  }
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'none', '/run'], { stdio: 'inherit' });
  // Going on would write into the host's /run.
  if (status !== 0) process.exit(1);
  for (const folder of folders) mkdirSync(folder, { mode: 0o755 });
}
