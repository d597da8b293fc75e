/**
 * The plugin `policy` with the real kernel: which subflows connections get under the rules of a file, by whose they
 * are and where they go. The hosts are drawn in support/plugin-paths.ts.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ControlGroup, isHostRoot } from './support/control-group.ts';
import { PluginPaths, SOON } from './support/plugin-paths.ts';

const BACKUP_USER = 34;
const RETRY = '[retry]\nfirst = 0.05\nlongest = 0.2\n';

const group = isHostRoot ? new ControlGroup('weft-policy') : undefined;

let paths: PluginPaths;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weft-policy-'));
  paths = await PluginPaths.make('weft-pol');
});
afterEach(async () => {
  await paths.reset();
});
afterAll(async () => {
  await paths.remove();
  rmSync(folder, { recursive: true });
  group?.remove();
});

const fileName = () => join(folder, 'policy.toml');

async function start(rules: string, netns?: string) {
  writeFileSync(fileName(), RETRY + rules);
  return paths.start('policy', { file: fileName() }, netns === undefined ? {} : { netns });
}

const V1 = '10.9.1.1>10.9.100.1';
const V2 = '10.9.2.1>10.9.100.1';

// Whose a program is, and in which group, only root of the host can decide.
function describeTwoPrograms(): void {
  it('by user', async () => {
    await start(`
[[rule]]
name = "nightly copies: only the second line"
uid = ${BACKUP_USER}
interfaces = "v2"

[[rule]]
name = "everybody else: both"
`);
    const user = await paths.startClient();
    const copy = await paths.startClient({ uid: BACKUP_USER, gid: BACKUP_USER });
    await expect.poll(() => paths.pairs(user.token), SOON).toEqual([V1, V2]);
    // It began over v1, which its rule does not allow, and was moved.
    await expect.poll(() => paths.pairs(copy.token), SOON).toEqual([V2]);
    expect(paths.log).toContainEqual(
      expect.stringMatching(
        /^info closing the subflow from 10\.9\.1\.1 to 10\.9\.100\.1:\d+: rule "nightly copies: only the second line" \(line 5\) does not allow v1$/,
      ),
    );
    expect(paths.pairs(user.token)).toEqual([V1, V2]);
  });

  it('by control group', async () => {
    await start(`
[[rule]]
cgroup = "${group!.path}"
subflows = 0

[[rule]]
`);
    const outside = await paths.startClient();
    const inside = await group!.during(() => paths.startClient());
    const later = await paths.startClient();
    await expect.poll(() => paths.pairs(outside.token), SOON).toEqual([V1, V2]);
    await expect.poll(() => paths.pairs(later.token), SOON).toEqual([V1, V2]);
    expect(paths.pairs(inside.token)).toEqual([V1]);
  });
}
if (isHostRoot) describe('two programs have two sets of paths', describeTwoPrograms);

it('by destination', async () => {
  await start(`
[[rule]]
to = "10.9.101.0/24"
interfaces = "v1"
subflows = 3

[[rule]]
to = "fd09::/16"
`);
  const three = await paths.connect('10.9.101.1');
  await paths.expectPairs(
    three,
    Array.from({ length: 3 }, () => '10.9.1.1>10.9.101.1'),
  );
  const two = await paths.connect('fd09:100::1');
  await paths.expectPairs(two, ['fd09:1::1>fd09:100::1', 'fd09:2::1>fd09:100::1']);
  const none = await paths.connect('10.9.100.1');
  expect(paths.pairs(none.token)).toEqual([V1]);
});

it('backup, on the wire: of subflows that it makes, and of those that stand', async () => {
  await start('[[rule]]\nbackup = "v2"');
  const joins = paths.counter('b', 'MPJoinSynBackupRx');
  const first = await paths.connect();
  await paths.expectPairs(first, [V1, V2]);
  const flags = (token: number) =>
    paths
      .subflows(token)
      .map(({ localAddress, backupLocal }) => `${localAddress} ${backupLocal ? 'backup' : 'normal'}`)
      .sort();
  expect(flags(first.token)).toEqual(['10.9.1.1 normal', '10.9.2.1 backup']);
  expect(paths.counter('b', 'MPJoinSynBackupRx')).toBe(joins + 1);
  await paths.reset();

  // The first subflow is there before anybody can say that it is to be backup.
  const told = paths.counter('b', 'MPPrioRx');
  await start('[[rule]]\nbackup = "v1"');
  const second = await paths.connect();
  await paths.expectPairs(second, [V1, V2]);
  await expect.poll(() => flags(second.token), SOON).toEqual(['10.9.1.1 backup', '10.9.2.1 normal']);
  await expect.poll(() => paths.counter('b', 'MPPrioRx'), SOON).toBe(told + 1);
});

it('takes a link that appears, by the preference of its pattern, and leaves it when it goes', async () => {
  await start('[[rule]]\ninterfaces = ["v3", "v1"]');
  const connection = await paths.connect();
  await paths.exchange(connection);
  expect(paths.pairs(connection.token)).toEqual([V1]);
  paths.addLink(3);
  await paths.expectPairs(connection, [V1, '10.9.3.1>10.9.100.1']);
  paths.removeLink(3);
  await paths.expectPairs(connection, [V1]);
});

it('makes dead subflows anew, or does not', async () => {
  await start(`
[[rule]]
to = "10.9.101.1"

[[rule]]
reestablish = false
`);
  const kept = await paths.connect('10.9.101.1');
  const left = await paths.connect();
  await paths.expectPairs(left, [V1, V2]);
  const joined = (token: number) =>
    paths.subflows(token).find((subflow) => subflow.localAddress === '10.9.2.1');
  await expect.poll(() => joined(kept.token), SOON).toBeDefined();
  paths.kill(joined(left.token)!);
  // The second time comes later than the first would have for the other connection.
  for (let time = 1; time <= 2; time++) {
    const dead = joined(kept.token)!;
    paths.kill(dead);
    const isAnother = () => (joined(kept.token)?.localPort ?? dead.localPort) !== dead.localPort;
    await expect.poll(isAnother, SOON).toBe(true);
  }
  await paths.expectPairs(left, [V1]);
});

it('announces on accepted connections, so that the other end can join', async () => {
  const { netnsB } = paths.hosts;
  paths.writeSysctl('a', 'kernel');
  paths.writeSysctl('b', 'userspace');
  try {
    await start('[[rule]]\nside = "server"\nannounce = true\ninterfaces = "v?"', netnsB);
    const connection = await paths.connect('10.9.1.2');
    await expect.poll(() => paths.pairs(connection.token), SOON).toContain('10.9.2.1>10.9.2.2');
    await paths.exchange(connection);
  } finally {
    paths.writeSysctl('a', 'userspace');
    paths.writeSysctl('b', 'kernel');
  }
});

it('acts on live connections when the file is read again', async () => {
  const daemon = await start('[[rule]]\ninterfaces = "v1"');
  const connection = await paths.connect();
  await paths.exchange(connection);
  expect(paths.pairs(connection.token)).toEqual([V1]);

  writeFileSync(fileName(), `${RETRY}[[rule]]\nbackup = "v2"`);
  await paths.reload(daemon);
  await paths.expectPairs(connection, [V1, V2]);
  expect(paths.subflows(connection.token).map((one) => one.backupLocal)).toEqual([false, true]);

  // A file with a mistake changes nothing.
  writeFileSync(fileName(), '[[rule]]\nbackupp = "v2"');
  await paths.reload(daemon);
  expect(paths.log).toContain(`error ${fileName()}:2: unknown key "backupp" — did you mean "backup"?`);
  await paths.exchange(connection);
  expect(paths.pairs(connection.token)).toEqual([V1, V2]);

  writeFileSync(fileName(), `${RETRY}[[rule]]\ninterfaces = "v2"`);
  await paths.reload(daemon);
  await paths.expectPairs(connection, [V2]);
  expect(paths.subflows(connection.token).map((one) => one.backupLocal)).toEqual([false]);
});

describe('a file that cannot be used', () => {
  const fails = async (settings: Record<string, string>) => {
    await expect(paths.start('policy', settings)).rejects.toThrow();
    return paths.log.filter((line) => line.startsWith('error')).join('\n');
  };

  it('is told with every mistake, its line and what was meant', async () => {
    writeFileSync(fileName(), '[[rule]]\ninterface = "eth0"\nport = "x"\n');
    const log = await fails({ file: fileName() });
    expect(log).toContain(`${fileName()}:2: unknown key "interface" — did you mean "interfaces"?`);
    expect(log).toContain(
      `${fileName()}:3: port: "x" is not understood — a port, or a range such as "8000-8999"`,
    );
  });

  it('is refused when everybody may write it', async () => {
    writeFileSync(fileName(), '[[rule]]');
    chmodSync(fileName(), 0o666);
    expect(await fails({ file: fileName() })).toContain('everybody may write it — chmod o-w');
    chmodSync(fileName(), 0o600);
  });

  it('is refused when it is a pipe, which is not waited for', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(await fails({ file: pipe })).toContain('not a regular file');
  });

  it('is missed', async () => {
    expect(await fails({ file: join(folder, 'none') })).toMatch(/read policy ".*none": .*ENOENT/);
  });
});
