/**
 * What somebody can do who sees every datagram and sends what he likes from any address, but does not have the key;
 * and what a flood costs.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRequest, DEFAULT_KEY, hex, mapped, pathRequest } from '../../../test/support/mpt-model.ts';
import { INITIATOR, Network, RESPONDER, type Fate } from '../../../test/support/mpt-network.ts';
import { keyOf, sealMessage, ZERO_KEY } from './authentication.ts';
import { ExchangeFailure, PHASE_MS } from './exchange.ts';
import { MAX_EXCHANGES, MAX_PER_OWNER, MEMORY_MS } from './exchange-table.ts';
import { emitControlMessage, parseControlMessage, type AuthType, type ControlMessage } from './message.ts';
import { nodeSha256 } from './node-crypto.ts';
import type { Admission } from './responder.ts';

const key = DEFAULT_KEY;

const knows =
  (authType: AuthType, owner: (message: ControlMessage) => string = () => 'conn4') =>
  (message: ControlMessage): Admission<string> => ({
    kind: 'known',
    connection: 'conn4',
    owner: owner(message),
    authType,
    key,
  });

/** Everything that a run without trouble sends, in order. */
function transcript(authType: AuthType, statuses: readonly number[]): Uint8Array[] {
  const seen: Uint8Array[] = [];
  const tap = (datagram: Uint8Array) => seen.push(datagram);
  const network = new Network({ resolve: knows(authType), fates: [], seed: 4711, tap });
  for (const status of statuses) {
    network.submit({ request: pathRequest(authType, status), key, plain: true });
    network.run();
  }
  return seen;
}

const changed = (bytes: Uint8Array, change: (message: ControlMessage) => Partial<ControlMessage>) => {
  const message = parseControlMessage(bytes) as ControlMessage;
  return emitControlMessage({ ...message, ...change(message) });
};

describe('an attacker without the key', () => {
  type Move =
    | { readonly kind: 'replay' | 'reflect'; readonly which: number; readonly from: string }
    | {
        readonly kind: 'flip';
        readonly which: number;
        readonly at: number;
        readonly value: number;
        readonly from: string;
      }
    | {
        readonly kind: 'graft';
        readonly head: number;
        readonly tail: number;
        readonly cut: number;
        readonly from: string;
      }
    | { readonly kind: 'forge'; readonly message: Partial<ControlMessage>; readonly from: string };

  const which = fc.nat(60);
  const from = fc.constantFrom(INITIATOR, RESPONDER, '6.6.6.6:60456');
  const move: fc.Arbitrary<Move> = fc.oneof(
    fc.record({ kind: fc.constantFrom('replay' as const, 'reflect' as const), which, from }),
    fc.record({ kind: fc.constant('flip' as const), which, at: fc.nat(120), value: fc.nat(255), from }),
    fc.record({ kind: fc.constant('graft' as const), head: which, tail: which, cut: fc.nat(110), from }),
    fc.record({
      kind: fc.constant('forge' as const),
      message: fc.record(
        {
          round: fc.constantFrom(0, 1, 2, 3, 4, 5),
          status: fc.constantFrom(0, 0x80),
          authType: fc.constantFrom(0, 1, 2),
          mark: fc.constantFrom(0, 0x57, 0x77),
        },
        { requiredKeys: [] },
      ),
      from,
    }),
  );
  const moves = fc.array(fc.tuple(fc.nat(15_000), move), { maxLength: 60 });
  const wishes = fc.array(fc.tuple(fc.nat(8000), fc.constantFrom(0, 0x80), fc.boolean()), { maxLength: 4 });
  const fate: fc.Arbitrary<Fate> = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Fate>([0]) },
    { weight: 1, arbitrary: fc.constant<Fate>([]) },
    { weight: 1, arbitrary: fc.array(fc.nat(4000), { minLength: 1, maxLength: 2 }) },
  );

  it('changes nothing under type 2, whatever he records, repeats, splices and invents', () => {
    fc.assert(
      fc.property(moves, wishes, fc.array(fate, { maxLength: 30 }), (attack, requests, fates) => {
        // An earlier day's exchanges, under the same key, are known to him as well.
        const seen = transcript(2, [0x80, 0]);
        const wished = new Set<string>();
        const network = new Network({
          resolve: knows(2),
          fates,
          tap: (datagram, to) => {
            seen.push(datagram);
            const message = parseControlMessage(datagram) as ControlMessage;
            if (to === 'responder' && message.round === 3) wished.add(hex(datagram));
          },
        });
        const ids: number[] = [];
        const marked = new Set<number>();
        for (const [atMs, status, plain] of requests) {
          network.at(atMs, () => {
            const id = network.submit({ request: pathRequest(2, status), key, plain });
            ids.push(id);
            if (!plain) marked.add(id);
          });
        }
        for (const [atMs, step] of attack) {
          network.at(atMs, () => {
            const pick = (index: number) => seen[index % seen.length]!;
            let datagram: Uint8Array;
            if (step.kind === 'forge') datagram = changed(pick(0), () => step.message);
            else if (step.kind === 'graft') {
              const head = pick(step.head).subarray(0, step.cut);
              datagram = Uint8Array.of(...head, ...pick(step.tail).subarray(step.cut));
            } else {
              datagram = pick(step.which).slice();
              if (step.kind === 'flip') datagram[step.at % datagram.length]! ^= step.value;
            }
            if (step.kind === 'reflect') network.injectAnswer(datagram, step.from);
            else network.inject(datagram, step.from);
          });
        }
        network.run();
        // Each executed request is one that the initiator sent just so, and none is executed twice.
        const executed = network.executed.map(({ message }) => {
          const bytes = emitControlMessage(message);
          sealMessage(bytes, key, nodeSha256);
          return hex(bytes);
        });
        for (const each of executed) expect(wished).toContain(each);
        expect(new Set(executed).size).toBe(executed.length);
        // What Weft takes for done has been done. (The test's numbers of exchanges are their ids.)
        for (const id of ids) {
          const { code } = network.outcomes.get(id)!;
          const did = network.executed.some(({ message }) => message.exchangeNumber === id);
          if (marked.has(id) && code === 0) expect(did).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it.each([1, 2] as const)('cannot repeat what he recorded under type %d', (authType) => {
    const seen = transcript(authType, [0x80]);
    const network = new Network({ resolve: knows(authType), fates: [] });
    for (const datagram of seen) network.inject(datagram, INITIATOR);
    expect(network.executed).toEqual([]);
    const { drops } = network.responder.counters();
    expect(drops.get(authType === 2 ? 'replayed' : 'wrong token')).toBe(1);
    // Nor while the exchange that he recorded is still remembered: he gets its answer once more, and that is all.
    const live = new Network({ resolve: knows(authType), fates: [], seed: 4711 });
    live.submit({ request: pathRequest(authType, 0x80), key, plain: true });
    live.run();
    for (const datagram of [seen[2]!, seen[0]!, seen[2]!]) live.inject(datagram, INITIATOR);
    expect(live.executed).toHaveLength(1);
    expect(live.responder.counters().repeated).toBe(2);
    live.nowMs += MEMORY_MS;
    live.inject(seen[2]!, INITIATOR);
    expect(live.executed).toHaveLength(1);
    expect(live.responder.counters().exchanges).toBe(0);
  });

  it.each([0, 1, 2] as const)('has no use of the round 0 that the original executes, type %d', (authType) => {
    const network = new Network({ resolve: knows(authType), fates: [] });
    const [first, , third] = transcript(authType, [0x80]);
    const zero = changed(third!, () => ({ round: 0 }));
    if (authType === 2) sealMessage(zero, key, nodeSha256);
    for (const datagram of [zero, first!, zero]) network.inject(datagram, INITIATOR);
    expect(network.executed).toEqual([]);
    expect(network.responder.counters().drops.get('round 0')).toBe(2);
  });

  it('cannot choose a weaker type than the connection has', () => {
    const network = new Network({ resolve: knows(2), fates: [] });
    for (const authType of [0, 1] as const) {
      const [first, , third] = transcript(authType, [0x80]);
      for (const datagram of [first!, third!]) network.inject(datagram, INITIATOR);
    }
    expect(network.responder.counters()).toMatchObject({ executed: 0, exchanges: 0 });
    expect(network.responder.counters().drops.get('wrong authentication type')).toBe(4);
  });

  it('cannot guess a token of type 1 for long', () => {
    const network = new Network({ resolve: knows(1), fates: [] });
    const [first, , third] = transcript(1, [0x80]);
    network.inject(first!, INITIATOR);
    for (let token = 1_000_000; token < 1_000_100; token++) {
      network.inject(
        changed(third!, () => ({ token })),
        INITIATOR,
      );
    }
    const counters = network.responder.counters();
    expect(counters).toMatchObject({ executed: 0, exchanges: 0 });
    expect(counters.drops.get('wrong token')).toBe(16);
  });

  it('cannot take part from another address than the one that asked', () => {
    const network = new Network({ resolve: knows(0), fates: [] });
    const [first, , third] = transcript(0, [0x80]);
    network.inject(first!, INITIATOR);
    network.inject(third!, '6.6.6.6:60456');
    network.inject(third!, '10.1.1.2:60457');
    expect(network.executed).toEqual([]);
    network.inject(third!, INITIATOR);
    expect(network.executed).toHaveLength(1);
  });

  it('cannot end an exchange by sending rubbish into it, only delay the bad news', () => {
    const forged = transcript(2, [0x80])[1]!;
    forged[20]! ^= 1;
    const network = new Network({ resolve: knows(2), fates: Array.from({ length: 99 }, () => []) });
    const id = network.submit({ request: pathRequest(2, 0x80), key, plain: true });
    network.injectAnswer(forged, RESPONDER);
    expect(network.outcomes.size).toBe(0);
    network.run();
    expect(network.outcomes.get(id)).toMatchObject({ code: ExchangeFailure.authentication, answered: false });
    expect(network.endedMs.get(id)).toBe(PHASE_MS);

    const early = transcript(0, [0x80])[3]!;
    const other = new Network({ resolve: knows(0), fates: Array.from({ length: 99 }, () => []) });
    const second = other.submit({ request: pathRequest(0, 0x80), key, plain: true });
    other.injectAnswer(early, RESPONDER);
    other.run();
    expect(other.outcomes.get(second)!.code).toBe(ExchangeFailure.wrongRound);
  });

  it('cannot strip the mark from a create of Weft to get around its token', () => {
    const seen: Uint8Array[] = [];
    const network = new Network({ resolve: knows(2), fates: [], tap: (datagram) => seen.push(datagram) });
    network.submit({ request: createRequest(new Uint8Array(40)), key });
    network.run();
    network.nowMs += MEMORY_MS;
    network.inject(seen[0]!, INITIATOR);
    for (const change of [{ token: 0 }, { token: 0, mark: 0, exchangeNumber: 0 }]) {
      const datagram = changed(seen[2]!, () => change);
      network.inject(datagram, INITIATOR);
      datagram.set(seen[2]!.subarray(8, 40), 8);
      network.inject(datagram, INITIATOR);
    }
    network.inject(seen[2]!, INITIATOR);
    expect(network.executed).toHaveLength(1);
    expect(network.responder.counters().drops.get('not authentic')).toBe(4);
    expect(network.responder.counters().drops.get('replayed')).toBe(1);
  });
});

describe('somebody with the key', () => {
  /** Round 3 for the round 2 that is in `seen` at `at`. */
  const thirdFor = (
    seen: readonly Uint8Array[],
    at: number,
    status: number,
    change: Partial<ControlMessage> = {},
  ) => {
    const template = parseControlMessage(transcript(2, [status])[2]!) as ControlMessage;
    const { token } = parseControlMessage(seen[at]!) as ControlMessage;
    const datagram = emitControlMessage({ ...template, token, ...change });
    sealMessage(datagram, key, nodeSha256);
    return datagram;
  };

  it('cannot have something happen that he gave up for something else', () => {
    const seen: Uint8Array[] = [];
    const network = new Network({ resolve: knows(2), fates: [], tap: (datagram) => seen.push(datagram) });
    network.inject(transcript(2, [0x80])[0]!, INITIATOR);
    network.inject(transcript(2, [0])[0]!, INITIATOR);
    network.inject(thirdFor(seen, 1, 0), INITIATOR);
    network.inject(thirdFor(seen, 0, 0x80), INITIATOR);
    expect(network.executed.map(({ message }) => message.status)).toEqual([0]);
    expect(network.responder.counters().drops.get('replayed')).toBe(1);
  });

  it('can use a token once', () => {
    const seen: Uint8Array[] = [];
    const network = new Network({ resolve: knows(2), fates: [], tap: (datagram) => seen.push(datagram) });
    network.inject(transcript(2, [0x80])[0]!, INITIATOR);
    network.inject(thirdFor(seen, 0, 0x80), INITIATOR);
    network.run();
    network.inject(thirdFor(seen, 0, 0x80, { body: new Uint8Array(32) }), INITIATOR);
    expect(network.executed).toHaveLength(1);
    expect(network.responder.counters().drops.get('replayed')).toBe(1);
  });

  it('cannot do without the token in a create that is marked as one of Weft', () => {
    const seen: Uint8Array[] = [];
    const network = new Network({ resolve: knows(2), fates: [], tap: (datagram) => seen.push(datagram) });
    network.submit({ request: createRequest(new Uint8Array(40)), key });
    network.run();
    const tokenless = changed(seen[2]!, () => ({ token: 0 }));
    sealMessage(tokenless, key, nodeSha256);
    network.nowMs += MEMORY_MS;
    network.inject(seen[0]!, INITIATOR);
    network.inject(tokenless, INITIATOR);
    expect(network.executed).toHaveLength(1);
  });

  it('cannot answer with the token of another exchange', () => {
    const answers = transcript(1, [0x80]);
    const lost = Array.from({ length: 99 }, (): Fate => []);
    const network = new Network({ resolve: knows(1), fates: lost });
    const id = network.submit({ request: pathRequest(1, 0x80), key, plain: true });
    network.injectAnswer(answers[1]!, RESPONDER);
    network.injectAnswer(
      changed(answers[3]!, () => ({ token: 5 })),
      RESPONDER,
    );
    network.run();
    expect(network.outcomes.get(id)).toMatchObject({ code: ExchangeFailure.authentication, round: 4 });
  });

  it('of a refusal can refuse a create, but not grant it', () => {
    for (const [status, code, answered] of [
      [5, 5, true],
      [0, ExchangeFailure.authentication, false],
    ] as const) {
      const seen: Uint8Array[] = [];
      const lost = Array.from({ length: 99 }, (): Fate => []);
      const network = new Network({ resolve: knows(2), fates: lost, tap: (datagram) => seen.push(datagram) });
      const request = createRequest(new Uint8Array(40));
      const id = network.submit({ request, key, refusalKeys: [ZERO_KEY], plain: true });
      for (const [round, byte1] of [
        [2, 0],
        [4, status],
      ] as const) {
        const answer = changed(seen[0]!, () => ({ round, status: byte1, body: new Uint8Array(1) }));
        sealMessage(answer, ZERO_KEY, nodeSha256);
        network.injectAnswer(answer, RESPONDER);
      }
      network.run();
      expect(network.outcomes.get(id)).toMatchObject({ code, answered });
    }
  });

  it('whose connection is unknown is told so where that needs no key, and costs nothing', () => {
    const network = new Network({ resolve: () => ({ kind: 'unknown' }), fates: [] });
    const codes = ([0, 1, 2] as const).map((authType) => {
      const id = network.submit({ request: pathRequest(authType, 0x80), key });
      network.run();
      return network.outcomes.get(id)!;
    });
    expect(codes).toMatchObject([
      { code: 4, answered: true, round: 2 },
      { code: 4, answered: true },
      { code: ExchangeFailure.noAnswer, answered: false },
    ]);
    expect(network.responder.counters()).toMatchObject({ executed: 0, exchanges: 0 });
  });

  it('who may not come in is not answered', () => {
    const network = new Network({ resolve: () => ({ kind: 'ignored' }), fates: [] });
    const id = network.submit({ request: createRequest(new Uint8Array(9)), key: keyOf('x') });
    network.run();
    expect(network.outcomes.get(id)!.code).toBe(ExchangeFailure.noAnswer);
    expect(network.responder.counters().drops.get('not admitted')).toBe(6);
  });
});

describe('a flood', () => {
  it('about one connection costs a bounded memory, and others nothing', () => {
    const network = new Network({ resolve: knows(0, (message) => hex(message.ipLocal)), fates: [] });
    const [first, , third] = transcript(0, [0x80]);
    const about = (datagram: Uint8Array, address: string) =>
      changed(datagram, () => ({ ipLocal: mapped(address) }));
    network.inject(about(first!, '10.0.0.9'), INITIATOR);
    for (let i = 0; i < 3000; i++) network.inject(first!, `10.9.${i >> 8}.${i & 255}:1`);
    expect(network.responder.counters()).toMatchObject({
      exchanges: MAX_PER_OWNER + 1,
      evicted: 3000 - MAX_PER_OWNER,
    });
    network.inject(about(third!, '10.0.0.9'), INITIATOR);
    expect(network.executed).toHaveLength(1);
  });

  it('about many connections costs a bounded memory', () => {
    const network = new Network({ resolve: knows(0, (message) => hex(message.ipLocal)), fates: [] });
    const [first] = transcript(0, [0x80]);
    for (let i = 0; i < MAX_EXCHANGES + 500; i++) {
      network.inject(
        changed(first!, () => ({ ipLocal: mapped(`10.7.${i >> 8}.${i & 255}`) })),
        INITIATOR,
      );
    }
    expect(network.responder.counters()).toMatchObject({ exchanges: MAX_EXCHANGES, evicted: 500 });
    network.nowMs += MEMORY_MS;
    network.inject(new Uint8Array(3), INITIATOR);
    expect(network.responder.counters().exchanges).toBe(0);
  });

  it('of requests that are never finished is refused', () => {
    const network = new Network({
      resolve: knows(0, (message) => hex(message.ipLocal)),
      fates: [],
      workMs: 1e9,
    });
    const [first, , third] = transcript(0, [0x80]);
    for (let i = 0; i < 300; i++) {
      const ipLocal = mapped(`10.7.${i >> 8}.${i & 255}`);
      for (const datagram of [first!, third!]) {
        network.inject(
          changed(datagram, () => ({ ipLocal })),
          INITIATOR,
        );
      }
    }
    expect(network.executed).toHaveLength(256);
    expect(network.responder.counters().drops.get('busy')).toBe(44);
  });

  it('of arbitrary bytes never throws', () => {
    const network = new Network({ resolve: knows(2), fates: [] });
    const nearly = fc
      .tuple(
        fc.constantFrom(0xa2, 0xa3),
        fc.nat(255),
        fc.constantFrom(0, 1, 2),
        fc.constantFrom(0, 4, 36),
        fc.uint8Array(),
      )
      .map(([command, status, type, length, rest]) => Uint8Array.of(command, status, type, length, ...rest));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 150 }), nearly), (bytes) => {
        network.inject(bytes, INITIATOR);
        network.injectAnswer(bytes, RESPONDER);
      }),
      { numRuns: 2000 },
    );
    expect(network.responder.counters()).toMatchObject({ executed: 0, exchanges: 0 });
  });
});
