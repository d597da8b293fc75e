/**
 * native against the kernel: the reactor, the worker loop, exit hooks, namespaces, TAP devices, and the errors of a
 * machine that cannot give kernel access.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { AF_INET } from '../src/base/index.ts';
import {
  addNamespace,
  bindSocket,
  closeFd,
  deleteNamespace,
  duplicateFd,
  EPOLLIN,
  EpollLoop,
  IFF_NO_PI,
  IFF_TAP,
  inNamespace,
  libc,
  linkIndexOf,
  linkNameOf,
  listNamespaces,
  localAddressOf,
  namespacePath,
  NETNS_FOLDER,
  openSocket,
  openTunTap,
  OwnedBuffer,
  platformProblem,
  reactor,
  SOCK_DGRAM,
  SystemError,
  WakeFd,
} from '../src/native/index.ts';
import { RouteNetlink } from '../src/netlink/index.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE = 'weft-native';
const mayUse = (path: string) => {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
};
const ownNamespace = () => readlinkSync('/proc/thread-self/ns/net');
const openDescriptors = () => readdirSync('/proc/self/fd').length;

afterEach(() => deleteNamespace(NODE));

describe('the reactor', () => {
  it('calls back while a descriptor is ready, and no more once closed', async () => {
    const wake = new WakeFd();
    let calls = 0;
    await new Promise<void>((resolve) => {
      const watch = reactor.watch(wake.fd, EPOLLIN, (events) => {
        expect(events).toBe(EPOLLIN);
        calls++;
        // Not cleared: level-triggered, so it is called again until the watch ends.
        if (calls < 3) return;
        watch.close();
        watch.close();
        setImmediate(resolve);
      });
      wake.wake();
    });
    expect(calls).toBe(3);
    wake.close();
  });

  it('does not give an event to the successor of a closed watch on the same descriptor number', async () => {
    const first = new WakeFd();
    const second = new WakeFd();
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const watches = [first, second].map((wake, i) =>
        reactor.watch(wake.fd, EPOLLIN, () => {
          seen.push(`old ${i}`);
          // Whoever comes first ends the other, whose event is in the same batch, and watches it anew.
          for (const watch of watches) watch.close();
          for (const item of [first, second]) item.clear();
          const again = reactor.watch(first.fd, EPOLLIN, () => {
            seen.push('new');
            again.close();
            resolve();
          });
          setImmediate(() => first.wake());
        }),
      );
      first.wake();
      second.wake();
    });
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBe('new');
    first.close();
    second.close();
  });

  it('gives each of a thousand ready descriptors its turn, while one of them is always ready', async () => {
    const wakes = Array.from({ length: 1000 }, () => new WakeFd());
    const calls = wakes.map(() => 0);
    await new Promise<void>((resolve) => {
      let left = wakes.length;
      const watches = wakes.map((wake, i) =>
        reactor.watch(wake.fd, EPOLLIN, () => {
          calls[i]!++;
          if (calls[i] === 1 && --left === 0) {
            for (const watch of watches) watch.close();
            setImmediate(resolve);
          }
          if (i > 0) wake.clear();
        }),
      );
      for (const wake of wakes) wake.wake();
    });
    expect(calls.slice(1).filter((count) => count !== 1)).toEqual([]);
    for (const wake of wakes) wake.close();
  });

  it('serves a descriptor that has the number of one that was closed within a callback', async () => {
    const first = new WakeFd();
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const watch = reactor.watch(first.fd, EPOLLIN, () => {
        seen.push('first');
        watch.close();
        first.close();
        const second = new WakeFd();
        expect(second.fd).toBe(first.fd);
        const again = reactor.watch(second.fd, EPOLLIN, () => {
          seen.push('second');
          again.close();
          second.close();
          resolve();
        });
        // A second close of the old watch must not touch the new one.
        watch.close();
        second.wake();
      });
      first.wake();
    });
    expect(seen).toEqual(['first', 'second']);
  });
});

it('a blocking loop gives keys and events, and its wake-up ends a wait', () => {
  const before = openDescriptors();
  const loop = new EpollLoop({ capacity: 4 });
  const some = new WakeFd();
  loop.add(some.fd, EPOLLIN, 77);
  some.wake();
  loop.wakeFd.wake();
  const count = loop.wait(-1);
  const keys = Array.from({ length: count }, (_, i) => loop.keyAt(i)).sort((a, b) => a - b);
  expect(keys).toEqual([77, 0xffffffff]);
  loop.remove(some.fd);
  loop.wakeFd.clear();
  expect(loop.wait(0)).toBe(0);
  some.close();
  loop.close();
  expect(openDescriptors()).toBe(before);
});

/** Runs a program that uses the built layer, and says how it ended. */
function runProgram(text: string, folder = root) {
  const program = `const n = await import(${JSON.stringify(join(folder, 'dist/native/index.js'))});\n${text}`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
}

describe('a process', () => {
  it('ends at process.exit although the reactor waits', () => {
    const result = runProgram(
      `n.reactor.watch(new n.WakeFd().fd, n.EPOLLIN, () => {}); setTimeout(() => process.exit(7), 10);`,
    );
    expect(result).toMatchObject({ status: 7, signal: null, stderr: '' });
  });

  it('ends by itself when nothing is watched any more', () => {
    const result = runProgram(`
      const wake = new n.WakeFd();
      const watch = n.reactor.watch(wake.fd, n.EPOLLIN, () => watch.close());
      wake.wake();`);
    expect(result).toMatchObject({ status: 0, signal: null, stderr: '' });
  });

  it('is told on one line that koffi is missing, and how to get it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-no-koffi-'));
    try {
      cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
      cpSync(join(root, 'package.json'), join(folder, 'package.json'));
      const result = spawnSync(
        process.execPath,
        [join(folder, 'dist/bin/ip-mptcp.js'), 'mptcp', 'endpoint'],
        { encoding: 'utf8' },
      );
      expect(result.status).not.toBe(0);
      expect(result.stderr).toMatch(
        /^.*koffi, the library for system calls, could not be loaded: .* — run "npm ci".*\n$/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('platformProblem', () => {
  const real = Object.getOwnPropertyDescriptor(process, 'platform')!;
  const realArch = Object.getOwnPropertyDescriptor(process, 'arch')!;
  afterEach(() => {
    Object.defineProperty(process, 'platform', real);
    Object.defineProperty(process, 'arch', realArch);
  });

  it('is none here, and names what works elsewhere', () => {
    expect(platformProblem()).toBeUndefined();
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    expect(platformProblem()?.message).toMatch(
      /kernel access needs Linux, and this is darwin — what works here: /,
    );
    Object.defineProperty(process, 'platform', real);
    Object.defineProperty(process, 'arch', { value: 'ia32' });
    expect(platformProblem()?.message).toMatch(/x64 and arm64, and this is ia32/);
  });
});

describe('namespaces', () => {
  it('sockets opened in one stay there, and the thread comes back, also after an error', () => {
    const home = ownNamespace();
    addNamespace(NODE);
    expect(listNamespaces()).toContain(NODE);
    const inside = inNamespace(namespacePath(NODE), ownNamespace);
    expect(inside).not.toBe(home);
    const fail = () =>
      inNamespace(namespacePath(NODE), () => {
        throw new Error('within');
      });
    expect(fail).toThrow('within');
    expect(ownNamespace()).toBe(home);
    expect(() => addNamespace(NODE)).toThrow(/EEXIST/);
    expect(() => addNamespace('../x')).toThrow('"../x" is not a name for a network namespace');
    deleteNamespace(NODE);
    deleteNamespace(NODE);
    expect(listNamespaces()).not.toContain(NODE);
  });

  it('what is no namespace is neither entered nor deleted', () => {
    const home = ownNamespace();
    const file = namespacePath('weft-no-namespace');
    writeFileSync(file, '');
    expect(() => inNamespace(file, ownNamespace)).toThrow(/^enter network namespace ".*": .* \(EINVAL\)$/);
    expect(ownNamespace()).toBe(home);
    rmSync(file);
    const folder = mkdtempSync('/run/weft-native-');
    deleteNamespace(join('..', basename(folder)));
    expect(existsSync(folder)).toBe(true);
    rmSync(folder, { recursive: true });
  });

  it('sockets opened in one outlive its name', () => {
    addNamespace(NODE);
    const path = namespacePath(NODE);
    const fd = inNamespace(path, () => openSocket(AF_INET, SOCK_DGRAM, 0));
    deleteNamespace(NODE);
    expect(() => inNamespace(path, ownNamespace)).toThrow(/No such file or directory \(ENOENT\)/);
    bindSocket(fd, { address: '0.0.0.0', port: 7 });
    expect(localAddressOf(fd)).toEqual({ address: '0.0.0.0', port: 7 });
    closeFd(fd);
  });

  it('making one where nothing can be written leaves nothing, and the thread where it was', () => {
    const home = ownNamespace();
    const before = openDescriptors();
    execFileSync('mount', ['--bind', NETNS_FOLDER, NETNS_FOLDER]);
    try {
      execFileSync('mount', ['-o', 'remount,bind,ro', NETNS_FOLDER]);
      expect(() => addNamespace(NODE)).toThrow(/EROFS/);
    } finally {
      execFileSync('umount', [NETNS_FOLDER]);
    }
    expect(listNamespaces()).not.toContain(NODE);
    expect(ownNamespace()).toBe(home);
    expect(openDescriptors()).toBe(before);
    addNamespace(NODE);
  });

  it('names with dots, and links with the longest name there is', () => {
    const name = 'weft.native-1.2';
    addNamespace(name);
    try {
      const longest = 'fifteen.letters';
      const netlink = RouteNetlink.open({ netns: namespacePath(name) });
      netlink.addLink({ name: longest, kind: 'veth', peer: { name: 'p' } });
      netlink.close();
      inNamespace(namespacePath(name), () => {
        const index = linkIndexOf(longest)!;
        expect(linkNameOf(index)).toBe(longest);
        expect(linkIndexOf(`${longest}x`)).toBeUndefined();
        expect(linkIndexOf(`${longest}\0`)).toBeUndefined();
        expect(linkNameOf(index + 1000)).toBeUndefined();
      });
      expect(() => openTunTap(`${longest}x`, IFF_TAP)).toThrow('is not a link name');
    } finally {
      deleteNamespace(name);
    }
  });

  it('a TAP device lives in its namespace as long as its descriptor', ({ skip }) => {
    if (!mayUse('/dev/net/tun')) skip('/dev/net/tun is missing, or closed to this user');
    addNamespace(NODE);
    const links = () => execFileSync('ip', ['-n', NODE, '-br', 'link'], { encoding: 'utf8' });
    const fd = inNamespace(namespacePath(NODE), () => openTunTap('tap7', IFF_TAP | IFF_NO_PI));
    expect(links()).toContain('tap7');
    closeFd(fd);
    expect(links()).not.toContain('tap7');
    expect(() => openTunTap('a/b', IFF_TAP)).toThrow('"a/b" is not a link name');
  });
});

it('the kernel finds an owned buffer at its address, also after the collector ran', () => {
  const owned = Array.from({ length: 50 }, (_, i) => {
    const buffer = new OwnedBuffer(64);
    buffer.bytes.fill(i + 1);
    return buffer;
  });
  for (let i = 0; i < 200; i++) new Uint8Array(1 << 20).fill(i);
  const vector = new OwnedBuffer(16 * owned.length);
  for (const [i, buffer] of owned.entries()) {
    vector.view.setBigUint64(i * 16, buffer.address, true);
    vector.view.setBigUint64(i * 16 + 8, 64n, true);
  }
  const pipe = new Int32Array(2);
  expect(libc.pipe2(new Uint8Array(pipe.buffer), 0)).toBe(0);
  expect(libc.writev(pipe[1]!, vector.bytes, owned.length)).toBe(64 * owned.length);
  const read = new Uint8Array(64 * owned.length);
  expect(libc.read(pipe[0]!, read, read.length)).toBe(read.length);
  expect(read).toEqual(Uint8Array.from({ length: read.length }, (_, i) => (i >> 6) + 1));
  for (const fd of pipe) closeFd(fd);
});

it('a failed call throws with its operation, name and number', () => {
  try {
    duplicateFd(-1);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({
      message: 'duplicate descriptor: Bad file descriptor (EBADF)',
      code: 'EBADF',
      errno: 9,
    });
  }
  expect(libc.close(-1)).toBe(-1);
});
