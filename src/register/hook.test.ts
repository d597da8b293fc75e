import { describe, expect, it } from 'vitest';
import { AF_INET, AF_INET6, type Family } from '../base/index.ts';
import { hookTcpHandles, type SocketMaker } from './hook.ts';
import { tcpHandlePrototype, type TcpHandle } from './tcp-handle.ts';

const ENOTSOCK = -88;

/** A prototype as Node's, whose methods write down what they are called with. */
function makeHandle(options: { readonly fd?: number; readonly opens?: boolean } = {}) {
  const calls: string[] = [];
  let fd = options.fd ?? -1;
  const method =
    (name: string) =>
    (...args: unknown[]) => {
      calls.push([name, ...args].join(' '));
      return 0;
    };
  const prototype = {
    get fd() {
      return fd;
    },
    open(opened: number) {
      calls.push(`open ${opened}`);
      if (options.opens === false) return ENOTSOCK;
      fd = opened;
      return 0;
    },
    bind: method('bind'),
    bind6: method('bind6'),
    connect: method('connect'),
    connect6: method('connect6'),
  } satisfies TcpHandle;
  return { prototype: prototype as TcpHandle, calls };
}

function makeSockets(open: (family: Family) => ReturnType<SocketMaker['open']>) {
  const closed: number[] = [];
  const sockets: SocketMaker = {
    open,
    close: (fd) => closed.push(fd),
  };
  return { sockets, closed };
}

function makeReports() {
  const told: string[] = [];
  return {
    told,
    reports: {
      fellBack: (reason: string) => void told.push(reason),
      isFinal: (error: unknown) => (error as Error).message === 'final',
    },
  };
}

describe('a handle without a socket', () => {
  it.each([
    ['bind', AF_INET],
    ['connect', AF_INET],
    ['bind6', AF_INET6],
    ['connect6', AF_INET6],
  ] as const)('is given one of the right family before %s', (name, family) => {
    const { prototype, calls } = makeHandle();
    const families: Family[] = [];
    const { sockets } = makeSockets((asked) => {
      families.push(asked);
      return { fd: 7, protocol: 'mptcp' };
    });
    const { reports, told } = makeReports();
    expect(hookTcpHandles(prototype, sockets, reports)).toBe(true);
    expect(prototype[name]('a', 80)).toBe(0);
    expect(calls).toEqual(['open 7', `${name} a 80`]);
    expect(families).toEqual([family]);
    expect(told).toEqual([]);
  });

  it('keeps the one it was bound with', () => {
    const { prototype, calls } = makeHandle();
    const { sockets } = makeSockets(() => ({ fd: 7, protocol: 'mptcp' }));
    hookTcpHandles(prototype, sockets, makeReports().reports);
    prototype.bind('a', 1);
    prototype.connect('b', 2);
    expect(calls).toEqual(['open 7', 'bind a 1', 'connect b 2']);
  });

  it('takes a TCP one too, and says why once', () => {
    const { sockets } = makeSockets(() => ({ fd: 3, protocol: 'tcp', fallbackReason: 'no MPTCP' }));
    const { prototype, calls } = makeHandle({ opens: true });
    const { reports, told } = makeReports();
    hookTcpHandles(prototype, sockets, reports);
    prototype.connect('a', 1);
    const other = Object.create(prototype, { fd: { value: -1 } }) as TcpHandle;
    other.connect('b', 2);
    expect(calls).toEqual(['open 3', 'connect a 1', 'open 3', 'connect b 2']);
    expect(told).toEqual(['no MPTCP']);
  });
});

describe('what fails is left to Node', () => {
  it('a socket that the handle does not take is closed', () => {
    const { prototype, calls } = makeHandle({ opens: false });
    const { sockets, closed } = makeSockets(() => ({ fd: 7, protocol: 'mptcp' }));
    hookTcpHandles(prototype, sockets, makeReports().reports);
    prototype.connect('a', 1);
    expect(calls).toEqual(['open 7', 'connect a 1']);
    expect(closed).toEqual([7]);
  });

  it.each([
    ['passing', 2, []],
    ['final', 1, ['final']],
  ])('when there is no socket to be had: a %s failure', (message, attempts, expected) => {
    let asked = 0;
    const { prototype, calls } = makeHandle();
    const { sockets } = makeSockets(() => {
      asked++;
      throw new Error(message);
    });
    const { reports, told } = makeReports();
    hookTcpHandles(prototype, sockets, reports);
    prototype.connect('a', 1);
    prototype.bind6('b', 2);
    expect(calls).toEqual(['connect a 1', 'bind6 b 2']);
    expect(asked).toBe(attempts);
    expect(told).toEqual(expected);
  });
});

it('a handle with a socket is not touched', () => {
  const { prototype, calls } = makeHandle({ fd: 5 });
  const { sockets } = makeSockets(() => {
    throw new Error('asked');
  });
  hookTcpHandles(prototype, sockets, makeReports().reports);
  prototype.connect('a', 1);
  expect(calls).toEqual(['connect a 1']);
});

it('hooks once', () => {
  const { prototype } = makeHandle();
  const { sockets } = makeSockets(() => ({ fd: 7, protocol: 'mptcp' }));
  const { connect } = prototype;
  hookTcpHandles(prototype, sockets, makeReports().reports);
  const hooked = prototype.connect;
  expect(hooked).not.toBe(connect);
  expect(hookTcpHandles(prototype, sockets, makeReports().reports)).toBe(false);
  expect(prototype.connect).toBe(hooked);
});

it("finds Node's own prototype, and leaves nothing running", async () => {
  const handles = () => process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
  const before = handles();
  expect(tcpHandlePrototype()).toBe(tcpHandlePrototype());
  expect(Object.keys(tcpHandlePrototype() ?? {})).toContain('connect6');
  await expect.poll(handles).toBe(before);
});
