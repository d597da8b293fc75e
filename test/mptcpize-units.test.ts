/**
 * `mptcpize enable|disable` and `weft enable|disable`, as built, on the files of a machine of its own: a folder with unit
 * files, and a systemctl that answers as that machine's would and writes down what it was asked.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeSysctl } from '../src/mptcp/index.ts';
import { environmentOf, parseUnitFile } from '../src/service/programs/unit-file.ts';
import { WEFT } from './support/weft-program.ts';

const MPTCPIZE = join(dirname(WEFT), 'mptcpize.js');
const UNITS = '/usr/lib/systemd/system';
const OWN = '/etc/systemd/system';
const HEADER = '# MPTCP for this unit, written by Weft. "weft disable" removes this file.';

let root = '';
const at = (path: string) => join(root, path);
const dropIn = (unit: string) => at(`${OWN}/${unit}.d/weft-mptcp.conf`);

function put(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}

/** A systemctl of the machine in the folder; `fails` makes it refuse a reload. */
const SYSTEMCTL = `#!/bin/sh
echo "$@" >> "$FAKE_ROOT/asked"
case "$1" in
--version) echo "systemd \${FAKE_VERSION:-257} (x)" ;;
daemon-reload) [ -z "$FAKE_FAILS" ] || { echo "Access denied" >&2; exit 1; } ;;
show)
  for name; do :; done
  [ "$name" != alias.service ] || name=demo.service
  echo "Id=$name"
  found=
  [ ! -e "$FAKE_ROOT${UNITS}/$name" ] || found=${UNITS}/$name
  echo "FragmentPath=$found"
  paths=
  for file in "$FAKE_ROOT${OWN}/$name.d"/*.conf; do
    [ ! -e "$file" ] || paths="$paths\${paths:+ }\${file#"$FAKE_ROOT"}"
  done
  echo "DropInPaths=$paths" ;;
esac
`;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weft-units-'));
  mkdirSync(at('bin'));
  writeFileSync(at('bin/systemctl'), SYSTEMCTL);
  chmodSync(at('bin/systemctl'), 0o755);
  symlinkSync(process.execPath, at('bin/node'));
  put(
    `${UNITS}/demo.service`,
    '[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=A=b "LD_PRELOAD=/usr/lib/libm.so"\nEnvironment=GODEBUG=http2client=0\nExecStart=/bin/demo\n',
  );
  put(`${UNITS}/web.socket`, '[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=80\n');
});
afterEach(() => {
  writeSysctl('enabled', true);
  rmSync(root, { recursive: true });
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(words: readonly string[], env: NodeJS.ProcessEnv = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${at('bin')}:${process.env['PATH']}`,
      WEFT_ROOT: root,
      FAKE_ROOT: root,
      ...env,
    },
  });
  return { code: status, out: stdout, err: stderr };
}
const mptcpize = (words: readonly string[], env?: NodeJS.ProcessEnv) => run([MPTCPIZE, ...words], env);
const weft = (words: readonly string[], env?: NodeJS.ProcessEnv) => run([WEFT, ...words], env);

/** Boots the machine: from now on systemctl is asked. */
const boot = () => mkdirSync(at('/run/systemd/system'), { recursive: true });
const asked = () =>
  existsSync(at('asked')) ? readFileSync(at('asked'), 'utf8').split('\n').slice(0, -1) : [];
const variables = (unit: string) =>
  Object.fromEntries(environmentOf(parseUnitFile(readFileSync(dropIn(unit), 'utf8'))));

/** Every file of the machine with its content, so that a change of any is seen. */
function snapshot(): Record<string, string> {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(at(path)).isFile(),
  );
  return Object.fromEntries(
    files
      .filter((path) => !path.startsWith('bin/') && path !== 'asked')
      .map((path) => [path, readFileSync(at(path), 'utf8')]),
  );
}

describe.each([
  ['where systemd runs', true],
  ["in a machine's image", false],
])('%s', (_name, booted) => {
  beforeEach(() => {
    if (booted) boot();
  });

  it('enable and disable, and nothing is left', () => {
    const before = snapshot();
    expect(mptcpize(['enable', 'demo'])).toEqual({
      code: 0,
      out: `mptcp successfully enabled on unit ${UNITS}/demo.service\n`,
      err: '',
    });
    const text = readFileSync(dropIn('demo.service'), 'utf8');
    expect(text.split('\n').slice(0, 2)).toEqual([HEADER, '[Service]']);
    expect(statSync(dropIn('demo.service')).mode & 0o777).toBe(0o644);
    expect(readdirSync(dirname(dropIn('demo.service')))).toEqual(['weft-mptcp.conf']);
    expect(variables('demo.service')).toEqual({
      LD_PRELOAD: expect.stringMatching(/^\/usr\/lib\/libm\.so:\/.*\/libmptcpwrap\.so[.\d]*$/) as string,
      GODEBUG: 'http2client=0,multipathtcp=1',
      NODE_OPTIONS: expect.stringMatching(/^--require \/.*\/register\.cjs$/) as string,
    });
    // The vendor's file is as it was.
    expect(snapshot()).toMatchObject(before);
    expect(mptcpize(['disable', 'demo.service'])).toEqual({
      code: 0,
      out: `mptcp successfully disabled on unit ${UNITS}/demo.service\n`,
      err: '',
    });
    expect(snapshot()).toEqual(before);
    expect(existsSync(at(`${OWN}/demo.service.d`))).toBe(false);
    expect(asked().filter((line) => line === 'daemon-reload')).toHaveLength(booted ? 2 : 0);
  });

  it('once or often is the same', () => {
    mptcpize(['enable', 'demo']);
    const first = snapshot();
    expect(mptcpize(['enable', 'demo'])).toMatchObject({ code: 0 });
    expect(snapshot()).toEqual(first);
    expect(asked().filter((line) => line === 'daemon-reload')).toHaveLength(booted ? 1 : 0);
    for (let i = 0; i < 2; i++) expect(mptcpize(['disable', 'demo'])).toMatchObject({ code: 0, err: '' });
  });

  it("others' drop-ins are read, and stay", () => {
    put(`${OWN}/demo.service.d/a.conf`, '[Service]\nEnvironment=NODE_OPTIONS=--inspect\n');
    put(`${OWN}/demo.service.d/zz.conf`, '[Service]\nEnvironment=GODEBUG=x=1\n');
    const before = snapshot();
    const enabled = mptcpize(['enable', 'demo']);
    expect(enabled.err).toBe(
      `mptcpize: "${OWN}/demo.service.d/zz.conf" is read later and has the last word on GODEBUG\n`,
    );
    expect(variables('demo.service')['NODE_OPTIONS']).toMatch(/^--inspect --require /);
    mptcpize(['disable', 'demo']);
    expect(snapshot()).toEqual(before);
  });

  it('a drop-in of our name that somebody else wrote is not touched', () => {
    put(`${OWN}/demo.service.d/weft-mptcp.conf`, '[Service]\nEnvironment=X=1\n');
    const before = snapshot();
    for (const verb of ['enable', 'disable']) {
      const ran = mptcpize([verb, 'demo']);
      expect(ran).toMatchObject({ code: 1, out: '' });
      expect(ran.err).toMatch(/was not written by Weft, and stays/);
    }
    expect(snapshot()).toEqual(before);
  });

  it('a link in the place of our drop-in is not followed', () => {
    put('/etc/other', `${HEADER}\n`);
    mkdirSync(dirname(dropIn('demo.service')), { recursive: true });
    symlinkSync(at('/etc/other'), dropIn('demo.service'));
    expect(mptcpize(['enable', 'demo'])).toMatchObject({ code: 1 });
    expect(mptcpize(['disable', 'demo'])).toMatchObject({ code: 1 });
    expect(readFileSync(at('/etc/other'), 'utf8')).toBe(`${HEADER}\n`);
  });

  it('sockets', () => {
    expect(weft(['enable', 'web.socket'])).toMatchObject({ code: 0, err: '' });
    expect(readFileSync(dropIn('web.socket'), 'utf8')).toBe(`${HEADER}\n[Socket]\nSocketProtocol=mptcp\n`);
    expect(weft(['disable', 'web.socket'])).toMatchObject({ code: 0, err: '' });
    put(`${UNITS}/local.socket`, '[Socket]\nListenStream=/run/x\nListenDatagram=53\n');
    expect(weft(['enable', 'local.socket'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/listens to no TCP port/) as string,
    });
  });

  it.each(['no-such-unit', 'x.timer', 'a b', '../demo', 'demo\nx', '/etc/passwd', '', '..', 'demo.service/'])(
    'refuses %j',
    (unit) => {
      const before = snapshot();
      for (const verb of ['enable', 'disable']) {
        const ran = mptcpize([verb, unit]);
        expect(ran).toMatchObject({ code: 1, out: '' });
        expect(ran.err).toMatch(/^mptcpize: .*\n$/);
      }
      expect(snapshot()).toEqual(before);
      // What is no name of a unit does not come to systemctl.
      if (unit !== 'no-such-unit') expect(asked()).toEqual([]);
    },
  );

  it('what systemd thinks of the drop-ins', () => {
    const verify = () => {
      const ran = spawnSync('systemd-analyze', [`--root=${root}`, 'verify', 'demo.service', 'web.socket'], {
        encoding: 'utf8',
      });
      return ran.error === undefined ? ran.stderr : undefined;
    };
    put(`${UNITS}/web.service`, '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/demo\n');
    put('/bin/demo', '#!/bin/sh\n');
    chmodSync(at('/bin/demo'), 0o755);
    const without = verify();
    weft(['enable', 'demo']);
    // A machine without systemd-analyze says nothing either way; in Debian's image it is there.
    expect(verify()).toBe(without);
    writeFileSync(dropIn('demo.service'), `${readFileSync(dropIn('demo.service'), 'utf8')}Environment\n`);
    if (without !== undefined) expect(verify()).toMatch(/weft-mptcp\.conf/);
  });
});

it('an alias is enabled under its own name', () => {
  boot();
  expect(mptcpize(['enable', 'alias'])).toMatchObject({ code: 0 });
  expect(existsSync(dropIn('demo.service'))).toBe(true);
});

it('a file is named by its path', () => {
  const path = at(`${UNITS}/demo.service`);
  expect(mptcpize(['enable', path])).toEqual({
    code: 0,
    out: `mptcp successfully enabled on unit ${path}\n`,
    err: '',
  });
  expect(mptcpize(['disable', path])).toMatchObject({ code: 0 });
  expect(existsSync(dropIn('demo.service'))).toBe(false);
});

it("a template's instance", () => {
  put(`${UNITS}/many@.service`, '[Service]\nExecStart=/bin/many %i\nEnvironment=GODEBUG=a=1\n');
  expect(weft(['enable', 'many@1.x'])).toMatchObject({ code: 0 });
  expect(variables('many@1.x.service')['GODEBUG']).toBe('a=1,multipathtcp=1');
});

it('a unit that is gone can still be disabled', () => {
  mptcpize(['enable', 'demo']);
  rmSync(at(`${UNITS}/demo.service`));
  expect(mptcpize(['disable', 'demo'])).toMatchObject({ code: 0, err: '' });
  expect(existsSync(at(`${OWN}/demo.service.d`))).toBe(false);
});

it('a masked unit is told so', () => {
  mkdirSync(at(OWN), { recursive: true });
  symlinkSync('/dev/null', at(`${OWN}/demo.service`));
  expect(weft(['enable', 'demo'])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/is masked/) as string,
  });
});

it('a reload that fails is told, and what was written stays', () => {
  boot();
  const ran = mptcpize(['enable', 'demo'], { FAKE_FAILS: '1' });
  expect(ran.err).toMatch(/can't reload unit, manual 'systemctl daemon-reload' is required: .*Access denied/);
  expect(existsSync(dropIn('demo.service'))).toBe(true);
});

it('a systemd that does not know SocketProtocol=mptcp is not given it', () => {
  boot();
  const ran = weft(['enable', 'web.socket'], { FAKE_VERSION: '252' });
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.err).toMatch(/systemd 252 does not know SocketProtocol=mptcp — systemd 257 does/);
});

it('a Node program that may be unable to read what it is to load', () => {
  put(`${UNITS}/app.service`, '[Service]\nExecStart=node /srv/app.js\n');
  mkdirSync(at('usr/bin'), { recursive: true });
  symlinkSync(process.execPath, at('usr/bin/node'));
  const ran = weft(['enable', 'app']);
  expect(ran.code).toBe(0);
  const loads = /--require (.*)/.exec(variables('app.service')['NODE_OPTIONS'] ?? '')?.[1] ?? '';
  // Where the tests stand decides.
  if (/^\/(home|root|tmp)\//.test(loads)) expect(ran.err).toMatch(/"node" does not start if it may not read/);
  else expect(ran.err).toBe('');
});

it('a static program is refused, or sent to the proxy', () => {
  put(`${UNITS}/static.service`, '[Service]\nExecStart=/sbin/ldconfig -p\n');
  mkdirSync(at('sbin'));
  symlinkSync('/sbin/ldconfig', at('sbin/ldconfig'));
  const ran = weft(['enable', 'static']);
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.err).toMatch(
    /would stay TCP: "\/sbin\/ldconfig": it is linked statically.*--via proxy static\.service/,
  );
  expect(weft(['enable', '--via', 'proxy', 'static'])).toMatchObject({ code: 0, err: '' });
  const url = 'http://127.0.0.1:13128';
  expect(variables('static.service')).toEqual({ http_proxy: url, https_proxy: url, all_proxy: url });
});
