import { describe, expect, it } from 'vitest';
import { parseMptcpdCommandLine } from './mptcpd-options.ts';

const PROGRAM = { name: 'mptcpd', weftVersion: '1.2.3' };
const parse = (line: string) => parseMptcpdCommandLine(line === '' ? [] : line.split(' '), PROGRAM);

const at = (port: number) => (address: string) => ({ address, port });
/** Where the page is when nothing is said. */
const PAGE = { addresses: [at(13_180)('127.0.0.1')], explicit: false, origins: [] };

describe('the command line of mptcpd', () => {
  it.each([
    ['', {}],
    ['-d', { debug: true }],
    ['--log=null', { log: 'null' }],
    ['-lsyslog --log stderr', { log: 'stderr' }],
    ['--addr subflow,backup', { addressFlags: ['subflow', 'backup'] }],
    ['--addr-flags=', { addressFlags: [] }],
    ['--addr-flags=laminar,', { addressFlags: ['laminar'] }],
    ['--no=existing,check_route', { notifyFlags: ['existing', 'check_route'] }],
    ['--plug=/x', { pluginDirectory: '/x' }],
    ['--pa sspi', { pathManager: 'sspi' }],
    ['--load=b,a,b', { loadPlugins: ['b', 'a'] }],
    ['--HANG=0', {}],
  ])('%j', (line, options) => expect(parse(line)).toEqual({ kind: 'run', options, web: PAGE }));

  it.each([
    ['--no-web', undefined],
    ['--web=8000', { addresses: ['127.0.0.1', '::1'].map(at(8000)), explicit: true, origins: [] }],
    [
      '--web [::1]:1 --web 127.0.0.1:2',
      { addresses: [at(1)('::1'), at(2)('127.0.0.1')], explicit: true, origins: [] },
    ],
    ['--no-web --web 127.0.0.1:2', { addresses: [at(2)('127.0.0.1')], explicit: true, origins: [] }],
    ['--web-token-file=/x', { ...PAGE, tokenFile: '/x' }],
    [
      '--web-origin https://a.example',
      { ...PAGE, origins: [{ origin: 'https://a.example', host: 'a.example', secure: true }] },
    ],
  ])('%j, of the page', (line, web) => {
    expect(parse(line)).toEqual({ kind: 'run', options: {}, ...(web === undefined ? {} : { web }) });
  });

  it.each([
    ['word', 'mptcpd: Too many arguments'],
    ['--log=foo', 'mptcpd: Unknown logging option: "foo"'],
    ['--log=', 'mptcpd: Unknown logging option: ""'],
    ['--log=jurnal', 'mptcpd: Unknown logging option: "jurnal": did you mean "journal"?'],
    ['--plugin-dir=', 'mptcpd: Empty plugin directory command line option.'],
    ['--path-manager=', 'mptcpd: Empty default path manager plugin command line option.'],
    ['--load-plugins=', 'mptcpd: Empty load plugins commandline option.'],
    [
      '--addr-flags=subflo',
      'mptcpd: --addr-flags: unknown flag "subflo": did you mean "subflow"? (it can be subflow, signal, backup, fullmesh, laminar)',
    ],
    ['--web=x', 'mptcpd: --web: expected ADDRESS:PORT, such as 127.0.0.1:13180'],
    ['--web-token-file=', 'mptcpd: --web-token-file: no file is named'],
    ['--web-origin=a', 'mptcpd: --web-origin: "a" is no origin, such as https://weft.example'],
    ['--no-we', "mptcpd: unrecognized option '--no-we'"],
  ])('%j is wrong', (line, message) => {
    expect(parse(line)).toEqual({
      kind: 'exit',
      exitCode: 64,
      stderr: `${message}\nTry \`mptcpd --help' or \`mptcpd --usage' for more information.\n`,
    });
  });

  it('tells what is wrong first, and texts end it', () => {
    expect(parse('--log=foo --bar')).toMatchObject({ stderr: expect.stringContaining('"foo"') });
    expect(parse('--version --bar')).toEqual({
      kind: 'exit',
      exitCode: 0,
      stdout: 'mptcpd 0.14 (weft 1.2.3)\n',
    });
  });

  it('may be called otherwise', () => {
    const line = parseMptcpdCommandLine(['x'], { ...PROGRAM, name: 'weft daemon' });
    expect(line).toMatchObject({
      stderr: expect.stringMatching(/^weft daemon: Too.*\nTry `weft daemon --help'/),
    });
    expect(parse('--program-name=p --foo')).toMatchObject({
      stderr: "mptcpd: unrecognized option '--foo'\nTry `p --help' or `p --usage' for more information.\n",
    });
  });

  it('has no line longer than 80 columns in its texts', () => {
    for (const option of ['--help', '--usage']) {
      const line = parse(option);
      const text = line.kind === 'exit' ? (line.stdout ?? '') : '';
      expect(text.length).toBeGreaterThan(100);
      for (const row of text.split('\n')) expect(row.length, row).toBeLessThanOrEqual(80);
    }
  });
});
