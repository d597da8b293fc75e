/**
 * Both sides of the exchange against each other, in virtual time over a network that loses, duplicates, delays and
 * reorders.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRequest, DEFAULT_KEY, hex, pathRequest } from '../../../test/support/mpt-model.ts';
import { Network, type Fate } from '../../../test/support/mpt-network.ts';
import { keyOf } from './authentication.ts';
import { describeFailure, ExchangeFailure, PHASE_MS } from './exchange.ts';
import type { AuthType, ControlMessage } from './message.ts';
import { formatControlMessage } from './message.ts';
import type { Admission } from './responder.ts';

const key = DEFAULT_KEY;

const knows =
  (authType: AuthType) =>
  (message: ControlMessage): Admission<string> => ({
    kind: 'known',
    connection: 'conn4',
    owner: 'conn4',
    authType: message.command === 0xa3 ? 2 : authType,
    key,
  });

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 4, arbitrary: fc.nat(80).map((delayMs) => [delayMs]) },
  { weight: 3, arbitrary: fc.constant<Fate>([]) },
  { weight: 3, arbitrary: fc.array(fc.nat(2500), { minLength: 1, maxLength: 3 }) },
);
const fates = fc.array(fate, { maxLength: 60 });
const authType = fc.constantFrom<AuthType>(0, 1, 2);

describe('one exchange', () => {
  it.each([0, 1, 2] as const)('of type %d takes four datagrams and no resend', (type) => {
    const sent: string[] = [];
    const network = new Network({
      resolve: knows(type),
      fates: [],
      tap: (datagram) => sent.push(formatControlMessage(datagram).split(',')[0]!),
    });
    const id = network.submit({ request: pathRequest(type, 0x80), key, plain: true });
    network.run();
    expect(sent).toEqual([1, 2, 3, 4].map((round) => `path status round ${round}`));
    expect(network.outcomes.get(id)).toMatchObject({ code: 0, answered: true, peerIsWeft: false });
    expect(network.executed).toHaveLength(1);
    expect(hex(network.executed[0]!.message.body)).toBe(hex(pathRequest(type, 0x80).body));
  });

  it('sends six times, half a second apart, and gives up after three seconds in each phase', () => {
    const sentAt: number[] = [];
    const silent = new Network({
      resolve: knows(0),
      fates: Array.from({ length: 99 }, () => []),
      tap: (_datagram, _to, nowMs) => sentAt.push(nowMs),
    });
    const id = silent.submit({ request: pathRequest(0, 0), key });
    silent.run();
    expect(sentAt).toEqual([0, 500, 1000, 1500, 2000, 2500]);
    expect(silent.endedMs.get(id)).toBe(PHASE_MS);
    expect(silent.outcomes.get(id)).toMatchObject({
      code: ExchangeFailure.noAnswer,
      round: 2,
      answered: false,
    });

    const half = new Network({
      resolve: knows(1),
      fates: [[0], [0], ...Array.from({ length: 99 }, () => [])],
    });
    const other = half.submit({ request: pathRequest(1, 0), key });
    half.run();
    expect(half.outcomes.get(other)).toMatchObject({ code: ExchangeFailure.noAnswer, round: 4 });
    expect(half.endedMs.get(other)).toBe(PHASE_MS);
    expect(describeFailure(half.outcomes.get(other)!)).toBe('no answer from peer (round 4)');
  });

  it('with another key ends with no answer, and without state at the responder', () => {
    const network = new Network({ resolve: knows(2), fates: [] });
    const id = network.submit({ request: pathRequest(2, 0x80), key: keyOf('another key') });
    network.run();
    expect(network.outcomes.get(id)!.code).toBe(ExchangeFailure.noAnswer);
    expect(network.executed).toEqual([]);
    expect(network.responder.counters()).toMatchObject({ executed: 0, exchanges: 0 });
    expect(network.responder.counters().drops.get('not authentic')).toBe(6);
  });

  it('knows a Weft peer by its mark, also where the body says nothing', () => {
    const network = new Network({ resolve: knows(0), fates: [] });
    const id = network.submit({ request: pathRequest(0, 0), key });
    network.run();
    expect(network.outcomes.get(id)).toMatchObject({ code: 0, peerIsWeft: true });
    expect(network.executed).toMatchObject([
      { peerIsWeft: true, message: { mark: 0x57, exchangeNumber: 1 } },
    ]);
  });

  it('survives any network: completes with both sides agreeing, or ends in bounded time', () => {
    fc.assert(
      fc.property(authType, fc.boolean(), fates, fc.nat(400), (type, plain, list, workMs) => {
        const network = new Network({ resolve: knows(type), fates: list, workMs });
        const id = network.submit({ request: pathRequest(type, 0x80), key, plain });
        network.run();
        const outcome = network.outcomes.get(id)!;
        expect(network.endedMs.get(id)).toBeLessThanOrEqual(2 * PHASE_MS);
        expect([0, ExchangeFailure.noAnswer]).toContain(outcome.code);
        if (outcome.code === 0) expect(network.executed.length).toBeGreaterThan(0);
        if (type > 0) expect(network.executed.length).toBeLessThanOrEqual(1);
        for (const { message } of network.executed) expect(message.status).toBe(0x80);
        expect(network.desk.size).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it('completes whenever each phase brings one datagram to and fro in time', () => {
    const lost = fc.integer({ min: 0, max: 5 });
    fc.assert(
      fc.property(authType, lost, lost, fc.nat(499), (type, first, third, delayMs) => {
        const gone = (count: number) => Array.from({ length: count }, (): Fate => []);
        const list = [...gone(first), [delayMs], [0], ...gone(third), [delayMs], [0]];
        const network = new Network({ resolve: knows(type), fates: list });
        const id = network.submit({ request: pathRequest(type, 0), key });
        network.run();
        expect(network.outcomes.get(id)!.code).toBe(0);
      }),
    );
  });
});

describe('exchanges one after another', () => {
  it('with a token: each happens at most once, and the last word stands', () => {
    const wishes = fc.array(fc.constantFrom(0, 0x80), { minLength: 2, maxLength: 5 });
    const type = fc.constantFrom<AuthType>(1, 2);
    fc.assert(
      fc.property(type, wishes, fates, (authentication, statuses, list) => {
        const network = new Network({ resolve: knows(authentication), fates: list });
        const ids = statuses.map((status) =>
          network.submit({ request: pathRequest(authentication, status), key }),
        );
        network.run();
        const codes = ids.map((id) => network.outcomes.get(id)!.code);
        const done = codes.filter((code) => code === 0).length;
        expect(network.executed.length).toBeGreaterThanOrEqual(done);
        expect(network.executed.length).toBeLessThanOrEqual(statuses.length);
        if (codes.at(-1) === 0) expect(network.executed.at(-1)!.message.status).toBe(statuses.at(-1));
      }),
      { numRuns: 400 },
    );
  });

  it('about different connections run side by side', () => {
    const network = new Network({
      resolve: (message) => ({
        kind: 'known',
        connection: hex(message.ipLocal),
        owner: hex(message.ipLocal),
        authType: 1,
        key,
      }),
      fates: [],
      workMs: 100,
    });
    const ids = Array.from({ length: 100 }, (_, i) =>
      network.submit({
        request: Object.assign(pathRequest(1, 0x80), { ipLocal: new Uint8Array(16).fill(i) }),
        key,
      }),
    );
    network.run();
    expect(network.nowMs).toBe(100);
    expect(ids.every((id) => network.outcomes.get(id)!.code === 0)).toBe(true);
    expect(network.executed).toHaveLength(100);
  });
});

describe('create', () => {
  const text = new TextEncoder().encode(`;;;;\n${'name = conn\n'.repeat(40)}`);

  it('over any network makes one connection, also where the initiator sends no token', () => {
    const near = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: fc.nat(300).map((delayMs): Fate => [delayMs]) },
        { weight: 2, arbitrary: fc.constant<Fate>([]) },
        { weight: 2, arbitrary: fc.array(fc.nat(400), { minLength: 2, maxLength: 3 }) },
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(fc.boolean(), near, fc.nat(900), (withholdToken, list, workMs) => {
        const network = new Network({ resolve: knows(0), fates: list, workMs, answerBody: text });
        const id = network.submit({ request: { ...createRequest(text), withholdToken }, key, plain: true });
        network.run();
        expect(network.executed.length).toBeLessThanOrEqual(1);
        const { code, body } = network.outcomes.get(id)!;
        if (code === 0) expect(hex(body)).toBe(hex(text));
      }),
      { numRuns: 300 },
    );
  });

  it('answers an original no longer than it asked, in whole lines, and Weft at length', () => {
    const answerBody = new TextEncoder().encode(`${'x'.repeat(99)}\n`.repeat(20));
    for (const [plain, bytes] of [
      [true, 400],
      [false, 2000],
    ] as const) {
      const network = new Network({ resolve: knows(0), fates: [], answerBody });
      const id = network.submit({ request: createRequest(text), key, plain });
      network.run();
      expect(network.outcomes.get(id)!.body).toHaveLength(bytes);
    }
  });

  it('by Weft is held to its token', () => {
    const network = new Network({ resolve: knows(0), fates: [] });
    const id = network.submit({ request: { ...createRequest(text), withholdToken: true }, key });
    network.run();
    // The peer is Weft, so the token is returned all the same.
    expect(network.outcomes.get(id)!.code).toBe(0);
    expect(network.executed[0]!.message.token).not.toBe(0);
  });
});

describe('the desk', () => {
  it('begins the next exchange of a connection when one is cancelled, and refuses a flood', () => {
    const network = new Network({ resolve: knows(0), fates: Array.from({ length: 7 }, () => []) });
    const ids = [0x80, 0, 0x80].map((status) => network.submit({ request: pathRequest(0, status), key }));
    const outputs = network.desk.cancel(ids[0]!, 0);
    expect(outputs).toMatchObject([{ kind: 'send' }]);
    expect(network.desk.cancel(99, 0)).toEqual([]);
    expect(network.desk.size).toBe(2);
    const submit = () => network.submit({ request: pathRequest(0, 0), key });
    for (let i = network.desk.size; i < 1024; i++) submit();
    expect(submit).toThrow(/1024 others are under way/);
  });

  it('takes answers only from where the peer is', () => {
    const network = new Network({ resolve: knows(0), fates: [] });
    let forged: Uint8Array | undefined;
    const watching = new Network({
      resolve: knows(0),
      fates: [],
      tap: (each, to) => to === 'initiator' && (forged ??= each),
    });
    watching.submit({ request: pathRequest(0, 0), key });
    watching.run();
    network.submit({ request: pathRequest(0, 0), key, alsoFrom: ['10.2.2.3:60456'] });
    network.injectAnswer(forged!, '6.6.6.6:60456');
    expect(network.desk.strays).toBe(1);
    network.injectAnswer(forged!, '10.2.2.3:60456');
    network.injectAnswer(forged!.subarray(0, 20), '10.2.2.3:60456');
    expect(network.desk.strays).toBe(2);
    network.run();
    expect([...network.outcomes.values()]).toMatchObject([{ code: 0 }]);
  });
});
