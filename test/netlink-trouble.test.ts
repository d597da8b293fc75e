/**
 * netlink where things go wrong: tables that change while they are read, events that come faster than they are taken,
 * and handlers that close what calls them, or throw. In a namespace with a veth, d1 and d2.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WeftError } from '../src/base/index.ts';
import { PathManager } from '../src/mptcp/index.ts';
import { addNamespace, deleteNamespace, namespacePath } from '../src/native/index.ts';
import { parseAddress } from '../src/netlink/address.ts';
import {
  EventSocket,
  NetlinkConnection,
  NetlinkError,
  RouteNetlink,
  watchRoutes,
} from '../src/netlink/index.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE = 'weft-trouble';
const netns = namespacePath(NODE);
const RTM_GETADDR = 22;
const ADDRESS_GROUP = { id: 5, name: 'ipv4 address' };
const ROUTE = 0;

/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 5, timeout: 20_000 };

let route: RouteNetlink;
let linkIndex = 0;
const add = (address: string) => route.addAddress({ linkIndex, address, prefixLength: 16 });

beforeEach(() => {
  addNamespace(NODE);
  route = RouteNetlink.open({ netns });
  route.addLink({ name: 'd1', kind: 'veth', peer: { name: 'd2' } });
  linkIndex = route.linkByName('d1')!.index;
});
afterEach(() => {
  route.close();
  deleteNamespace(NODE);
});

describe('a table that another process changes while it is read', () => {
  let folder: string;
  let changer: ChildProcess;
  let commands: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-trouble-'));
    const fifo = join(folder, 'commands');
    execFileSync('mkfifo', [fifo]);
    commands = openSync(fifo, 'r+');
    changer = spawn('ip', ['-n', NODE, '-batch', '-'], { stdio: [commands, 'inherit', 'inherit'] });
  });
  afterEach(async () => {
    changer.kill('SIGKILL');
    await once(changer, 'exit');
    closeSync(commands);
    rmSync(folder, { recursive: true });
  });

  it('is read again until a reading is whole', () => {
    // Secondary addresses stand behind the primary one that comes and goes, so a reading that goes on at the wrong
    // place has one of them twice or leaves one out.
    const wanted = Array.from({ length: 1500 }, (_, i) => `10.1.${(i >> 8) + 1}.${i & 255}`);
    add('10.1.0.1');
    for (const address of wanted) add(address);
    const connection = new NetlinkConnection(ROUTE, { netns });
    const read = () => {
      const found = connection
        .dump(RTM_GETADDR, new Uint8Array(8), 'list addresses')
        .map(({ payload }) => parseAddress(payload)?.address);
      return found.filter((address) => address?.startsWith('10.1.'));
    };
    let whole = 0;
    for (let tries = 0; (connection.restartedDumps === 0 || whole < 20) && tries < 5000; tries++) {
      // Carried out while we read.
      writeSync(commands, 'addr add 10.2.0.1/16 dev d1\naddr del 10.2.0.1/16 dev d1\n');
      try {
        expect(read()).toEqual(['10.1.0.1', ...wanted]);
        whole++;
      } catch (error) {
        // The only other outcome: said to be impossible.
        expect(error).toMatchObject({ code: 'DUMP_INTERRUPTED' } satisfies Partial<WeftError>);
      }
    }
    expect(connection.restartedDumps).toBeGreaterThan(0);
    expect(whole).toBeGreaterThanOrEqual(20);
    connection.close();
  });
});

describe('a refusal', () => {
  const failureOf = (work: () => unknown): NetlinkError => {
    try {
      work();
    } catch (error) {
      return error as NetlinkError;
    }
    return expect.unreachable();
  };

  it('names the place in the request, when the kernel does', () => {
    const manager = PathManager.open({ netns });
    // Header 16, generic header 4: the only attribute begins at 20.
    expect(failureOf(() => manager.setLimits({ subflows: 1_000_000 }))).toMatchObject({
      errno: 22,
      kernelText: expect.stringMatching(/^limit greater than maximum/),
      kernelOffset: 20,
      inDump: false,
    });
    manager.close();
  });

  it('comes for a reading that asks for what the kernel would silently leave out (strict checking)', () => {
    const connection = new NetlinkConnection(ROUTE, { netns });
    const prefixLengthOf24 = Uint8Array.of(0, 24, 0, 0, 0, 0, 0, 0);
    expect(failureOf(() => connection.dump(RTM_GETADDR, prefixLengthOf24, 'list addresses'))).toMatchObject({
      code: 'EINVAL',
      kernelText: expect.stringMatching(/Invalid values in header for/),
    });
    // And the connection is as good as before.
    expect(connection.dump(RTM_GETADDR, new Uint8Array(8), 'list addresses')).toEqual([]);
    connection.close();
  });
});

describe('events', () => {
  it('that were lost are told, and what is read then is how it is', async () => {
    let known = new Set<string>();
    let overruns = 0;
    const watch = watchRoutes(
      (event) => {
        if (event.kind === 'address' && event.action === 'new') known.add(event.address.address);
        if (event.kind !== 'overrun') return;
        overruns++;
        known = new Set(route.addresses().map(({ address }) => address));
      },
      { netns, receiveBufferBytes: 4096 },
    );
    // One turn of the event loop: nothing is taken meanwhile.
    const wanted = Array.from({ length: 3000 }, (_, i) => `10.1.${(i >> 8) + 1}.${i & 255}`);
    for (const address of wanted) add(address);
    await expect.poll(() => wanted.every((address) => known.has(address)), SOON).toBe(true);
    expect(overruns).toBeGreaterThan(0);
    // And it goes on.
    add('10.1.200.1');
    await expect.poll(() => known.has('10.1.200.1'), SOON).toBe(true);
    watch.close();
  });

  it('come no more once a handler has closed the socket, nor is anything else called', async () => {
    const calls: string[] = [];
    const socket: EventSocket = new EventSocket(
      ROUTE,
      [ADDRESS_GROUP],
      {
        onMessage: () => {
          calls.push('message');
          socket.close();
          socket.close();
        },
        onOverrun: () => calls.push('overrun'),
        onDrained: () => calls.push('drained'),
      },
      { netns },
    );
    let later = 0;
    const witness = watchRoutes((event) => (later += event.kind === 'address' ? 1 : 0), { netns });
    add('10.1.1.1');
    add('10.1.1.2');
    await expect.poll(() => later, SOON).toBe(2);
    witness.close();
    expect(calls).toEqual(['message']);
  });

  it('come although a handler throws, which the process is told', () => {
    // In a process of its own, because what the process is told would end this one.
    const program = `
      const { RouteNetlink, watchRoutes } = await import(${JSON.stringify(join(root, 'dist/netlink/index.js'))});
      const seen = [];
      process.on('uncaughtException', (error) => seen.push(error.message));
      const watch = watchRoutes((event) => {
        if (event.kind !== 'address') return;
        if (event.address.address !== '10.1.1.3') throw new Error('no ' + event.address.address);
        watch.close();
      });
      const route = RouteNetlink.open();
      
      const linkIndex = route.linkByName('d1').index;
      for (const i of [1, 2, 3]) route.addAddress({ linkIndex, address: '10.1.1.' + i, prefixLength: 24 });
      route.close();
      process.on('exit', () => console.log(seen.join()));`;
    const result = spawnSync(
      'ip',
      ['netns', 'exec', NODE, process.execPath, '--input-type=module', '-e', program],
      {
        encoding: 'utf8',
        timeout: 20_000,
      },
    );
    expect(result).toMatchObject({ status: 0, stderr: '', stdout: 'no 10.1.1.1,no 10.1.1.2\n' });
  });
});
