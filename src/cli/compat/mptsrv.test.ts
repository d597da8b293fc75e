import { describe, expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import { START_LINES } from '../../tunnel/index.ts';
import { Menu } from './mptsrv-menu.ts';
import { parseMptsrvCommandLine } from './mptsrv-options.ts';
import {
  CONFIGURATION_READ,
  configurationFailure,
  INTRODUCTION,
  splitReport,
  startFailure,
  STARTING,
} from './mptsrv-texts.ts';

const parse = (line: string) => parseMptsrvCommandLine(line === '' ? [] : line.split(' '), '1.2.3');

describe('the command line', () => {
  it.each([
    ['', { folder: 'conf', isDaemon: false, isVerbose: false }],
    ['-d', { folder: 'conf', isDaemon: true, isVerbose: false }],
    ['-d --conf /etc/mpt', { folder: '/etc/mpt', isDaemon: true, isVerbose: false }],
    ['--conf=/a --verbose -d', { folder: '/a', isDaemon: true, isVerbose: true }],
    ['--conf a --conf b', { folder: 'b', isDaemon: false, isVerbose: false }],
  ])('%j', (line, options) => expect(parse(line)).toEqual({ kind: 'run', ...options }));

  it.each([
    ['-x', 64],
    ['--conf', 64],
    ['--conf=', 64],
    ['-d quit', 64],
    ['--help', 0],
    ['-h', 0],
    ['--version', 0],
  ])('%j ends with %i', (line, exitCode) => expect(parse(line)).toMatchObject({ kind: 'exit', exitCode }));
});

describe('texts', () => {
  it('are the original’s, in three parts', () => {
    expect(INTRODUCTION + CONFIGURATION_READ + STARTING).toBe(
      START_LINES.map((line) => `${line}\n`).join(''),
    );
  });

  it('cut a report where connections begin', () => {
    const report = 'Tunnel information:\n  x\n\nNumber of connections: 1 \n\nMultipath';
    expect(splitReport(report)).toEqual([
      'Tunnel information:\n  x\n',
      '\nNumber of connections: 1 \n\nMultipath',
    ]);
    expect(splitReport('anything')).toEqual(['anything', '']);
  });

  it('tell what is wrong with a configuration, and its code', () => {
    const issue = { file: 'connections/a.conf', line: 3, text: 'x' };
    expect(configurationFailure([issue, issue], 'conf/interface.conf', false)).toEqual({
      exitCode: 3,
      text: 'mptsrv: connections/a.conf:3: x\nmptsrv: connections/a.conf:3: x\nmptsrv: 2 errors in the configuration, nothing was started. Errno: 3\n',
    });
    const none = { file: 'interface.conf', line: 2, text: 'tunnel_num = "0" in [general]: …' };
    expect(configurationFailure([none], 'conf/interface.conf', false)).toMatchObject({ exitCode: 4 });
  });

  it.each([
    ['EPERM', 77, 'tunnel_start: Tunnel interface IOCTL error. Errno: 77\n'],
    ['EACCES', 77, 'tunnel_start: Tunnel interface IOCTL error. Errno: 77\n'],
    ['EADDRINUSE', 98, 'socket_create: Socket bind error. Errno: 98\n'],
    ['EEXIST', 1, ''],
  ])('of a start that failed: %s', (code, exitCode, fatal) => {
    expect(startFailure(new WeftError('why', { code }))).toEqual({ exitCode, text: `mptsrv: why\n${fatal}` });
  });
});

describe('the menu', () => {
  const record = () => {
    const calls: string[] = [];
    let finish = () => {};
    const menu = new Menu({
      quit: () => calls.push('quit'),
      print: () => calls.push('print'),
      reload: () => {
        calls.push('reload');
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
      show: () => calls.push('show'),
    });
    return { menu, calls, finish: () => finish() };
  };
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

  it('does one thing after the other, and passes over what it does not know', async () => {
    const { calls, finish, menu } = record();
    menu.handleInput('p\n?r');
    menu.handleInput('pq');
    await settled();
    expect(calls).toEqual(['print', 'show', 'reload']);
    finish();
    await settled();
    expect(calls).toEqual(['print', 'show', 'reload', 'show', 'print', 'show', 'quit']);
  });

  it('keeps no more letters than it must', async () => {
    const { calls, finish, menu } = record();
    menu.handleInput('r');
    menu.handleInput('p'.repeat(1000));
    finish();
    await settled();
    expect(calls.filter((call) => call === 'print')).toHaveLength(16);
  });
});
