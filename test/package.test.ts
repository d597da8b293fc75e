/**
 * The package as others get it: what `bin` and `exports` name is in it, nothing is that belongs to its making, and a
 * program in a folder of its own imports, type-checks and runs against what is built.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = join(root, 'node_modules/typescript/bin/tsc');

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

const run = (folder: string, program: string, ...args: string[]) =>
  spawnSync(program, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-package-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('the packed package', () => {
  const packed = () => {
    const options = ['--dry-run', '--json', '--ignore-scripts', '--offline', '--cache', folder];
    const result = run(root, 'npm', 'pack', ...options);
    expect(result.status, result.stderr).toBe(0);
    const [description] = JSON.parse(result.stdout) as [{ files: { path: string; mode: number }[] }];
    return description.files;
  };

  it('has what package.json names, programs executable, workers beside them', () => {
    const modes = new Map(packed().map(({ path, mode }) => [path, mode]));
    const named = Object.values(manifest.exports).flatMap((value) =>
      typeof value === 'string' ? [value] : [value.types, value.default],
    );
    const programs = Object.values(manifest.bin);
    for (const path of [...named, ...programs])
      expect([...modes.keys()]).toContain(path.replace(/^\.\//, ''));
    for (const path of programs) {
      expect(modes.get(path)! & 0o111, path).toBe(0o111);
      expect(readFileSync(join(root, path), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    }
    for (const name of ['link', 'relay', 'web', 'inbound', 'outbound'])
      expect([...modes.keys()]).toContain(`dist/workers/${name}.js`);
  });

  it('has nothing that is for making it, and no tests', () => {
    const paths = packed().map(({ path }) => path);
    expect(paths.filter((path) => /^(src|test|bench|scripts|node_modules|\.)/.test(path))).toEqual([]);
    expect(paths.filter((path) => /\.test\.|vitest|tsbuildinfo/.test(path))).toEqual([]);
    expect(paths.length).toBeGreaterThan(50);
  });
});

describe('a program that depends on it', () => {
  /** A folder with the package as npm would link it, and the types of Node that a TypeScript program has anyway. */
  const writeConsumer = (files: Readonly<Record<string, string>>) => {
    mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
    symlinkSync(root, join(folder, 'node_modules/weft'), 'dir');
    symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'), 'dir');
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', type: 'module' }));
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2023',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      types: ['node'],
      outDir: 'out',
      rootDir: '.',
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  };

  it('type-checks strictly, with the declarations themselves, and runs', () => {
    writeConsumer({
      'main.ts': `
        import { RouteNetlink, NetlinkError, type Link } from 'weft/netlink';
        import { connect, createServer, listConnections, readCounters, type MptcpSocket } from 'weft/mptcp';
        import { buildSendingVector, TunnelEngine, type TunnelEngineOptions } from 'weft/tunnel';

        export const makeTunnel = (options: TunnelEngineOptions): Promise<TunnelEngine> => TunnelEngine.start(options);
        console.log([...buildSendingVector([1, 3])].join());
        const netlink = RouteNetlink.open();
        const loopback: Link | undefined = netlink.links().find((link) => link.name === 'lo');
        try {
          netlink.deleteLink(1_000_000);
        } catch (error) {
          if (!(error instanceof NetlinkError)) throw error;
          console.log(error.code);
        }
        netlink.close();
        const server = await createServer({ host: '127.0.0.1' }, (socket) => socket.end('hello'));
        const address = server.address();
        if (address === null || typeof address === 'string') throw new Error('no address');
        const socket: MptcpSocket = await connect({ host: '127.0.0.1', port: address.port });
        const { protocol } = socket.multipath;
        let text = '';
        for await (const chunk of socket.setEncoding('utf8')) text += chunk as string;
        console.log(loopback?.mtuBytes, protocol, text, listConnections().length >= 0, readCounters().size > 0);
        server.close();
      `,
    });
    const checked = run(folder, process.execPath, tsc, '-p', '.');
    expect(checked.stdout + checked.stderr).toBe('');
    const ran = run(folder, process.execPath, join('out', 'main.js'));
    expect(ran).toMatchObject({
      status: 0,
      stderr: '',
      stdout: '1,1,0,1\nENODEV\n65536 mptcp hello true true\n',
    });
  });

  it('is told by the compiler what is wrong, so the declarations are not just any', () => {
    writeConsumer({
      'wrong.ts': `
        import { RouteNetlink } from 'weft/netlink';
        import { connect } from 'weft/mptcp';
        RouteNetlink.open().setTokenBucket('lo');
        await connect({ port: '80' });
      `,
    });
    const { stdout } = run(folder, process.execPath, tsc, '-p', '.', '--noEmit');
    expect(stdout.match(/wrong\.ts\(\d+,\d+\): error TS\d+/g)).toHaveLength(2);
  });

  it('cannot reach what is not offered', () => {
    writeConsumer({
      'inner.mjs': `await import('weft/native').catch((error) => console.log(error.code));`,
    });
    expect(run(folder, process.execPath, 'inner.mjs').stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  });
});
