/**
 * The command line of `mptcpd`: beside Debian's mptcpd where both must agree, and by itself where this one is better.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { Configuration, MPTCPD, mptcpdCommand, spawnMptcpd, startMptcpd } from './support/mptcpd-program.ts';
import { UNPRIVILEGED, weftCommand } from './support/weft-program.ts';

/** mptcpd 0.12 of Debian 12, which does not put it into the PATH. */
const DEBIAN_MPTCPD = '/usr/libexec/mptcpd';

let node: LabNode;
let configuration: Configuration;

beforeEach(() => {
  node = new LabNode('lone', 'mptcpd-lone');
  configuration = new Configuration();
});

afterEach(async () => {
  await node.close();
  configuration.remove();
});

const run = (...args: string[]) => node.run(mptcpdCommand(...args), { env: configuration.environment() });

/** Debian's, with its path in getopt's messages made our name. */
async function runDebian(...args: string[]) {
  const { code, stderr, stdout } = await node.run([DEBIAN_MPTCPD, ...args]);
  return { code, stderr: stderr.replaceAll(`${DEBIAN_MPTCPD}:`, 'mptcpd:'), stdout };
}

/** The forms of the options that a help lists: `-l, --log=DEST`. */
const optionForms = (help: string) =>
  [...help.matchAll(/^ {2}(?:(-.), | {4})(--[a-z-]+(?:=[A-Z]+)?)/gm)].map(([, short = '', long = '']) =>
    `${short} ${long}`.trim(),
  );

describe('beside mptcpd 0.12', () => {
  const wrongLines = [
    '--foo',
    '--foo=bar',
    '--l stderr',
    '--lo=foo',
    '--p x',
    '--=x',
    '--log',
    '-l',
    '-dl',
    '-x',
    '-dx',
    '-d-x',
    '--debug=1',
    '--deb=',
    '--help=3',
    '--usage=',
    '--log=foo',
    '--log=',
    '--log=STDERR',
    '-lfoo',
    '--log=foo --bar',
    '--log=stderr --log=foo',
    '--bar --log=foo',
    '--plugin-dir=',
    '--path-manager=',
    '--pa=',
    '--load-plugins=',
    '--load-plugins= --log=foo',
    'word',
    'word --log=foo',
    '-- --foo',
    '-',
    '-d word',
    '--program-name',
    '--Version',
  ];

  it.each(wrongLines)('%s: the same complaint and exit code', async (line) => {
    const [ours, theirs] = await Promise.all([run(...line.split(' ')), runDebian(...line.split(' '))]);
    expect(theirs.code).toBe(64);
    expect(ours).toMatchObject(theirs);
  });

  const goodLines = [
    '',
    '-d',
    '-dd',
    '-dlstderr',
    '-dl stderr',
    '-l null',
    '--log=journal',
    '--log syslog',
    '--lo',
    '--d',
    '--a=subflow,signal,backup,',
    '--addr-flags=',
    '--addr-flags fullmesh',
    '--n=existing,skip_link_local,skip_loopback,check_route',
    '--notify-flags=',
    '--pl=/x --pa=x --loa=a,b',
    '--load-plugins=a,',
    '--HANG=0',
    'word',
    '-- word',
    '-V word --foo',
  ];

  it.each(goodLines)('%j and then --version: taken, or refused, by both', async (line) => {
    const words = [...line.split(' ').filter((word) => word !== ''), '--version'];
    const [ours, theirs] = await Promise.all([run(...words), runDebian(...words)]);
    expect(ours.code).toBe(theirs.code);
    expect(ours.stderr).toBe(theirs.stderr);
    if (theirs.code === 0) expect(ours.stdout).toMatch(/^mptcpd 0\.\d+ \(weft \d/);
  });

  it('--help has the same options in the same forms, --usage is the same', async () => {
    for (const help of ['--help', '-?', '-dV?', '--he']) {
      const [ours, theirs] = await Promise.all([run(help), runDebian(help)]);
      expect(ours.code).toBe(theirs.code);
      expect(ours.stdout.split('\n')[0]).toBe(
        theirs.stdout.split('\n')[0]?.replace(/^mptcpd 0.*/, ours.stdout.split('\n')[0] ?? ''),
      );
      expect(optionForms(ours.stdout)).toEqual(optionForms(theirs.stdout));
    }
    expect(optionForms((await run('--help')).stdout)).toHaveLength(10);
    expect((await run('--usage')).stdout).toBe((await runDebian('--usage')).stdout);
  });

  it('a plugin folder that is not there, no folder, or open to all: the same lines, exit code 1', async () => {
    const open = join(configuration.folder, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    for (const folder of ['/nonexistent', configuration.path, open]) {
      const line = [`--plugin-dir=${folder}`, '--log=stderr'];
      const [ours, theirs] = await Promise.all([run(...line), runDebian(...line)]);
      expect(theirs.code, folder).toBe(1);
      expect(ours).toMatchObject(theirs);
    }
  });

  it('--log=null: nothing is said of it', async () => {
    const line = ['--plugin-dir=/nonexistent', '--log=null'];
    const theirs = await runDebian(...line);
    expect(theirs).toMatchObject({ code: 1, stdout: '', stderr: '' });
    expect(await run(...line)).toMatchObject(theirs);
  });

  it('MPTCP switched off: the same lines, exit code 1', async () => {
    node.setSysctl('mptcp/enabled', 0);
    const [ours, theirs] = await Promise.all([run('--log=stderr'), runDebian('--log=stderr')]);
    expect(theirs.code).toBe(1);
    expect(ours).toMatchObject(theirs);
  });
});

describe('where mptcpd lets mistakes pass', () => {
  it.each([
    ['--addr-flags=subflow,bakup', '"bakup": did you mean "backup"?'],
    ['--addr-flags=signal,fullmesh', 'exclude one another'],
    ['--notify-flags=existing,skip-loopback', '"skip-loopback": did you mean "skip_loopback"?'],
    ['--load-plugins=../x', '"../x" cannot be the name of a plugin'],
  ])('%s is told, exit code 64', async (option, text) => {
    const { code, stderr, stdout } = await run(option);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    const [first, second, ...rest] = stderr.split('\n');
    expect(first).toContain(`mptcpd: ${option.split('=')[0]}: `);
    expect(first).toContain(text);
    expect(second).toBe("Try `mptcpd --help' or `mptcpd --usage' for more information.");
    expect(rest).toEqual(['']);
  });

  it('every mistake in the file is told with its line and the nearest word, exit code 1', async () => {
    configuration.write('[core]\nlgo = stderr\n[metrc >5]\nx=y\n[core]\naddr-flags=subflo\n');
    const { code, stderr, stdout } = await run();
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.split('\n')).toEqual([
      `${configuration.path} line 2: unknown key "lgo" in [core]: did you mean "log"?`,
      `${configuration.path} line 3: unknown section [metrc >5]: did you mean "metric"?`,
      expect.stringMatching(
        /mptcpd\.conf line 6: addr-flags: unknown flag "subflo": did you mean "subflow"\?/,
      ),
      '',
    ]);
  });

  it('settings for a plugin that nobody knows are told, at the start and at a reload', async () => {
    configuration.write('[plugin polcy]\nfile=/x\n[plugin policy]\nfile=/x\n');
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    expect(daemon.stderr).toMatch(
      /^\[plugin polcy\]: no plugin of this name is loaded: did you mean "policy"\?\nmptcpd is ready/,
    );
    configuration.write('[plugin addr-adv]\nx=1\n');
    daemon.process.kill('SIGHUP');
    await daemon.seen(/\[plugin addr-adv\]: no plugin of this name is loaded: did you mean "addr_adv"\?/);
    expect(await daemon.stop()).toBe(0);
  });

  it('a file that others can change is not used', async () => {
    chmodSync(configuration.path, 0o646);
    const open = await run('--log=null');
    expect(open).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `"${configuration.path}" should be a file that is not world writable.\n`,
    });
    rmSync(configuration.path);
    mkdirSync(configuration.path);
    expect((await run()).stderr).toBe(
      `"${configuration.path}" should be a file that is not world writable.\n`,
    );
    rmSync(configuration.path, { recursive: true });
    symlinkSync('/dev/zero', configuration.path);
    expect((await run()).stderr).toMatch(/should be a file that is not world writable/);
    rmSync(configuration.path);
    expect(await run()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/cannot be read: there is no such file/),
    });
  });

  it('a pipe in its place is not waited for', async () => {
    rmSync(configuration.path);
    await node.run(['mkfifo', configuration.path]);
    expect((await run()).stderr).toMatch(/should be a file that is not world writable/);
  });

  it('a file of another user is not used, one of root is', async () => {
    let foreign = configuration.path;
    try {
      chownSync(foreign, 1, 1);
    } catch {
      // Inside a user namespace of one user no file can be given away, but those of the system belong to nobody.
      foreign = '/etc/passwd';
    }
    const refused = await node.run(mptcpdCommand(), { env: { ...process.env, WEFT_MPTCPD_CONF: foreign } });
    expect(refused.stderr).toMatch(/^"[^"]+" should belong to root, not to user \d+\.\n$/);
    expect(refused.code).toBe(1);
    chownSync(configuration.path, 0, 0);
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    expect(await daemon.stop()).toBe(0);
  });
});

describe('how it runs', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s ends it with exit code 0', async (signal) => {
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    expect(daemon.stderr).toMatch(/^mptcpd is ready: plugins .*addr_adv.*; connections go to addr_adv\n$/);
    expect(await daemon.stop(signal)).toBe(0);
    expect(daemon.stdout).toBe('');
  });

  it('without privileges: it says what the kernel refuses, stays, and ends with exit code 0', async () => {
    const daemon = await startMptcpd(node, {
      environment: configuration.environment({ WEFT_RUNTIME_DIR: join(configuration.folder, 'run') }),
      prefix: UNPRIVILEGED,
    });
    expect(daemon.stderr).toMatch(/: Operation not permitted/);
    expect(await daemon.stop()).toBe(0);
  });

  it('there is one at a time; the second says which process has it', async () => {
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    const second = await run();
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`are kept by mptcpd, process ${daemon.process.pid} already`));
    expect(await daemon.stop()).toBe(0);
  });

  it('--debug has lines of the daemon that are not there without', async () => {
    const quiet = await startMptcpd(node, { environment: configuration.environment() });
    expect(await quiet.stop()).toBe(0);
    const loud = await startMptcpd(node, { args: ['--debug'], environment: configuration.environment() });
    expect(await loud.stop()).toBe(0);
    expect(loud.stderr).toContain(`configuration read config=${configuration.path}`);
    expect(loud.stderr).toMatch(/SIGTERM: stopping/);
    expect(quiet.stderr).not.toMatch(/configuration read|SIGTERM/);
  });

  it('a stop during its start ends it too', async () => {
    const daemon = spawnMptcpd(node, { args: ['-d'], environment: configuration.environment() });
    await daemon.seen(/configuration read/);
    expect(await daemon.stop()).toBe(0);
  });

  it('is called mptcpd, as administrators look for it', async () => {
    const daemon = await startMptcpd(node, { environment: configuration.environment() });
    const { stdout } = await node.run(['ps', '-o', 'comm=', '-p', String(daemon.process.pid)]);
    expect(stdout).toBe('mptcpd\n');
    expect(await daemon.stop()).toBe(0);
  });

  it('"weft daemon" is the same under its own name', async () => {
    const environment = configuration.environment();
    const wrong = await node.run(weftCommand('daemon', '--foo'), { env: environment });
    expect(wrong).toMatchObject({
      code: 64,
      stderr:
        "weft daemon: unrecognized option '--foo'\nTry `weft daemon --help' or `weft daemon --usage' for more information.\n",
    });
    const help = await node.run(weftCommand('daemon', '--help'), { env: environment });
    expect(optionForms(help.stdout)).toEqual(optionForms((await run('--help')).stdout));
  });

  it('needs nothing but its own file and koffi', async () => {
    const { stdout } = await node.run([
      process.execPath,
      '-e',
      `
      const module = require('node:module');
      const load = module._load;
      module._load = (name, ...rest) => {
        if (/^(fastify|pino|commander)/.test(name)) console.log(name);
        return load(name, ...rest);
      };
      process.argv.splice(1, 0, 'node', '--version');
      require(${JSON.stringify(MPTCPD)});
    `,
    ]);
    expect(stdout).toMatch(/^mptcpd 0\./);
  });
});

it('the text of a message never moves the cursor', async () => {
  const { stderr } = await run('--log=\u001b[31m');
  expect(stderr).toContain('"\\x1b[31m"');
});
