import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DROP_IN_HEADER,
  hasTcpListener,
  isOurDropIn,
  serviceDropIn,
  startedProgram,
  type UnitSource,
} from './unit-dropin.ts';
import { environmentOf, formatEnvironment, parseUnitFile, parseUnitName, splitWords } from './unit-file.ts';

const source = (text: string, path = '/usr/lib/systemd/system/x.service'): UnitSource => ({
  path,
  assignments: parseUnitFile(text),
});
const variables = (text: string) => Object.fromEntries(environmentOf(parseUnitFile(text)));

describe('unit files', () => {
  it('are read as systemd.syntax(7) says', () => {
    const text =
      '# c\n[Unit]\nDescription = a b\n\n[Service]\nExecStart=/x \\\n; between\n  --y\nBogus\nKey=\n';
    expect(parseUnitFile(text)).toEqual([
      { section: 'Unit', key: 'Description', value: 'a b' },
      { section: 'Service', key: 'ExecStart', value: '/x    --y' },
      { section: 'Service', key: 'Key', value: '' },
    ]);
  });

  it.each([
    ['A=b C=d', { A: 'b', C: 'd' }],
    ['"A=b c" \'D=e "f"\'', { A: 'b c', D: 'e "f"' }],
    [String.raw`"A=b\"c\\d" E=\x41\101\u00e4`, { A: String.raw`b"c\d`, E: 'AAä' }],
    ['A=%h/x%%', { A: '%h/x%%' }],
    ['A= B', { A: '' }],
  ])('Environment=%s', (value, expected) => {
    expect(variables(`[Service]\nEnvironment=${value}\n`)).toEqual(expected);
  });

  it('the last assignment counts, and an empty one takes all back', () => {
    expect(variables('[Service]\nEnvironment=A=1 B=1\nEnvironment=A=2\n')).toEqual({ A: '2', B: '1' });
    expect(variables('[Service]\nEnvironment=A=1\nEnvironment=\nEnvironment=C=1\n')).toEqual({ C: '1' });
    expect(variables('[Unit]\nEnvironment=A=1\n')).toEqual({});
  });

  it('what is written is read back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        // A unit file has no carriage returns or zeros in its values.
        const plain = value.replaceAll(/[\r\0]/g, '');
        expect(variables(`[Service]\n${formatEnvironment('NAME', plain)}\n`)).toEqual({ NAME: plain });
      }),
    );
  });

  it('words of any text do not throw', () => {
    fc.assert(fc.property(fc.string(), (text) => void splitWords(text)));
  });
});

describe('unit names', () => {
  it.each([
    ['nginx', 'nginx.service', 'service'],
    ['ssh.socket', 'ssh.socket', 'socket'],
    ['getty@tty1', 'getty@tty1.service', 'service'],
    ['a.b', 'a.b.service', 'service'],
    [String.raw`dev-disk\x2d1.service`, String.raw`dev-disk\x2d1.service`, 'service'],
  ])('%s', (text, name, type) => expect(parseUnitName(text)).toEqual({ name, type }));

  it.each(['', '..', '../x', 'a/b', 'a b', 'a\nb', '.x', '-x\0', 'ä', 'x;y', 'a'.repeat(250)])(
    'refuses %j',
    (text) => expect(parseUnitName(text)).toBe('it is no name of a unit'),
  );

  it.each(['x.timer', 'x.mount'])('has nothing for %s', (text) =>
    expect(parseUnitName(text)).toBe('only services and sockets can have MPTCP'),
  );
});

describe('the drop-in of a service', () => {
  const mechanisms = { registerPath: '/opt/50%/register.cjs', libraryPath: '/w.so' };

  it('adds to what the files set, in the order of systemd', () => {
    const sources = [
      source('[Service]\nEnvironment=LD_PRELOAD=/a.so GODEBUG=x=1\nEnvironment=NODE_OPTIONS=--a\n'),
      source('[Service]\nEnvironment="NODE_OPTIONS=--b %h"\n', '/etc/systemd/system/x.service.d/a.conf'),
    ];
    expect(serviceDropIn(sources, mechanisms)).toEqual({
      text: [
        DROP_IN_HEADER,
        '[Service]',
        'Environment="LD_PRELOAD=/a.so:/w.so"',
        'Environment="GODEBUG=x=1,multipathtcp=1"',
        'Environment="NODE_OPTIONS=--b %h --require /opt/50%%/register.cjs"',
        '',
      ].join('\n'),
      warnings: [],
    });
  });

  it('warns of what has the last word', () => {
    const sources = [
      source('[Service]\nEnvironmentFile=-/etc/default/x\n'),
      source('[Service]\nEnvironment=GODEBUG=y=1 B=1\n', '/etc/systemd/system/x.service.d/zz.conf'),
    ];
    expect(serviceDropIn(sources, mechanisms).warnings).toEqual([
      '"/etc/systemd/system/x.service.d/zz.conf" is read later and has the last word on GODEBUG',
      'EnvironmentFile=-/etc/default/x has the last word where it sets one of LD_PRELOAD, GODEBUG, NODE_OPTIONS',
    ]);
  });

  it('is known by its first line only', () => {
    expect(isOurDropIn(serviceDropIn([source('')], {}).text)).toBe(true);
    expect(isOurDropIn(`[Service]\n${DROP_IN_HEADER}\n`)).toBe(false);
  });
});

it.each([
  ['ExecStart=/usr/sbin/x -y', '/usr/sbin/x'],
  ['ExecStart=-@/usr/sbin/x name', '/usr/sbin/x'],
  ['ExecStart="/a b/x" y', '/a b/x'],
  ['ExecStart=/old\nExecStart=\nExecStart=!!/new', '/new'],
  ['ExecStart=%h/x', undefined],
  ['Type=oneshot', undefined],
])('the program of %s', (lines, program) =>
  expect(startedProgram([source(`[Service]\n${lines}\n`)])).toBe(program),
);

it.each([
  ['ListenStream=80', true],
  ['ListenStream=[::]:80', true],
  ['ListenStream=/run/x', false],
  ['ListenStream=@x\nListenDatagram=53', false],
  ['ListenStream=80\nListenStream=\nListenStream=/run/x', false],
])('%s', (lines, expected) => expect(hasTcpListener([source(`[Socket]\n${lines}\n`)])).toBe(expected));
