/**
 * Where `mptcpd` logs to: a real /dev/log and a real journal socket, which the test makes inside its own mount
 * namespace, over a /dev that has only what programs need.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { check, libc, MNT_DETACH, MS_BIND } from '../src/native/index.ts';
import { DatagramReceiver } from './support/datagram-receiver.ts';
import { Configuration, mptcpdCommand, spawnMptcpd, startMptcpd } from './support/mptcpd-program.ts';

const JOURNAL = '/run/systemd/journal/socket';
const DEVICES = ['null', 'zero', 'urandom', 'random'];

let folder: string;
let node: LabNode;
let configuration: Configuration;
const closers: (() => void)[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-dev-'));
  check(libc.mount('none', folder, 'tmpfs', 0, 'mode=755'), 'mount');
  for (const name of DEVICES) {
    writeFileSync(join(folder, name), '');
    check(libc.mount(`/dev/${name}`, join(folder, name), '', MS_BIND, null), `bind ${name}`);
  }
  const MS_REC = 0x4000;
  check(libc.mount(folder, '/dev', '', MS_BIND | MS_REC, null), 'bind /dev');
});

afterAll(() => {
  libc.umount2('/dev', MNT_DETACH);
  libc.umount2(folder, MNT_DETACH);
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  node = new LabNode('lone', 'mptcpd-log');
  configuration = new Configuration();
});

afterEach(async () => {
  await node.close();
  configuration.remove();
  for (const close of closers.splice(0)) close();
});

function receive(name: string): DatagramReceiver {
  mkdirSync(join(name, '..'), { recursive: true });
  const receiver = new DatagramReceiver(name);
  closers.push(() => receiver.close());
  return receiver;
}

const start = (...args: string[]) => spawnMptcpd(node, { args, environment: configuration.environment() });

/** The fields of a journal message whose values are single lines. */
const fieldsOf = (datagram: string) =>
  new Map([...datagram.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));

describe('--log=syslog', () => {
  it('sends RFC 5424 to /dev/log, and nothing to standard error', async () => {
    const log = receive('/dev/log');
    const daemon = start('--log=syslog');
    const text = await log.seen(/is ready/);
    const [, time = '', host = '', pid = ''] =
      /^<30>1 (\S+) (\S+) mptcpd (\d+) - - mptcpd is ready: plugins .*addr_adv/.exec(text) ?? [];
    expect(new Date(time).toISOString()).toBe(time);
    expect(Math.abs(Date.now() - Date.parse(time))).toBeLessThan(60_000);
    expect(host).toBe(hostname());
    expect(pid).toBe(String(daemon.process.pid));
    expect(await daemon.stop()).toBe(0);
    expect(daemon.stderr).toBe('');
  });

  it('has the level of each message, and debug lines only where they are wanted', async () => {
    const log = receive('/dev/log');
    const quiet = start('-lsyslog', '--plugin-dir=/nonexistent');
    expect(await quiet.ended).toBe(1);
    expect(log.texts.map((text) => text.replace(/1 .* - - /, ''))).toEqual([
      '<27>Unable to open plugin directory: No such file or directory',
      '<27>Unable to load path manager plugins.',
    ]);
    const loud = start('-dlsyslog');
    await log.seen(/is ready/);
    expect(await loud.stop()).toBe(0);
    expect(log.texts.filter((text) => text.startsWith('<31>')).length).toBeGreaterThan(1);
  });

  it('a mistake in the file is told there too', async () => {
    const log = receive('/dev/log');
    configuration.write('[core]\nlgo=x\n');
    expect(await start('--log=syslog').ended).toBe(1);
    expect(log.texts).toEqual([expect.stringMatching(/^<27>1 .* line 2: unknown key "lgo" in \[core\]/)]);
  });

  it('nobody there: told once on standard error, errors all the same; later it goes on, and tells what was lost', async () => {
    const daemon = start('-d', '--log=syslog');
    await daemon.seen(/the system log \(\/dev\/log\) does not take messages: No such file or directory\n/);
    configuration.write('[core]\nlgo=x\n');
    daemon.process.kill('SIGHUP');
    await daemon.seen(/line 2: unknown key "lgo".*\nthe configuration stays as it was/);
    const log = receive('/dev/log');
    configuration.write('');
    daemon.process.kill('SIGHUP');
    const lost = await log.seen(/messages did not reach the system log/);
    expect(lost).toMatch(/^<28>1 .* - - [1-9]\d* messages did not reach the system log/);
    await log.seen(/configuration: nothing changed/);
    expect(await daemon.stop()).toBe(0);
    expect(log.texts.filter((text) => text.includes('did not reach'))).toHaveLength(1);
    expect(daemon.stderr.match(/does not take messages/g)).toHaveLength(1);
    expect(daemon.stderr).not.toMatch(/is ready/);
  });

  it('a receiver that does not read holds nothing up', async () => {
    const log = receive('/dev/log');
    const daemon = start('--log=syslog');
    await log.seen(/is ready/);
    log.pause();
    // As many as the receiver's queue takes (net.unix.max_dgram_qlen), and more.
    for (let i = 0; !/does not take messages: Resource temporarily unavailable/.test(daemon.stderr); i++) {
      expect(i).toBeLessThan(5000);
      daemon.process.kill('SIGHUP');
      await node.run(['true']);
    }
    log.resume();
    // There is room again when something has been read.
    await log.seen(/nothing changed/);
    daemon.process.kill('SIGHUP');
    await log.seen(/messages did not reach the system log/);
    expect(await daemon.stop()).toBe(0);
  });

  it('a receiver that was started again is found', async () => {
    const first = receive('/dev/log');
    const daemon = start('--log=syslog');
    await first.seen(/is ready/);
    first.close();
    closers.pop();
    const second = receive('/dev/log');
    daemon.process.kill('SIGHUP');
    await second.seen(/configuration: nothing changed/);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('--log=journal', () => {
  it('sends the journal’s own fields', async () => {
    const journal = receive(JOURNAL);
    const daemon = start('--log=journal');
    const fields = fieldsOf(await journal.seen(/is ready/));
    expect(fields.get('MESSAGE')).toMatch(/^mptcpd is ready: plugins /);
    expect(fields.get('PRIORITY')).toBe('6');
    expect(fields.get('SYSLOG_IDENTIFIER')).toBe('mptcpd');
    expect(fields.get('SYSLOG_FACILITY')).toBe('3');
    expect(await daemon.stop()).toBe(0);
    expect(daemon.stderr).toBe('');
  });

  it('has fields of Weft, and the priorities of debug lines and errors', async () => {
    const journal = receive(JOURNAL);
    const daemon = start('-d', '--log=journal');
    const read = fieldsOf(await journal.seen(/configuration read/));
    expect(read.get('PRIORITY')).toBe('7');
    expect(read.get('WEFT_CONFIG')).toBe(configuration.path);
    configuration.write('junk');
    daemon.process.kill('SIGHUP');
    expect(fieldsOf(await journal.seen(/line 1: "junk"/)).get('PRIORITY')).toBe('3');
    expect(await daemon.stop()).toBe(0);
  });

  it('no journal: told once on standard error', async () => {
    const daemon = start('--log=journal');
    await daemon.seen(
      /the journal \(\/run\/systemd\/journal\/socket\) does not take messages: No such file or directory\n/,
    );
    expect(await daemon.stop()).toBe(0);
  });
});

describe('the others', () => {
  it('the file’s destination, which the command line outvotes, and a reload changes', async () => {
    configuration.write('[core]\nlog=syslog\n');
    const log = receive('/dev/log');
    const journal = receive(JOURNAL);
    const outvoted = start('--log=journal');
    await journal.seen(/is ready/);
    expect(await outvoted.stop()).toBe(0);
    expect(log.texts).toEqual([]);
    const daemon = start();
    await log.seen(/is ready/);
    configuration.write('[core]\nlog=journal\n');
    daemon.process.kill('SIGHUP');
    await journal.seen(/configuration: log: "syslog" → "journal"/);
    expect(await daemon.stop()).toBe(0);
  });

  it('null: nothing, anywhere', async () => {
    const log = receive('/dev/log');
    const journal = receive(JOURNAL);
    // The service manager's word is what tells that it is ready.
    const manager = receive('/run/weft-test-notify');
    const daemon = spawnMptcpd(node, {
      args: ['-d', '--log=null'],
      environment: configuration.environment({ NOTIFY_SOCKET: '/run/weft-test-notify' }),
    });
    await manager.seen(/READY=1/);
    configuration.write('junk');
    daemon.process.kill('SIGHUP');
    await manager.seen(/READY=1/, manager.datagrams.length);
    expect(await daemon.stop()).toBe(0);
    expect([daemon.stderr, daemon.stdout, ...log.texts, ...journal.texts]).toEqual(['', '']);
  });

  it('stderr: a reader that has gone, or does not read, does no harm', async () => {
    const daemon = await startMptcpd(node, { args: ['-d'], environment: configuration.environment() });
    daemon.process.stderr?.destroy();
    for (let i = 0; i < 20; i++) daemon.process.kill('SIGHUP');
    expect(await daemon.stop()).toBe(0);
    const { code } = await node.run(
      ['timeout', '--preserve-status', '-s', 'TERM', '2', ...mptcpdCommand('--log=null')],
      { env: configuration.environment() },
    );
    expect(code).toBe(0);
  });
});
