/** The built `weft tunnel init` and `keygen`: what they write carries packets between two hosts (figure 3). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationFolder, type TunnelReport } from '../src/service/index.ts';
import { eventually, ping, TunnelLab } from './support/tunnel-lab.ts';
import { RunningWeft, runWeft, weftCommand } from './support/weft-program.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'weft-init-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

async function weft(args: readonly string[], input = '') {
  const [program = '', ...words] = weftCommand(...args);
  const child = spawn(program, words, { cwd: base, stdio: ['pipe', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

const read = (end: string) => new ConfigurationFolder(join(base, end, 'conf'), 'test').readFolder();

describe('keygen', () => {
  it('prints a key that a file can hold, another each time', async () => {
    const [first, second] = await Promise.all([weft(['tunnel', 'keygen']), weft(['tunnel', 'keygen'])]);
    expect(first).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^[A-Za-z0-9]{32}\n$/),
    });
    expect(first.stdout).not.toBe(second.stdout);
  });
});

describe('init', () => {
  const PATH = ['--path', 'eth1=10.1.1.2,eth1=10.1.1.3'];

  it('writes both ends from flags, with one key that only the owner may read', async () => {
    const { code, stderr, stdout } = await weft(['tunnel', 'init', '--ends', 'a,b', ...PATH]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [a, b] = [read('a'), read('b')];
    expect([...a.errors, ...a.warnings, ...b.errors, ...b.warnings]).toEqual([]);
    const keys = [a, b].map(({ config }) => config!.connections[0]!.connection.authKey);
    expect(keys[0]).toBe(keys[1]);
    expect(stdout).not.toContain(keys[0]);
    expect(stdout).toContain(join(base, 'a', 'conf'));
    for (const name of ['interface.conf', 'connections/conf.template', 'connections/b.conf']) {
      expect(statSync(join(base, 'a/conf', name)).mode & 0o777, name).toBe(0o600);
    }
  });

  it('asks for what is missing', async () => {
    const answers = [
      '10.7.0.1/24,10.7.0.2/24',
      'rubbish',
      'eth1=10.1.1.2,eth1=10.1.1.3',
      '',
      'left=192.168.1.0/24',
      '',
    ];
    const { code, stdout } = await weft(['tunnel', 'init', '--ask'], `${answers.join('\n')}\n`);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/Tunnel addresses of left and right/);
    expect(stdout).toMatch(/"rubbish" is not LINK=ADDRESS,LINK=ADDRESS/);
    expect(read('right').config?.connections[0]?.connection).toMatchObject({
      localAddress: '10.7.0.2',
      networks: [{ destination: { address: '192.168.1.0', length: 24 } }],
    });
  });

  it('writes nothing when nobody answers, or says what cannot be', async () => {
    expect(await weft(['tunnel', 'init', '--ask'], '\n')).toMatchObject({
      code: 1,
      stderr: 'weft: there are no paths — name one at least\n',
    });
    expect(await weft(['tunnel', 'init'])).toMatchObject({ code: 1 });
    expect(await weft(['tunnel', 'init', '--ends', '../x,b', ...PATH])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"../x" cannot name an end'),
    });
    expect(await weft(['tunnel', 'init', '--network', 'c=10.0.0.0/8', ...PATH])).toMatchObject({
      code: 1,
      stderr: 'weft: --network: "c" is no end: left, right\n',
    });
    expect(await weft(['tunnel', 'init', '--path', 'eth1=10.1.1.2,eth1=10.1.1.3,wieght=2'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did you mean "weight"?'),
    });
    expect(readdirSync(base)).toEqual([]);
  });

  it('never overwrites, and leaves no half of it', async () => {
    expect(await weft(['tunnel', 'init', '--ends', 'x,b', ...PATH])).toMatchObject({ code: 0 });
    const before = readFileSync(join(base, 'b/conf/connections/x.conf'), 'utf8');
    const { code, stderr, stdout } = await weft(['tunnel', 'init', '--json', '--ends', 'a,b', ...PATH]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^weft: ".*\/b" is there already \(EEXIST\) — nothing is overwritten/);
    expect(JSON.parse(stdout)).toMatchObject({ code: 'EEXIST' });
    expect(existsSync(join(base, 'a'))).toBe(false);
    expect(readFileSync(join(base, 'b/conf/connections/x.conf'), 'utf8')).toBe(before);
  });

  it('makes a tunnel that works, served by weft tunnel serve', async () => {
    const lab = await TunnelLab.build();
    try {
      const addresses = '--tunnel 10.200.0.1/30,10.200.0.2/30 --tunnel fd99::1/64,fd99::2/64';
      // The other end is not told where a's second path comes from: it learns that from the path itself.
      const second = '--path eth2=fd00:2::2,eth2=fd00:2::3,weight=2,public1=auto';
      const words = `tunnel init --ends a,b --scheduler adaptive ${addresses} ${PATH.join(' ')} ${second}`;
      const made = await weft(words.split(' '));
      expect(made, made.stderr).toMatchObject({ code: 0 });
      const ends = ['a', 'b'].map((name) => {
        const command = weftCommand('tunnel', 'serve', '--conf', join(base, name, 'conf'));
        return new RunningWeft(lab.node(name).spawn(command, { stdio: ['ignore', 'pipe', 'pipe'] }));
      });
      await Promise.all(ends.map((end) => end.seen(/tun0 is up, connections: /)));
      // Each connection learns at b what a's second path is reached at.
      await eventually('b has learned', async () => {
        const { stdout } = await runWeft(lab.node('b'), 'tunnel', 'status', '--json', '--interface', 'tun0');
        const { connections } = JSON.parse(stdout) as TunnelReport;
        return connections.every(
          ({ paths }) => paths[1]!.remoteAddress === 'fd00:2::2' && paths.every(({ isUsable }) => isUsable),
        );
      });
      for (const address of ['10.200.0.2', 'fd99::2']) {
        const { received, text } = await ping(lab.node('a'), address);
        expect(received, text).toBe(3);
      }
      const { stdout } = await runWeft(lab.node('a'), 'tunnel', 'status');
      expect(stdout.match(/which is Weft/g)).toHaveLength(2);
      ends[0]!.process.kill('SIGHUP');
      await ends[0]!.seen(/reload: nothing has changed/);
      for (const end of ends) expect(await end.stop(), end.stderr).toBe(0);
      expect(ends[0]!.stderr).toMatch(/stopped; this machine is as it was/);
      // Two connections of two paths: nothing is told twice.
      expect(ends[0]!.stderr.match(/the peer is Weft/g)).toHaveLength(4);
      expect(ends[0]!.stderr.match(/connection added|connections? .* was added/g)).toHaveLength(2);
    } finally {
      await lab.close();
    }
  });

  it('serve says what is wrong, and ends with 3', async () => {
    const { code, stderr } = await weft(['tunnel', 'serve', '--conf', join(base, 'nowhere')]);
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /ERROR: interface\.conf: the file is missing\n[^]*nothing was started: ".*nowhere" cannot be used/,
    );
  });
});
