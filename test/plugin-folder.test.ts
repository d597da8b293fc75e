/**
 * Plugins of a folder, each in a thread of its own, with the real kernel: what they are told, what their commands do,
 * and that a bad one of any kind costs the others nothing. On the loopback of this test's own namespace.
 */
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Logger } from '../src/base/index.ts';
import { connectFd } from '../src/mptcp/connect.ts';
import { createServer, MptcpSocket, PathManager, type MptcpServer } from '../src/mptcp/index.ts';
import {
  OWNS_NOTHING,
  PathDaemon,
  StartError,
  type DaemonEvent,
  type PathDaemonOptions,
} from '../src/pathmanager/index.ts';

const SOON = { interval: 5, timeout: 20_000 };

/** The time budget of those that hang. The others are done long before, on a busy machine too. */
const HANGS_MS = 2000;

let folder: string;
let lines: string[];
let server: MptcpServer;
const sockets: Socket[] = [];
const daemons: PathDaemon[] = [];

const logger: Logger = Object.fromEntries(
  (['debug', 'info', 'warn', 'error'] as const).map((level) => [
    level,
    (_: unknown, message: string) => lines.push(`${level} ${message}`),
  ]),
) as unknown as Logger;

beforeAll(async () => {
  server = await createServer({ host: '127.0.0.1' }, (socket) => sockets.push(socket));
});
afterAll(() => new Promise((resolve) => void server.close(resolve)));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-plugins-'));
  lines = [];
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  for (const socket of sockets.splice(0)) if (!socket.closed) await once(socket.destroy(), 'close');
  rmSync(folder, { recursive: true, force: true });
});

const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o644 });

async function start(options: Partial<PathDaemonOptions> = {}): Promise<PathDaemon> {
  const daemon = new PathDaemon({
    logger,
    pluginDirectory: folder,
    addressFlags: 0,
    notify: { existing: true, skipLinkLocal: true, skipLoopback: true, checkRoute: false },
    rules: [],
    pluginSettings: new Map(),
    journal: { load: () => OWNS_NOTHING, save: () => {} },
    keepEndpoints: false,
    callbackBudgetMs: 20_000,
    ...options,
  });
  daemons.push(daemon);
  await daemon.start();
  return daemon;
}

async function connect(): Promise<MptcpSocket> {
  const { port } = server.address() as AddressInfo;
  const socket = new MptcpSocket(await connectFd({ address: '127.0.0.1', port }));
  sockets.push(socket);
  socket.write('x');
  return socket;
}

const pluginOf = (daemon: PathDaemon, name: string) =>
  daemon.status().plugins.find((plugin) => plugin.name === name);

const RECORDER = `
  import { definePlugin, EndpointFlags } from 'weft/plugin';
  export default definePlugin({
    name: 'recorder',
    version: '1.2',
    description: 'tells what it hears',
    priority: -5,
    init(context) {
      context.log.info('settings ' + context.settings.colour + ' flags ' + EndpointFlags.subflow);
      context.register({
        newConnection: (event) => context.log.info('new ' + event.local.address + ' ' + event.serverSide),
        connectionEstablished: async (event) => {
          const known = await context.network.connections();
          context.log.info('established ' + known.some(({ token }) => token === event.token));
        },
        connectionClosed: () => context.log.info('closed'),
      });
    },
    exit: () => console.assert(true),
  });`;

describe('a plugin of the folder', () => {
  it('imports weft/plugin, has its settings, is told of connections, and its commands are answered', async () => {
    write('mine.mjs', RECORDER);
    const daemon = await start({
      pathManager: 'recorder',
      pluginSettings: new Map([['recorder', { colour: 'green' }]]),
    });
    expect(pluginOf(daemon, 'recorder')).toMatchObject({
      version: '1.2',
      description: 'tells what it hears',
      priority: -5,
      state: 'running',
      origin: join(folder, 'mine.mjs'),
      registered: ['recorder'],
    });
    expect(daemon.status().defaultPlugin).toBe('recorder');
    expect(lines).toContain('info settings green flags 2');
    const socket = await connect();
    for (const line of ['info new 127.0.0.1 false', 'info new 127.0.0.1 true', 'info established true']) {
      await expect.poll(() => lines, SOON).toContain(line);
    }
    socket.destroy();
    await expect.poll(() => lines, SOON).toContain('info closed');
  });

  it('may be TypeScript', async () => {
    write(
      'typed.ts',
      `import type { Plugin } from 'weft/plugin';\n${RECORDER.replace('init(context)', 'init(context: import("weft/plugin").PluginContext)')}`,
    );
    const daemon = await start();
    expect(pluginOf(daemon, 'recorder')?.state).toBe('running');
  });

  it('is refused with the kernel’s own text', async () => {
    write(
      'refused.mjs',
      `export default { name: 'refused', async init(context) {
        context.register({});
        for (const work of [
          () => context.kernel.removeAddress(77),
          () => context.userspace.removeAddress({ token: 1, address: '10.0.0.1', id: 3 }),
          () => context.listeners.listen({ address: '0.0.0.0', port: 0 }),
          () => context.kernel.addAddress({ address: 'x' }),
        ]) {
          try { await work(); } catch (error) { context.log.info(error.code + ' | ' + error.kernelText + ' | ' + error.message); }
        }
      } };`,
    );
    await start({ loadPlugins: ['refused'] });
    expect(lines).toEqual([
      'info EINVAL | address not found | delete endpoint 77: address not found (EINVAL)',
      'info EINVAL | invalid token | withdraw address id 3: invalid token (EINVAL)',
      'info BAD_ADDRESS | undefined | listen on "0.0.0.0": not an address of one host — name the address that is announced',
      'info BAD_ADDRESS | undefined | "x" is not an IP address',
    ]);
  });

  it('begins by priority, equal ones by name, and ends in reverse order', async () => {
    const plugin = (name: string, priority: number) =>
      `export default { name: '${name}', priority: ${priority},
        init(context) { context.register({}); this.log = context.log; context.log.info('init ${name}'); },
        exit() { this.log.info('exit ${name}'); } };`;
    write('a.mjs', plugin('late', 19));
    write('b.mjs', plugin('second', 0));
    write('c.mjs', plugin('first', -20));
    write('d.mjs', plugin('third', 0));
    const daemon = await start({ loadPlugins: ['a', 'b', 'c', 'd'] });
    await daemon.stop();
    expect(lines).toEqual([
      'info init first',
      'info init second',
      'info init third',
      'info init late',
      'info exit late',
      'info exit third',
      'info exit second',
      'info exit first',
    ]);
  });

  it('is loaded alone when named, and a file takes the place of a shipped plugin of its name', async () => {
    write('one.mjs', RECORDER);
    write('two.mjs', `throw new Error('must not be loaded');`);
    write(
      'sspi.js',
      `export default { name: 'sspi', version: 'mine', init: (context) => context.register({}) };`,
    );
    const daemon = await start({ loadPlugins: ['one', 'sspi'] });
    expect(daemon.status().plugins.map(({ name, version }) => [name, version])).toEqual([
      ['recorder', '1.2'],
      ['sspi', 'mine'],
    ]);
  });

  it('a name that no plugin has ends the start', async () => {
    write('one.mjs', RECORDER);
    await expect(start({ loadPlugins: ['one', 'onw'] })).rejects.toThrow(
      'load-plugins: there is no plugin "onw": did you mean "one"?',
    );
    await expect(start({ pathManager: 'recoder' })).rejects.toThrow(
      'path-manager: there is no plugin "recoder": did you mean "recorder"?',
    );
  });
});

describe('a bad plugin is reported and left out, and the others work:', () => {
  const bad: readonly (readonly [kind: string, text: string, report: RegExp])[] = [
    ['does not parse', 'export default {', /plugin "bad": load: .*(Unexpected|expected)/],
    ['throws at import', `throw new Error('no way');`, /plugin "bad": load: no way/],
    ['exports nothing', 'export const x = 1;', /plugin "bad": load: .*is no plugin: it is not an object/],
    ['has no name', 'export default { init() {} };', /plugin "bad": load: .*it has no name/],
    ['has no init', `export default { name: 'bad' };`, /plugin "bad": load: .*no function "init"/],
    ['imports what is not there', `import 'nowhere';`, /plugin "bad": load: Cannot find package 'nowhere'/],
    ['loops at import', 'while (true);', /plugin "bad": load: loading it did not end within 2 s/],
    [
      'waits for ever at import',
      `await new Promise(() => setInterval(() => {}, 1000)); export default {};`,
      /plugin "bad": load: loading it did not end within 2 s/,
    ],
    ['ends its thread at import', 'process.exit(3);', /plugin "bad": load: its thread ended \(exit code 3\)/],
    [
      'throws in init',
      `export default { name: 'bad', init() { throw new Error('not today'); } };`,
      /plugin "bad": init: not today/,
    ],
    [
      'never ends its init',
      `export default { name: 'bad', init: () => new Promise(() => setInterval(() => {}, 1000)) };`,
      /plugin "bad": init: init did not end within 2 s/,
    ],
    [
      'loops in init',
      `export default { name: 'bad', init(context) { context.register({}); for (;;); } };`,
      /plugin "bad": init: init did not end within 2 s/,
    ],
  ];

  it.each(bad)('one that %s', async (_, text, report) => {
    write('bad.mjs', text);
    write('good.mjs', RECORDER);
    const callbackBudgetMs = report.source.includes('2 s') ? HANGS_MS : 20_000;
    const daemon = await start({ pathManager: 'recorder', loadPlugins: ['bad', 'good'], callbackBudgetMs });
    expect(lines).toContainEqual(expect.stringMatching(report));
    expect(pluginOf(daemon, 'bad')).toMatchObject({ state: 'failed', reason: expect.any(String) as string });
    await connect();
    await expect.poll(() => lines, SOON).toContain('info established true');
  });

  const GOOD = `export default { name: 'good', init(context) { context.register({
    newInterface: () => {},
    newConnection: () => context.log.info('good hears'),
  }); } };`;
  const inCallback = (body: string, more = '') => `export default { name: 'bad', async init(context) {
    ${more}
    context.register({ newConnection(event) { ${body} }, connectionEstablished: () => context.log.info('bad goes on') });
  } };`;

  it('one that throws in a callback goes on', async () => {
    write('bad.mjs', inCallback(`throw new Error('once');`));
    const daemon = await start({ pathManager: 'bad' });
    await connect();
    await expect.poll(() => lines, SOON).toContain('error plugin "bad": newConnection: once');
    await expect.poll(() => lines, SOON).toContain('info bad goes on');
    expect(pluginOf(daemon, 'bad')).toMatchObject({ state: 'running', callbacks: { failed: 2 } });
  });

  it('one whose callback rejects goes on', async () => {
    write('bad.mjs', inCallback(`return Promise.reject(new Error('later'));`));
    await start({ pathManager: 'bad' });
    await connect();
    await expect.poll(() => lines, SOON).toContain('error plugin "bad": newConnection: later');
    await expect.poll(() => lines, SOON).toContain('info bad goes on');
  });

  it('one whose callback never resolves is reported and goes on', async () => {
    write('bad.mjs', inCallback('return new Promise(() => {});'));
    const daemon = await start({ pathManager: 'bad', callbackBudgetMs: HANGS_MS });
    await connect();
    await expect.poll(() => lines, SOON).toContain('error plugin "bad": newConnection: took longer than 2 s');
    expect(pluginOf(daemon, 'bad')).toMatchObject({ state: 'running' });
    expect(lines).toContain('info bad goes on');
  });

  it('one whose timer throws goes on', async () => {
    write('bad.mjs', inCallback(`setTimeout(() => { throw new Error('stray'); }, 1);`));
    const daemon = await start({ pathManager: 'bad' });
    await connect();
    await expect.poll(() => lines, SOON).toContain('error plugin "bad": outside of a callback: stray');
    expect(pluginOf(daemon, 'bad')).toMatchObject({ state: 'running' });
  });

  it.each([
    ['loops', 'while (true);', 'a callback did not return within 2 s; its thread was ended'],
    ['ends its thread', 'process.exit(0);', 'its thread ended (exit code 0)'],
    [
      'takes all memory',
      'const all = []; for (;;) all.push(new Array(100000).fill(1.5));',
      'Worker terminated due to reaching memory limit: JS heap out of memory',
    ],
  ])('one that %s in a callback is ended, and what it held is given back', async (_, body, reason) => {
    const events: DaemonEvent[] = [];
    const hold = `await context.kernel.addAddress({ address: '127.0.0.9', flags: 1 });
      await context.listeners.listen({ address: '127.0.0.1', port: 0 });`;
    write('bad.mjs', inCallback(body, hold));
    write('good.mjs', GOOD);
    const daemon = await start({
      pathManager: 'bad',
      loadPlugins: ['bad', 'good'],
      callbackBudgetMs: HANGS_MS,
    });
    daemon.watch((event) => events.push(event));
    const manager = PathManager.open();
    expect(manager.endpoints()).toMatchObject([{ address: '127.0.0.9' }]);
    await connect();
    await expect.poll(() => pluginOf(daemon, 'bad'), SOON).toMatchObject({ state: 'ended', reason });
    expect(manager.endpoints()).toEqual([]);
    manager.close();
    expect(events).toContainEqual(expect.objectContaining({ kind: 'plugin', trouble: 'ended' }));
    // The next one is the default now.
    expect(daemon.status().defaultPlugin).toBe('good');
    await connect();
    await expect.poll(() => lines, SOON).toContain('info good hears');
  });
});

/** @returns whether the file is another user's now */
function disown(path: string): boolean {
  try {
    chownSync(path, 1, 1);
    return true;
  } catch {
    return false;
  }
}

describe('the folder', () => {
  const failure = async () => {
    try {
      await start();
    } catch (error) {
      return error as StartError;
    }
    return expect.unreachable();
  };

  it('may be writable by its group, not by others', async () => {
    write('one.mjs', RECORDER);
    chmodSync(folder, 0o770);
    const daemon = await start();
    expect(pluginOf(daemon, 'recorder')?.state).toBe('running');
    await daemon.stop();
    chmodSync(folder, 0o777);
    expect((await failure()).lines).toEqual([
      `"${folder}" should be a directory that is not world writable.`,
      'Unable to load path manager plugins.',
    ]);
  });

  it('belongs to root or the daemon’s user, and so does each file', async () => {
    write('one.mjs', RECORDER);
    write('open.mjs', RECORDER);
    write('foreign.mjs', RECORDER);
    chmodSync(join(folder, 'open.mjs'), 0o666);
    // An ordinary user's private namespace has no other users; there root's files are somebody else's.
    const isAlone = !disown(join(folder, 'foreign.mjs'));
    if (isAlone) {
      rmSync(join(folder, 'foreign.mjs'));
      symlinkSync('/etc/passwd', join(folder, 'foreign.mjs'));
    }
    const daemon = await start();
    expect(lines).toContainEqual(expect.stringContaining('open.mjs" is left out: world writable'));
    expect(lines).toContainEqual(expect.stringContaining('foreign.mjs" is left out: owned by another user'));
    await daemon.stop();
    if (isAlone) folder = '/etc';
    else disown(folder);
    const { lines: told } = await failure();
    if (isAlone) folder = mkdtempSync(join(tmpdir(), 'weft-plugins-'));
    expect(told[0]).toContain('owned by root');
  });

  it('has to be there and be a folder', async () => {
    rmSync(folder, { recursive: true });
    expect((await failure()).lines).toEqual([
      'Unable to open plugin directory: No such file or directory',
      'Unable to load path manager plugins.',
    ]);
    writeFileSync(folder, '');
    expect((await failure()).lines[0]).toBe('Unable to open plugin directory: Not a directory');
  });

  it('without any plugin that can be loaded ends the start', async () => {
    write('bad.mjs', 'export default {');
    await expect(start({ loadPlugins: ['bad'] })).rejects.toMatchObject({
      code: 'NO_PLUGIN',
      lines: ['Unable to load path manager plugins.'],
    });
  });
});
