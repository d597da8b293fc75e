/**
 * The C library through koffi: the only place in Weft that imports it. Each function is bound at its first use,
 * so that a short command pays only for what it calls. Functions return what C returns; failure is judged by
 * errno.ts. Rule (docs/architecture.md, decision 1): few calls, much data per call.
 *
 * Buffers given as `void *` are used only during the call. Where the kernel keeps an address, use OwnedBuffer.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { WeftError } from '../base/errors.ts';

/** Memory that a call may read or write. */
export type Bytes = Uint8Array;
type Pointer = Bytes | null;

/** A bound function with koffi's second face, which runs the call on a thread of libuv's pool. */
export type AsyncCall<Args extends unknown[]> = (
  ...args: [...Args, (error: Error | null, result: number) => void]
) => void;

export type NativeFunction<Args extends unknown[], Result> = ((...args: Args) => Result) & {
  readonly async: AsyncCall<Args>;
};

interface Koffi {
  load(path: string): { func(prototype: string): NativeFunction<never[], unknown> };
  errno(value?: number): number;
  address(memory: ArrayBufferView): bigint;
}

/** The functions that Weft uses, in the order of the manual. */
export interface Libc {
  readonly _exit: NativeFunction<[number], never>;
  readonly accept4: NativeFunction<[number, Pointer, Pointer, number], number>;
  readonly bind: NativeFunction<[number, Bytes, number], number>;
  readonly close: NativeFunction<[number], number>;
  readonly connect: NativeFunction<[number, Bytes, number], number>;
  readonly epoll_create1: NativeFunction<[number], number>;
  readonly epoll_ctl: NativeFunction<[number, number, number, Pointer], number>;
  readonly epoll_wait: NativeFunction<[number, Bytes, number, number], number>;
  readonly eventfd: NativeFunction<[number, number], number>;
  readonly execve: NativeFunction<[string, readonly (string | null)[], readonly (string | null)[]], number>;
  readonly fcntl: NativeFunction<[number, number, number], number>;
  /** syscall(2) with the number of finit_module(2), which the C library has no function for. */
  readonly finitModule: NativeFunction<[number, number, string, number], number>;
  readonly flock: NativeFunction<[number, number], number>;
  readonly getsockname: NativeFunction<[number, Bytes, Bytes], number>;
  readonly getsockopt: NativeFunction<[number, number, number, Bytes, Bytes], number>;
  readonly if_indextoname: NativeFunction<[number, Bytes], unknown>;
  readonly if_nametoindex: NativeFunction<[string], number>;
  readonly ioctl: NativeFunction<[number, number, Bytes], number>;
  /** ioctl(2) whose argument is a number. */
  readonly ioctlNumber: NativeFunction<[number, number, number], number>;
  readonly listen: NativeFunction<[number, number], number>;
  readonly mount: NativeFunction<[string, string, string | null, number, string | null], number>;
  readonly open: NativeFunction<[string, number, number], number>;
  readonly pipe2: NativeFunction<[Bytes, number], number>;
  readonly poll: NativeFunction<[Bytes, number, number], number>;
  readonly read: NativeFunction<[number, Bytes, number], number>;
  readonly reboot: NativeFunction<[number], number>;
  readonly recv: NativeFunction<[number, Bytes, number, number], number>;
  readonly recvfrom: NativeFunction<[number, Bytes, number, number, Pointer, Pointer], number>;
  readonly recvmsg: NativeFunction<[number, Bytes, number], number>;
  readonly send: NativeFunction<[number, Bytes, number, number], number>;
  readonly sendmsg: NativeFunction<[number, Bytes, number], number>;
  readonly sendto: NativeFunction<[number, Bytes, number, number, Pointer, number], number>;
  readonly setns: NativeFunction<[number, number], number>;
  readonly setrlimit: NativeFunction<[number, Bytes], number>;
  readonly setsockopt: NativeFunction<[number, number, number, Pointer, number], number>;
  readonly shutdown: NativeFunction<[number, number], number>;
  readonly signal: NativeFunction<[number, number], number>;
  readonly socket: NativeFunction<[number, number, number], number>;
  readonly socketpair: NativeFunction<[number, number, number, Bytes], number>;
  readonly splice: NativeFunction<[number, Pointer, number, Pointer, number, number], number>;
  readonly strerror: NativeFunction<[number], string>;
  readonly umount2: NativeFunction<[string, number], number>;
  readonly unshare: NativeFunction<[number], number>;
  readonly write: NativeFunction<[number, Bytes, number], number>;
  readonly writev: NativeFunction<[number, Bytes, number], number>;

  // The same functions with addresses as numbers (below 2^53), for memory whose address was taken once. The caller keeps
  // that memory referenced. As quick as with buffers, but any place in the memory can be given without a subarray.
  readonly readAt: NativeFunction<[number, number, number], number>;
  readonly readvAt: NativeFunction<[number, number, number], number>;
  readonly recvmmsgAt: NativeFunction<[number, number, number, number, number], number>;
  readonly recvmsgAt: NativeFunction<[number, number, number], number>;
  readonly sendmmsgAt: NativeFunction<[number, number, number, number], number>;
  readonly sendmsgAt: NativeFunction<[number, number, number], number>;
  readonly writeAt: NativeFunction<[number, number, number], number>;
  readonly writevAt: NativeFunction<[number, number, number], number>;
}

const PROTOTYPES: Readonly<Record<keyof Libc, string>> = {
  _exit: 'void _exit(int)',
  accept4: 'int accept4(int, void *, void *, int)',
  bind: 'int bind(int, void *, int)',
  close: 'int close(int)',
  connect: 'int connect(int, void *, int)',
  epoll_create1: 'int epoll_create1(int)',
  epoll_ctl: 'int epoll_ctl(int, int, int, void *)',
  epoll_wait: 'int epoll_wait(int, void *, int, int)',
  eventfd: 'int eventfd(uint32_t, int)',
  execve: 'int execve(const char *, const char **, const char **)',
  fcntl: 'int fcntl(int, int, long)',
  finitModule: 'long syscall(long, int, const char *, int)',
  flock: 'int flock(int, int)',
  getsockname: 'int getsockname(int, void *, void *)',
  getsockopt: 'int getsockopt(int, int, int, void *, void *)',
  if_indextoname: 'void *if_indextoname(uint32_t, void *)',
  if_nametoindex: 'uint32_t if_nametoindex(const char *)',
  ioctl: 'int ioctl(int, unsigned long, void *)',
  ioctlNumber: 'int ioctl(int, unsigned long, unsigned long)',
  listen: 'int listen(int, int)',
  mount: 'int mount(const char *, const char *, const char *, unsigned long, const char *)',
  open: 'int open(const char *, int, uint32_t)',
  pipe2: 'int pipe2(void *, int)',
  poll: 'int poll(void *, unsigned long, int)',
  read: 'long read(int, void *, size_t)',
  reboot: 'int reboot(int)',
  recv: 'long recv(int, void *, size_t, int)',
  recvfrom: 'long recvfrom(int, void *, size_t, int, void *, void *)',
  recvmsg: 'long recvmsg(int, void *, int)',
  send: 'long send(int, void *, size_t, int)',
  sendmsg: 'long sendmsg(int, void *, int)',
  sendto: 'long sendto(int, void *, size_t, int, void *, int)',
  setns: 'int setns(int, int)',
  setrlimit: 'int setrlimit(int, void *)',
  setsockopt: 'int setsockopt(int, int, int, void *, int)',
  shutdown: 'int shutdown(int, int)',
  signal: 'long signal(int, long)',
  socket: 'int socket(int, int, int)',
  socketpair: 'int socketpair(int, int, int, void *)',
  splice: 'long splice(int, void *, int, void *, size_t, uint32_t)',
  strerror: 'const char *strerror(int)',
  umount2: 'int umount2(const char *, int)',
  unshare: 'int unshare(int)',
  write: 'long write(int, void *, size_t)',
  writev: 'long writev(int, void *, int)',
  readAt: 'long read(int, uintptr_t, size_t)',
  readvAt: 'long readv(int, uintptr_t, int)',
  recvmmsgAt: 'int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)',
  recvmsgAt: 'long recvmsg(int, uintptr_t, int)',
  sendmmsgAt: 'int sendmmsg(int, uintptr_t, uint32_t, int)',
  sendmsgAt: 'long sendmsg(int, uintptr_t, int)',
  writeAt: 'long write(int, uintptr_t, size_t)',
  writevAt: 'long writev(int, uintptr_t, int)',
};

const LIBRARIES = ['libc.so.6', `libc.musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`];

/**
 * Says why this machine cannot give kernel access, or `undefined` when it can as far as is known without trying.
 */
export function platformProblem(): WeftError | undefined {
  if (process.platform !== 'linux') {
    return new WeftError(`kernel access needs Linux, and this is ${process.platform}`, {
      code: 'NOT_LINUX',
      hint: 'what works here: "weft --help", "weft status" of a running Weft; the proxy, endpoints, lab and doctor need Linux 5.6 or newer, on this machine for instance inside a virtual machine',
    });
  }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    return new WeftError(`kernel access is written for x64 and arm64, and this is ${process.arch}`, {
      code: 'BAD_ARCH',
      hint: 'run Weft on a 64-bit machine',
    });
  }
  return undefined;
}

let koffi: Koffi | undefined;

/**
 * The native half of koffi without its loader in JavaScript, which reads Node's own ELF header to find out which C
 * library there is and takes longer than the rest of a short command. What this uses of koffi is native anyway.
 */
function requireKoffi(): Koffi {
  const require = createRequire(import.meta.url);
  const musl = existsSync(`/lib/ld-musl-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so.1`);
  if (!musl) {
    try {
      const direct = require(
        `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
      ) as Koffi;
      if (typeof direct.load === 'function') return direct;
    } catch {
      // Another layout of packages: koffi's loader knows where else to look.
    }
  }
  return require('koffi') as Koffi;
}

function loadKoffi(): Koffi {
  if (koffi !== undefined) return koffi;
  const problem = platformProblem();
  if (problem !== undefined) throw problem;
  try {
    koffi = requireKoffi();
  } catch (cause) {
    throw new WeftError(
      `koffi, the library for system calls, could not be loaded: ${(cause as Error).message.split('\n')[0]}`,
      {
        code: 'NO_KOFFI',
        cause,
        hint: 'run "npm ci" again on this machine, so that the koffi package for its platform is installed (optional dependencies must not be left out)',
      },
    );
  }
  return koffi;
}

function loadLibrary(): ReturnType<Koffi['load']> {
  const api = loadKoffi();
  let cause: unknown;
  for (const name of LIBRARIES) {
    try {
      return api.load(name);
    } catch (error) {
      cause ??= error;
    }
  }
  throw new WeftError('the C library could not be loaded', {
    code: 'NO_LIBC',
    cause,
    hint: `tried ${LIBRARIES.join(', ')}`,
  });
}

let library: ReturnType<Koffi['load']> | undefined;

function bindLazily(): Libc {
  const target = {};
  for (const name of Object.keys(PROTOTYPES) as (keyof Libc)[]) {
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: true,
      get() {
        library ??= loadLibrary();
        const value = library.func(PROTOTYPES[name]);
        Object.defineProperty(target, name, { value, enumerable: true });
        return value;
      },
    });
  }
  return target as Libc;
}

export const libc: Libc = bindLazily();

/**
 * Ends the process without Node's own way out, which waits for compilations in the background that nobody needs any
 * more (measured: 15 ms of 100 after a batch, 2 of 65 after one command). Only for a program that has written all
 * its output with system calls, has nothing pending, and never touched `process.stdin`, `stdout` or `stderr`, whose
 * modes Node restores at its exit.
 * @returns without doing anything when the C library is not loaded, or when Node was started with options that want
 *   its exit (profiles, coverage)
 */
export function exitAtOnce(code: number): void {
  const watched =
    process.execArgv.length > 0 || 'NODE_OPTIONS' in process.env || 'NODE_V8_COVERAGE' in process.env;
  if (library !== undefined && !watched) libc._exit(code);
}

/** Binds every function now, for a thread in which that must not happen later (epoll-thread.ts). About 1 ms. */
export function bindAll(): void {
  for (const name of Object.keys(PROTOTYPES) as (keyof Libc)[]) void libc[name];
}

/** errno of the last call on this thread. Read it before any other native call. */
export function lastErrno(): number {
  return loadKoffi().errno();
}

/** The address of memory that the caller keeps referenced; see OwnedBuffer. */
export function addressOf(memory: ArrayBufferView): bigint {
  return loadKoffi().address(memory);
}
