/** The folder `conf` of a tunnel on disk: what is read, what is refused, and how files are saved and put aside. */
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
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationFolder } from '../src/service/index.ts';
import { formatConfigIssue, formatConnectionConfig } from '../src/tunnel/index.ts';
import { INTERFACE_TEXT, SAVED_TEXT } from './support/mpt-configuration.ts';

let root: string;
let folder: ConfigurationFolder;
const pathOf = (name: string) => join(root, name);
const write = (name: string, text: string, mode = 0o644) => {
  writeFileSync(pathOf(name), text);
  chmodSync(pathOf(name), mode);
};
const TEMPLATE = SAVED_TEXT.replace('ip_remote        = 10.0.0.3', 'ip_remote = 0.0.0.0');

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weft-conf-'));
  mkdirSync(pathOf('connections'));
  folder = new ConfigurationFolder(root, 'mptsrv');
  write('interface.conf', INTERFACE_TEXT);
  write('connections/conf.template', TEMPLATE);
  write('connections/office.conf', SAVED_TEXT);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const errorsOf = () => folder.readFolder().errors.map(formatConfigIssue);

describe('reading', () => {
  it('takes interface.conf, the template and every file that ends in .conf', () => {
    write('connections/README', 'not a connection');
    write('connections/old.conf.disabled', 'neither');
    const { config, errors } = folder.readFolder();
    expect(errors).toEqual([]);
    expect(config?.connections.map(({ file }) => file)).toEqual(['office.conf']);
    expect(config?.interface.commandPort).toBe(60_456);
  });

  it('tells each missing file once', () => {
    rmSync(root, { recursive: true });
    expect(errorsOf()).toEqual([
      'interface.conf: the file is missing',
      'connections/conf.template: the file is missing',
    ]);
    expect(folder.hasInterfaceFile()).toBe(false);
  });

  it('names file, line, key and value of a mistake', () => {
    write('connections/office.conf', SAVED_TEXT.replace('weight_out       = 10', 'weight_out = 0'));
    const [error] = errorsOf();
    expect(error).toMatch(/^connections\/office\.conf:32: weight_out = "?0"? .*1/);
  });

  it('refuses what others could have written, and what is no file', () => {
    chmodSync(pathOf('interface.conf'), 0o666);
    expect(errorsOf()).toEqual([expect.stringMatching(/^interface\.conf: .*world writable/)]);
    chmodSync(pathOf('interface.conf'), 0o644);
    chmodSync(pathOf('connections'), 0o777);
    expect(errorsOf()).toEqual(['connections: everybody may write to the folder']);
    chmodSync(pathOf('connections'), 0o755);
    mkdirSync(pathOf('connections/folder.conf'));
    expect(errorsOf()).toEqual([expect.stringMatching(/^connections\/folder\.conf: .*should be a file/)]);
    rmSync(pathOf('connections/folder.conf'), { recursive: true });
    expect(spawnSync('mkfifo', [pathOf('connections/pipe.conf')]).status).toBe(0);
    expect(errorsOf()).toEqual([expect.stringMatching(/^connections\/pipe\.conf: .*should be a file/)]);
  });

  it('refuses more than it can hold', () => {
    for (let number = 0; number < 1024; number++) write(`connections/${number}.conf`, '');
    expect(errorsOf()).toContain('connections: 1026 files; at most 1024 are read');
    for (let number = 0; number < 1024; number++) rmSync(pathOf(`connections/${number}.conf`));
    write('connections/large.conf', '#'.repeat(2 << 20));
    expect(errorsOf()).toEqual([expect.stringMatching(/^connections\/large\.conf: .*larger than/)]);
  });

  it('reads one file as it stands beside interface.conf', () => {
    const { connection, errors } = folder.readConnection('office.conf');
    expect(errors).toEqual([]);
    expect(connection).toMatchObject({ name: 'conn4_A', localCommandPort: 60_456 });
    expect(folder.readConnection('nowhere.conf').errors.map(formatConfigIssue)).toEqual([
      'connections/nowhere.conf: the file is missing',
    ]);
    for (const name of ['../interface.conf', 'office', '.conf', '']) {
      expect(folder.readConnection(name).connection, name).toBeUndefined();
    }
    rmSync(pathOf('interface.conf'));
    expect(folder.readConnection('office.conf').errors.map(formatConfigIssue)).toEqual([
      'interface.conf: the file is missing',
    ]);
  });
});

describe('saving', () => {
  it('writes what is read back, the key among it, for nobody else to read', () => {
    const { connection } = folder.readConnection('office.conf');
    const changed = { ...connection!, authType: 2 as const, authKey: '0123456789abcdef0123456789abcdef' };
    folder.save('office.conf', formatConnectionConfig(changed, 'file'));
    expect(folder.readConnection('office.conf').connection).toEqual(changed);
    expect(statSync(pathOf('connections/office.conf')).mode & 0o777).toBe(0o600);
    expect(readdirSync(pathOf('connections')).sort()).toEqual(['conf.template', 'office.conf']);
  });

  it('makes new files, and takes the place of a link without following it', () => {
    write('elsewhere', 'untouched');
    symlinkSync(pathOf('elsewhere'), pathOf('connections/peer_10_0_0_3.conf'));
    folder.save('peer_10_0_0_3.conf', SAVED_TEXT);
    expect(readFileSync(pathOf('elsewhere'), 'utf8')).toBe('untouched');
    expect(readFileSync(pathOf('connections/peer_10_0_0_3.conf'), 'utf8')).toBe(SAVED_TEXT);
  });

  it('takes over from a save that was killed', () => {
    write('connections/.office.conf.new', 'half a fi');
    folder.save('office.conf', SAVED_TEXT);
    expect(existsSync(pathOf('connections/.office.conf.new'))).toBe(false);
  });

  it('leaves the file as it was when it cannot write', () => {
    mkdirSync(pathOf('connections/taken.conf'));
    expect(() => folder.save('taken.conf', SAVED_TEXT)).toThrow(/^save ".*taken\.conf": /);
    expect(readdirSync(pathOf('connections'))).not.toContain('.taken.conf.new');
  });

  it('says what could not be saved when nothing can be written', () => {
    spawnSync('mount', ['--bind', root, root]);
    try {
      expect(spawnSync('mount', ['-o', 'remount,bind,ro', root]).status).toBe(0);
      expect(() => folder.save('office.conf', SAVED_TEXT)).toThrow(/^save ".*office\.conf": EROFS/);
    } finally {
      spawnSync('umount', [root]);
    }
  });

  it.each(['../interface.conf', 'a/b.conf', 'conf.template', 'x', '.conf', 'a\nb.conf', '..'])(
    'never writes to "%s"',
    (name) => {
      expect(() => folder.save(name, '')).toThrow(/cannot be the name/);
      expect(() => folder.disable(name)).toThrow(/cannot be the name/);
    },
  );
});

describe('putting aside', () => {
  it('renames, and never overwrites', () => {
    folder.disable('office.conf');
    expect(readFileSync(pathOf('connections/office.conf.disabled'), 'utf8')).toBe(SAVED_TEXT);
    write('connections/office.conf', 'second');
    folder.disable('office.conf');
    expect(readFileSync(pathOf('connections/office.conf.disabled'), 'utf8')).toBe(SAVED_TEXT);
    expect(readFileSync(pathOf('connections/office.conf.disabled.1'), 'utf8')).toBe('second');
    expect(folder.readFolder().config?.connections).toEqual([]);
  });

  it('does nothing about a connection that was never saved', () => {
    folder.disable('peer_10_0_0_9.conf');
    expect(readdirSync(pathOf('connections')).sort()).toEqual(['conf.template', 'office.conf']);
  });
});
