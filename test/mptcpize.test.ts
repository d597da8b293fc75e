/**
 * `mptcpize run` and `weft run`, as built, with real programs of each kind: what the other end says they speak, and that
 * they get the process as it was. Debian's mptcpize runs beside ours where both must end alike.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connect, describeSocket, listenMultipath, writeSysctl } from '../src/mptcp/index.ts';
import { WEFT } from './support/weft-program.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OURS = join(dirname(WEFT), 'mptcpize.js');
/** Debian's. */
const PEER = 'mptcpize';
/** Linked statically on every Debian. */
const STATIC = '/sbin/ldconfig';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-run-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  writeSysctl('enabled', true);
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Nothing of the tests' own environment that the programs in question read. */
function cleanEnvironment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:NODE_OPTIONS|GODEBUG|LD_PRELOAD|MPTCPWRAP_DEBUG|\w+_proxy)$/i.test(name),
  );
  return { ...Object.fromEntries(kept), WEFT_RUNTIME_DIR: join(folder, 'runtime'), ...more };
}

async function run(command: readonly string[], env: NodeJS.ProcessEnv = {}, input = ''): Promise<Ran> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { cwd: folder, env: cleanEnvironment(env) });
  const ran = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (ran.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ran.err += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...ran };
}

const mptcpize = (...words: string[]) => [process.execPath, OURS, ...words];
const weft = (...words: string[]) => [process.execPath, WEFT, ...words];
const both = [
  ['mptcpize run', (...words: string[]) => mptcpize('run', ...words)],
  ['weft run', (...words: string[]) => weft('run', ...words)],
] as const;

/** Answers HTTP with one word, and remembers what its clients speak. */
async function serve(): Promise<{ readonly url: string; readonly port: number; readonly seen: string[] }> {
  const seen: string[] = [];
  const server: Server = createNetServer((socket: Socket) => {
    seen.push(describeSocket(socket).protocol);
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
  });
  await listenMultipath(server, { host: '127.0.0.1' });
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, port, seen };
}

/** A script without `#!`, one for Node, one for the shell. */
function writeScript(name: string, text: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe.each(both)('%s', (_name, command) => {
  it('curl, by libmptcpwrap', async () => {
    const { url, seen } = await serve();
    expect(await run(command('curl', '-sS', url))).toEqual({ code: 0, out: 'hello', err: '' });
    expect(seen).toEqual(['mptcp']);
  });

  it('node, and a script for it, by weft/register', async () => {
    const { url, seen } = await serve();
    const text = `#!/usr/bin/env node\nfetch('${url}').then((r) => r.text()).then(console.log);\n`;
    const script = writeScript('asks.mjs', text);
    for (const words of [[process.execPath, script], [script]]) {
      expect(await run(command('--via', 'preload', ...words))).toEqual({ code: 0, out: 'hello\n', err: '' });
    }
    expect(seen).toEqual(['mptcp', 'mptcp']);
  });

  it('a child of a shell script too', async () => {
    const { url, seen } = await serve();
    const script = writeScript('asks.sh', `curl -sS ${url}\n`);
    expect(await run(command('sh', script))).toEqual({ code: 0, out: 'hello', err: '' });
    expect(seen).toEqual(['mptcp']);
  });

  it('tells each socket with -d', async () => {
    const { url } = await serve();
    const ran = await run(command('-d', 'curl', '-sS', url));
    expect(ran.err).toMatch(/mptcpwrap: changing socket protocol from 0x\d to 0x106 \(IPPROTO_MPTCP\)/);
  });

  it('where MPTCP is off the program runs over TCP, and its user is told', async () => {
    const { url, seen } = await serve();
    writeSysctl('enabled', false);
    const ran = await run(command('curl', '-sS', url));
    expect(ran).toMatchObject({ code: 0, out: 'hello' });
    expect(ran.err).toMatch(
      /^\w+: "curl" runs over TCP, and libmptcpwrap\.so is left out: MPTCP is switched off/,
    );
    expect(ran.err.split('\n')).toHaveLength(2);
    expect(seen).toEqual(['tcp']);
  });

  it('a static program is told to use the proxy, of which there is none', async () => {
    const ran = await run(command(STATIC, '--version'));
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/ldconfig/);
    expect(ran.err).toMatch(
      /^\w+: "\/sbin\/ldconfig" itself stays TCP: it is linked statically, .* none runs here: start it with "weft up"\n$/,
    );
    const preloaded = await run(command('--via', 'preload', STATIC, '--version'));
    expect(preloaded.err).not.toMatch(/proxy/);
    const proxied = await run(command('--via=proxy', STATIC, '--version'));
    expect(proxied).toMatchObject({ out: '', err: expect.stringMatching(/no Weft runs here/) as string });
    expect(proxied.code).not.toBe(0);
  });

  it('is the process that it was, with its descriptors, signals, limits and arguments', async () => {
    const [program = '', ...args] = command(
      'bash',
      '-c',
      'echo $$ "$@"; cat; cat <&3; cat <&12',
      'sh',
      '--via',
      '',
    );
    const words = [program, ...args].map((word) => `'${word}'`).join(' ');
    const script = `echo $$; ulimit -Sn 100; exec ${words} 3<<EOF3 12<<EOF12\nthree\nEOF3\ntwelve\nEOF12`;
    const ran = await run(['bash', '-c', script], {}, 'input\n');
    const [pid, ...lines] = ran.out.split('\n');
    expect(lines).toEqual([`${pid} --via `, 'input', 'three', 'twelve', '']);
    expect([ran.code, ran.err]).toEqual([0, '']);
    const status = await run(command('cat', '/proc/self/status'));
    expect(/SigIgn:\s*(\w+)/.exec(status.out)?.[1]).toBe('0'.repeat(16));
    expect(/SigBlk:\s*(\w+)/.exec(status.out)?.[1]).toBe('0'.repeat(16));
    // What the tests themselves were started with comes through as well.
    const list = ['ls', '/proc/self/fd'];
    expect((await run(command(...list))).out).toBe((await run(list)).out);
  });

  it('has the limit of open files of the shell that called it', async () => {
    const words = command('sh', '-c', 'ulimit -Sn; ulimit -Hn').map((word) => `'${word}'`);
    const ran = await run(['bash', '-c', `ulimit -Sn 100; ulimit -Hn 4000; ${words.join(' ')}; true`]);
    expect(ran.out).toBe('100\n4000\n');
  });

  it.each([
    ['exit 7', 7, null],
    ['kill -TERM $$', null, 'SIGTERM'],
  ])('ends as the program: %s', (script, code, signal) => {
    const [program = '', ...args] = command('sh', '-c', script);
    expect(spawnSync(program, args, { env: cleanEnvironment({}) })).toMatchObject({ status: code, signal });
  });

  it('a text that may be executed is for the shell', async () => {
    const script = writeScript('bare', 'echo bare "$1"\n');
    const ran = await run(command('--via', 'preload', script, 'one two'));
    expect(ran).toMatchObject({ code: 0, out: 'bare one two\n' });
  });
});

describe('what cannot be run', () => {
  it.each([
    ['/nonexistent', 127, 'not found (ENOENT)'],
    ['no-such-program-here', 127, 'not found (ENOENT)'],
    ['/etc/passwd', 126, 'not executable (EACCES)'],
    ['/', 126, 'not executable (EACCES)'],
  ])('%s', async (name, code, why) => {
    const text = `run "${name}": ${why}\n`;
    expect(await run(weft('run', name))).toEqual({ code, out: '', err: `weft: ${text}` });
    expect(await run(mptcpize('run', name))).toEqual({ code: 255, out: '', err: `mptcpize: ${text}` });
  });

  it('a script whose interpreter is not there', async () => {
    const script = writeScript('orphan', '#!/no/such/interpreter\n');
    expect((await run(weft('run', script))).code).toBe(127);
  });
});

describe('Go', () => {
  it('a server of a program that was made with it', async () => {
    // A Go program that everybody who runs these tests has.
    const esbuild = join(root, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`);
    expect(existsSync(esbuild)).toBe(true);
    const [program = '', ...args] = mptcpize(
      'run',
      esbuild,
      '--serve=127.0.0.1:18999',
      `--servedir=${folder}`,
    );
    const child = spawn(program, args, { env: cleanEnvironment({}), stdio: ['pipe', 'ignore', 'pipe'] });
    const ended = once(child, 'close');
    let err = '';
    for await (const text of child.stderr.setEncoding('utf8')) {
      err += text as string;
      if (/Local:|error/.test(err)) break;
    }
    const socket = await connect({ host: '127.0.0.1', port: 18_999 });
    expect(describeSocket(socket)).toMatchObject({ protocol: 'mptcp' });
    socket.destroy();
    child.kill();
    await ended;
  });
});

describe('through the proxy', () => {
  beforeEach(async () => {
    const child = spawn(process.execPath, [WEFT, 'up', '--listen', '127.0.0.1:18128'], {
      env: cleanEnvironment({}),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'close');
    cleanups.push(async () => {
      child.kill();
      await ended;
    });
    let log = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (/to stop it/.test(log)) resolve();
      });
      child.once('close', () => reject(new Error(log)));
    });
  });

  const URL = 'http://127.0.0.1:18128';

  it('finds the Weft that runs and names it to the program', async () => {
    const ran = await run(mptcpize('run', '--via', 'proxy', 'env'), {
      http_proxy: 'http://old',
      LD_PRELOAD: '',
    });
    expect(ran).toMatchObject({ code: 0, err: '' });
    const set = ran.out
      .split('\n')
      .filter((line) => /^\w+_proxy=|^GODEBUG|^LD_PRELOAD|^NODE_OPTIONS/.test(line));
    expect(set.sort()).toEqual([
      'LD_PRELOAD=',
      `all_proxy=${URL}`,
      `http_proxy=${URL}`,
      `https_proxy=${URL}`,
    ]);
  });

  it('curl goes through it, and the server sees MPTCP', async () => {
    const { url, seen } = await serve();
    const ran = await run(weft('run', '--via', 'proxy', 'curl', '-sS', '-D-', url));
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(ran.out).toMatch(/via: 1\.\d weft/i);
    expect(seen).toEqual(['mptcp']);
  });

  it('says so to the user of a static program', async () => {
    const ran = await run(mptcpize('run', STATIC, '--version'));
    expect(ran.err).toBe(
      `mptcpize: "${STATIC}" itself stays TCP: it is linked statically, which ends preloading — it must go through the proxy: http_proxy, https_proxy, all_proxy are ${URL}\n`,
    );
  });
});

describe("as Debian's mptcpize", () => {
  const outcome = async (program: readonly string[], words: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    run([...program, ...words], env);
  const ours = [process.execPath, OURS];

  it.each([
    [],
    ['help'],
    ['help', 'run'],
    ['run'],
    ['run', '-d'],
    ['run', '/nonexistent'],
    ['run', '-x'],
    ['enable'],
    ['disable'],
    ['unknown'],
    ['-z'],
    ['--nosuch'],
    ['--usage'],
    ['--help'],
    ['--he'],
    ['-?'],
    ['-V'],
    ['--version=1'],
    ['run', 'false'],
    ['run', 'echo', '-d', '--help'],
    ['enable', 'no-such-unit-here'],
    ['disable', 'no-such-unit-here'],
  ])('ends alike and speaks on the same streams: %s %s %s', async (...words) => {
    const mine = await outcome(ours, words);
    const peers = await outcome([PEER], words);
    const shape = ({ code, out, err }: Ran) => ({ code, out: out !== '', err: err !== '' });
    // It says nothing of a program that is not there; the last word is its status.
    const silent = words[0] === 'run' && peers.code === 255 && peers.err === '';
    expect(shape(mine)).toEqual(silent ? { ...shape(peers), err: true } : shape(peers));
    expect(mine.out.split('\n')[0]?.split(' ')[0]).toBe(peers.out.split('\n')[0]?.split(' ')[0]);
    if (words.length > 0 && !['help', 'run', 'enable', 'disable'].includes(words[0] ?? '')) {
      expect(mine.err).toBe(peers.err);
    }
  });

  it('sets the same variables, and more', async () => {
    const env = { LD_PRELOAD: '/lib/x86_64-linux-gnu/libm.so.6', GODEBUG: 'http2client=0' };
    const lines = async (program: readonly string[]) => {
      const { out } = await outcome(program, ['run', '-d', 'env'], env);
      return new Map(out.split('\n').map((line) => line.split(/=(.*)/s, 2) as [string, string]));
    };
    const [mine, peers] = [await lines(ours), await lines([PEER])];
    // The same file: theirs is named in full, ours by the link that survives updates; what was set stays with ours.
    const [kept, library = '?'] = mine.get('LD_PRELOAD')?.split(':') ?? [];
    expect(kept).toBe(env.LD_PRELOAD);
    expect(peers.get('LD_PRELOAD')?.split(':').at(-1)?.startsWith(library)).toBe(true);
    expect(mine.get('MPTCPWRAP_DEBUG')).toBe(peers.get('MPTCPWRAP_DEBUG'));
    expect(mine.get('GODEBUG')).toBe('http2client=0,multipathtcp=1');
    expect(mine.get('NODE_OPTIONS')).toMatch(/^--require .*register\.cjs$/);
  });
});
