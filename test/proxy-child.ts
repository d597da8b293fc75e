/**
 * A process with a proxy in it, for test/proxy-process.test.ts and proxy-dialer.test.ts: options as JSON in the first
 * argument, commands as lines on standard input, answers as JSON lines on standard output.
 */
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../src/base/index.ts';
import { check, libc, MS_BIND } from '../src/native/index.ts';
import { DEFAULT_POLICY, ProxyServer, type ProxyOptions, type ProxyRule } from '../src/proxy/index.ts';

export interface ChildOptions {
  readonly proxy: Omit<ProxyOptions, 'logger' | 'policy'>;
  readonly rules?: readonly ProxyRule[];
  /** Contents that this process, and no other, sees under these paths; it needs its own mount namespace. */
  readonly files?: Readonly<Record<string, string>>;
  /** Nothing of what it writes to standard error is shown. */
  readonly quiet?: boolean;
}

/** Gives some files other contents; the caller has given this process a mount namespace of its own. */
function cover(files: Readonly<Record<string, string>>): void {
  const folder = mkdtempSync('/tmp/weft-cover-');
  for (const [path, contents] of Object.entries(files)) {
    const file = join(folder, path.replaceAll('/', '_'));
    writeFileSync(file, contents);
    check(libc.mount(file, path, null, MS_BIND, null), `cover ${path}`);
  }
  rmSync(folder, { recursive: true });
}

/** Open sockets; what the process opens once, when it first needs it, is not among them. */
function socketCount(): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The descriptor by which the folder was read.
      return '';
    }
  });
  return targets.filter((target) => target.startsWith('socket:')).length;
}

const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
if (options.files !== undefined) cover(options.files);
const server = new ProxyServer({
  ...options.proxy,
  policy: { ...DEFAULT_POLICY, rules: options.rules ?? [] },
  logger: silentLogger,
});
createInterface({ input: process.stdin }).on('line', (line) => {
  switch (line) {
    case 'counters':
      say(server.counters());
      break;
    case 'fds':
      say(readdirSync('/proc/self/fd').length);
      break;
    case 'sockets':
      say(socketCount());
      break;
    case 'stop':
      // Nothing but the proxy and standard input keeps this process alive.
      void server.stop().then(() => process.stdin.destroy());
      break;
    case 'exit':
      process.exit(7);
      break;
    case 'throw':
      throw new Error('on purpose');
  }
});
try {
  await server.start();
  say({ addresses: server.addresses });
} catch (error) {
  say({ error: (error as Error).message });
  process.stdin.destroy();
}
