/**
 * The keeper in virtual time, against a model of the kernel: what it asks for happens (or is refused, or dies), and
 * comes back as events. The four plans are those of the shipped plugins.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionEvent, PathAddress } from '../plugin-api.ts';
import { fullmeshPlanner } from './fullmesh-plan.ts';
import type { KeeperCommand } from './keeper-commands.ts';
import { ndiffportsPlanner } from './ndiffports-plan.ts';
import { sspiPlanner } from './sspi-plan.ts';
import { SubflowKeeper } from './subflow-keeper.ts';
import type { LocalAddress, Planner } from './subflow-plan.ts';

const TIMES = { firstMs: 1000, longestMs: 60_000, stableMs: 10_000, random: () => 1 };

const local = (n: number, usable = true): LocalAddress => ({
  address: `10.0.${n}.1`,
  linkIndex: n + 1,
  linkName: `eth${n}`,
  usable,
});
const SERVER: PathAddress = { address: '10.9.0.1', port: 443 };
const SECOND: PathAddress = { address: '10.9.1.1', port: 443 };

const CONNECTION: ConnectionEvent = {
  token: 7,
  local: { address: '10.0.1.1', port: 5000 },
  remote: SERVER,
  serverSide: false,
  denyJoinId0: false,
  adopted: false,
};

interface ModelSubflow {
  readonly local: PathAddress;
  readonly remote: PathAddress;
  readonly localId: number;
  readonly remoteId: number;
}

const show = ({ local: from, remote }: { local: { address: string }; remote: PathAddress }) =>
  `${from.address}>${remote.address}`;

/** One host and its kernel. */
class Model {
  nowMs = 0;
  readonly keeper: SubflowKeeper;
  readonly subflows: ModelSubflow[] = [];
  readonly commands: KeeperCommand[] = [];
  locals: LocalAddress[];
  /** What becomes of a subflow that is begun. */
  fate: (command: KeeperCommand) => 'stands' | 'refused' | 'fails' | 'silent' = () => 'stands';
  #port = 40_000;

  constructor(planner: Planner, locals: LocalAddress[] = [local(1), local(2)]) {
    this.keeper = new SubflowKeeper(planner, TIMES);
    this.locals = locals;
    this.keeper.handleNetwork(locals);
  }

  connect(more: Partial<ConnectionEvent> = {}): this {
    const event = { ...CONNECTION, ...more };
    this.keeper.handleConnection(event, this.nowMs);
    this.subflows.push({ local: event.local, remote: event.remote, localId: 0, remoteId: 0 });
    this.keeper.handleEstablished(event.token);
    return this.settle();
  }

  network(locals: LocalAddress[]): this {
    this.locals = locals;
    this.keeper.handleNetwork(locals);
    return this.settle();
  }

  announced(id: number, peer: PathAddress): this {
    this.keeper.handlePeerAddress({ token: CONNECTION.token, remoteId: id, ...peer });
    return this.settle();
  }

  /** The subflow ends without anybody here wanting it. */
  die(subflow: ModelSubflow, resetReason?: number): this {
    this.#close(subflow, resetReason);
    return this.settle();
  }

  #close(subflow: ModelSubflow, resetReason?: number): void {
    const at = this.subflows.indexOf(subflow);
    if (at >= 0) this.subflows.splice(at, 1);
    this.keeper.handleSubflowClosed(
      {
        token: CONNECTION.token,
        ...subflow,
        backup: false,
        adopted: false,
        error: 0,
        ...(resetReason === undefined ? {} : { resetReason }),
      },
      this.nowMs,
    );
  }

  /** Carries out what the keeper wants until it wants nothing. */
  settle(): this {
    for (let round = 0; ; round++) {
      const commands = this.keeper.poll(this.nowMs);
      if (commands.length === 0) return this;
      if (round > 50) throw new Error('the keeper does not come to rest');
      this.commands.push(...commands);
      for (const command of commands) this.#carryOut(command);
    }
  }

  #carryOut(command: KeeperCommand): void {
    const { token } = command;
    if (command.kind === 'close' || command.kind === 'leave') {
      const doomed = this.subflows.filter((subflow) =>
        command.kind === 'leave'
          ? subflow.local.address === command.address
          : subflow.local.port === command.local.port && show(subflow) === show(command),
      );
      for (const subflow of doomed) this.#close(subflow);
    }
    if (command.kind !== 'create') return;
    const { remote, remoteId } = command;
    const subflow: ModelSubflow = {
      local: { address: command.local.address, port: this.#port++ },
      remote,
      localId: this.keeper.ids(token)!.takeId(command.local.address, false, command.local.linkIndex),
      remoteId,
    };
    const fate = this.fate(command);
    if (fate === 'refused') this.keeper.handleFailure(command, this.nowMs);
    if (fate === 'fails') this.#close(subflow);
    if (fate !== 'stands') return;
    this.subflows.push(subflow);
    this.keeper.handleSubflow({ token, ...subflow, backup: false, adopted: false }, this.nowMs);
  }

  /** Lets time pass, waking the keeper when it wants to be. */
  pass(durationMs: number): this {
    const endMs = this.nowMs + durationMs;
    for (let wakes = 0; ; wakes++) {
      const wakeMs = this.keeper.nextWakeMs;
      if (wakeMs > endMs) break;
      if (wakes > 1000) throw new Error('the keeper wakes without end');
      this.nowMs = Math.max(this.nowMs, wakeMs);
      this.settle();
    }
    this.nowMs = endMs;
    return this;
  }

  get pairs(): string[] {
    return this.subflows.map(show).sort();
  }

  count(kind: KeeperCommand['kind']): number {
    return this.commands.filter((command) => command.kind === kind).length;
  }
}

const fullmesh = fullmeshPlanner({ server: false, maximum: 8 });
const MESH = ['10.0.1.1>10.9.0.1', '10.0.1.1>10.9.1.1', '10.0.2.1>10.9.0.1', '10.0.2.1>10.9.1.1'];

describe('fullmesh', () => {
  it('joins every local address with every address of the peer', () => {
    const model = new Model(fullmesh).connect();
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1', '10.0.2.1>10.9.0.1']);
    expect(model.announced(3, SECOND).pairs).toEqual(MESH);
    expect(model.commands).toContainEqual({
      kind: 'create',
      token: 7,
      local: { address: '10.0.1.1', linkIndex: 2 },
      remote: SECOND,
      remoteId: 3,
      backup: false,
    });
    // The peer may announce it again, as it does until it is echoed, or under another id.
    expect(model.announced(3, SECOND).announced(4, SECOND).pairs).toEqual(MESH);
  });

  it('waits until the connection is established', () => {
    const model = new Model(fullmesh);
    model.keeper.handleConnection(CONNECTION, 0);
    expect(model.settle().commands).toEqual([]);
  });

  it('keeps to the family, and to usable addresses', () => {
    const six = { ...local(2), address: 'fd00::1' };
    const model = new Model(fullmesh, [local(1), six, local(3, false)]).connect();
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1']);
    expect(model.announced(1, { address: 'fd09::1', port: 443 }).pairs).toEqual([
      '10.0.1.1>10.9.0.1',
      'fd00::1>fd09::1',
    ]);
  });

  it('does not join the first address when the peer denies it', () => {
    const model = new Model(fullmesh).connect({ denyJoinId0: true });
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1']);
    expect(model.announced(1, SECOND).pairs).toEqual([
      '10.0.1.1>10.9.0.1',
      '10.0.1.1>10.9.1.1',
      '10.0.2.1>10.9.1.1',
    ]);
  });

  it('leaves accepted connections to the other end unless told otherwise', () => {
    expect(new Model(fullmesh).connect({ serverSide: true }).announced(1, SECOND).count('create')).toBe(0);
    const server = fullmeshPlanner({ server: true, maximum: 8 });
    const model = new Model(server).connect({ serverSide: true }).announced(1, SECOND);
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1', '10.0.1.1>10.9.1.1', '10.0.2.1>10.9.1.1']);
  });

  it('leaves connections within the host alone', () => {
    expect(new Model(fullmesh).connect({ remote: { address: '10.0.2.1', port: 1 } }).count('create')).toBe(0);
  });

  it('stops at the maximum, each local address first', () => {
    const model = new Model(fullmeshPlanner({ server: false, maximum: 3 })).announced(1, SECOND).connect();
    expect(model.announced(1, SECOND).pairs).toEqual([
      '10.0.1.1>10.9.0.1',
      '10.0.1.1>10.9.1.1',
      '10.0.2.1>10.9.0.1',
    ]);
  });

  it('makes a dead subflow anew, later with each failure, at once never', () => {
    const model = new Model(fullmesh).connect();
    const attempts: number[] = [];
    model.fate = () => {
      attempts.push(model.nowMs);
      return 'fails';
    };
    model.pass(20_000);
    model.die(model.subflows[1]!);
    expect(attempts).toEqual([]);
    model.pass(200_000);
    expect(attempts.map((at) => at - 20_000)).toEqual([
      1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000, 183_000,
    ]);
    model.fate = () => 'stands';
    expect(model.pass(60_000).pairs).toHaveLength(2);
  });

  it('begins the row of failures anew only after a subflow has stood for a while', () => {
    const model = new Model(fullmesh).connect();
    const delays: number[] = [];
    for (const stoodMs of [0, 0, 9999, 10_000, 0]) {
      model.pass(stoodMs);
      const diedMs = model.nowMs;
      model.die(model.subflows[1]!);
      while (model.subflows.length < 2) model.pass(1);
      delays.push(model.nowMs - diedMs);
    }
    expect(delays).toEqual([1000, 2000, 4000, 1000, 2000]);
  });

  it('waits longest when the peer prohibits a subflow', () => {
    const model = new Model(fullmesh).connect();
    model.die(model.subflows[1]!, 3);
    expect(model.pass(59_999).subflows).toHaveLength(1);
    expect(model.pass(1).subflows).toHaveLength(2);
  });

  it('gives up when the connection ends', () => {
    const model = new Model(fullmesh).connect();
    model.die(model.subflows[1]!);
    model.keeper.handleClosed(7);
    expect(model.keeper.connectionCount).toBe(0);
    expect(model.settle().keeper.nextWakeMs).toBe(Infinity);
    expect(model.pass(100_000).count('create')).toBe(1);
  });

  it('begins nothing twice while the outcome is not known, and again when it is never told', () => {
    const model = new Model(fullmesh);
    model.fate = () => 'silent';
    model.connect().announced(1, SECOND).network(model.locals);
    expect(model.count('create')).toBe(3);
    expect(model.pass(180_000).count('create')).toBe(3);
    expect(model.pass(1000).count('create')).toBe(6);
  });

  it('follows addresses that come and go', () => {
    const model = new Model(fullmesh).connect().network([local(1), local(2), local(3)]);
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1', '10.0.2.1>10.9.0.1', '10.0.3.1>10.9.0.1']);
    model.network([local(1), local(3)]);
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1', '10.0.3.1>10.9.0.1']);
    expect(model.commands.at(-1)).toMatchObject({ kind: 'leave', address: '10.0.2.1', localIds: [3] });
    // At once: an address that was away is a new chance.
    expect(model.network([local(1), local(2), local(3)]).pairs).toHaveLength(3);
  });

  it('keeps the subflow of a lost address as long as it is the last one', () => {
    const model = new Model(fullmesh, [local(1)]).connect().network([]);
    expect(model.count('leave')).toBe(0);
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1']);
    model.network([local(2)]);
    expect(model.pairs).toEqual(['10.0.2.1>10.9.0.1']);
    expect(model.commands.map((command) => command.kind)).toEqual(['create', 'leave']);
  });

  it('of an adopted connection counts what is told to stand', () => {
    const model = new Model(fullmesh);
    model.keeper.handleConnection({ ...CONNECTION, adopted: true }, 0);
    model.keeper.handleSubflow(
      {
        token: 7,
        local: { address: '10.0.2.1', port: 9 },
        remote: SERVER,
        localId: 9,
        remoteId: 0,
        backup: false,
        adopted: true,
      },
      0,
    );
    model.keeper.handleEstablished(7);
    model.settle();
    expect(model.commands.map((command) => command.kind === 'create' && command.local.address)).toEqual([
      '10.0.1.1',
    ]);
  });
});

describe('ndiffports', () => {
  it('makes as many as are asked for between the first two addresses, and again', () => {
    const model = new Model(ndiffportsPlanner({ subflows: 3, server: false })).connect().announced(1, SECOND);
    expect(model.pairs).toEqual(['10.0.1.1>10.9.0.1', '10.0.1.1>10.9.0.1', '10.0.1.1>10.9.0.1']);
    expect(model.subflows.every((subflow) => subflow.localId === 0)).toBe(true);
    model.die(model.subflows[0]!);
    expect(model.subflows).toHaveLength(2);
    expect(model.pass(1000).subflows).toHaveLength(3);
  });

  it('does nothing where the peer denies it, or accepted here', () => {
    const planner = ndiffportsPlanner({ subflows: 3, server: false });
    expect(new Model(planner).connect({ denyJoinId0: true }).commands).toEqual([]);
    expect(new Model(planner).connect({ serverSide: true }).commands).toEqual([]);
  });
});

describe('sspi', () => {
  it('announces the addresses of the other interfaces, once', () => {
    const other = { ...local(1), address: '10.0.1.99' };
    const model = new Model(sspiPlanner, [local(1), other, local(2), local(3)]).connect({ serverSide: true });
    const announcement = { kind: 'announce', token: 7, listen: false };
    expect(model.commands).toEqual([
      { ...announcement, address: '10.0.2.1' },
      { ...announcement, address: '10.0.3.1' },
    ]);
    expect(model.network(model.locals).count('announce')).toBe(2);
    expect(model.network([local(1), local(3), local(4)]).commands.slice(2)).toEqual([
      { kind: 'leave', token: 7, address: '10.0.2.1', localIds: [], subflows: [] },
      { ...announcement, address: '10.0.4.1' },
    ]);
  });

  it('closes a second subflow on an interface, and only that', () => {
    const model = new Model(sspiPlanner).connect();
    const subflow = (n: number, port: number) => ({
      token: 7,
      local: { address: `10.0.${n}.1`, port },
      remote: SERVER,
      localId: n,
      remoteId: 0,
      backup: false,
      adopted: false,
    });
    model.keeper.handleSubflow(subflow(2, 1), 0);
    expect(model.settle().count('close')).toBe(0);
    model.keeper.handleSubflow(subflow(2, 2), 0);
    model.keeper.handleSubflow(subflow(1, 3), 0);
    expect(model.settle().commands.filter((command) => command.kind === 'close')).toEqual([
      {
        kind: 'close',
        token: 7,
        local: { address: '10.0.2.1', port: 2 },
        remote: SERVER,
        why: 'Subflow already exists on network interface (3). Closing new subflow.',
      },
      {
        kind: 'close',
        token: 7,
        local: { address: '10.0.1.1', port: 3 },
        remote: SERVER,
        why: 'Subflow already exists on network interface (2). Closing new subflow.',
      },
    ]);
  });

  it('tries an announcement again that the kernel refused', () => {
    const model = new Model(sspiPlanner).connect();
    model.keeper.handleFailure(model.commands[0]!, 0);
    expect(model.settle().count('announce')).toBe(1);
    expect(model.pass(1000).count('announce')).toBe(2);
  });
});

it('names each local address by an id of its own, and by the same one for as long as the connection lasts', () => {
  const { keeper } = new Model(fullmesh);
  keeper.handleConnection({ ...CONNECTION, adopted: true }, 0);
  const ends = { local: { address: '10.0.2.1', port: 9 }, remote: SERVER };
  const subflow = { token: 7, ...ends, localId: 1, remoteId: 0, backup: false, adopted: true };
  keeper.handleSubflow(subflow, 0);
  keeper.handleSubflowClosed({ ...subflow, error: 0 }, 0);
  const ids = keeper.ids(7)!;
  ids.learnId('10.0.9.1', 0, 9);
  ids.learnId('10.0.9.1', 7777, 10);
  expect(ids.takeId('10.0.1.1', false, 5)).toBe(0);
  expect(ids.takeId('10.0.2.1', false, 5)).toBe(1);
  expect(ids.takeId('10.0.3.1', false, 1)).toBe(255);
  expect(ids.takeId('10.0.4.1', false, 10)).toBe(254);
  expect(ids.takeId('10.0.5.1', false, 2)).toBe(2);
  expect(ids.takeId('10.0.3.1', false, 9)).toBe(255);
  expect(ids.takeId('10.0.9.1', false, 3)).toBe(9);
  // With a port it is another address for the kernel.
  expect(ids.takeId('10.0.5.1', true, 2)).toBe(253);
  keeper.handleSubflow({ ...subflow, local: { address: '10.0.6.1', port: 3 }, localId: 253 }, 0);
  expect(ids.takeId('10.0.6.1', false, 6)).toBe(6);
  expect(keeper.ids(8)).toBeUndefined();
});

it('does not give the commands of thousands of connections at once', () => {
  const keeper = new SubflowKeeper(fullmesh, TIMES);
  keeper.handleNetwork([local(1)]);
  for (let token = 1; token <= 1000; token++) {
    keeper.handleConnection({ ...CONNECTION, token }, 0);
    keeper.handleEstablished(token);
  }
  expect(keeper.poll(0)).toEqual([]);
  keeper.handleNetwork([local(1), local(2)]);
  let all = 0;
  for (;;) {
    const { length } = keeper.poll(0);
    if (length === 0) break;
    expect(length).toBeLessThan(70);
    all += length;
  }
  expect(all).toBe(1000);
});

describe('whatever happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('die' as const), n: fc.nat(9) }),
    fc.record({ kind: fc.constant('peer' as const), n: fc.nat(3) }),
    fc.record({ kind: fc.constant('unpeer' as const), n: fc.nat(3) }),
    fc.record({ kind: fc.constant('locals' as const), n: fc.nat(15) }),
    fc.record({ kind: fc.constant('fate' as const), n: fc.nat(3) }),
    fc.record({ kind: fc.constant('pass' as const), n: fc.nat(40_000) }),
  );
  const fates = ['stands', 'refused', 'fails', 'silent'] as const;
  const localsOf = (bits: number) => [1, 2, 3, 4].filter((n) => bits & (1 << (n - 1))).map((n) => local(n));

  it('nothing is made twice or above the maximum, and in the end there is what is wanted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const model = new Model(fullmeshPlanner({ server: false, maximum: 6 })).connect();
        const check = () => {
          expect(new Set(model.pairs).size).toBe(model.pairs.length);
          expect(model.subflows.length).toBeLessThanOrEqual(6);
        };
        for (const { kind, n } of steps) {
          if (kind === 'die' && model.subflows[n] !== undefined) model.die(model.subflows[n]);
          if (kind === 'peer') model.announced(n + 1, { address: `10.9.${n + 1}.1`, port: 443 });
          if (kind === 'unpeer') model.keeper.handlePeerAddressRemoved(7, n + 1);
          if (kind === 'locals') model.network(localsOf(n));
          if (kind === 'fate') model.fate = () => fates[n]!;
          if (kind === 'pass') model.pass(n);
          check();
        }
        model.fate = () => 'stands';
        model.network(localsOf(3)).pass(400_000);
        check();
        const all = new Set([0, ...model.keeper.connection(7)!.peerAddresses.map((peer) => peer.id)]);
        const wanted = [...all].flatMap((n) => [`10.0.1.1>10.9.${n}.1`, `10.0.2.1>10.9.${n}.1`]);
        const present = wanted.filter((pair) => model.pairs.includes(pair));
        // Subflows to addresses that the peer withdrew stand as long as the peer leaves them.
        if (model.subflows.length < 6) expect(present).toHaveLength(wanted.length);
      }),
      { numRuns: 500 },
    );
  });
});
