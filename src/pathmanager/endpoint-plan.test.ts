import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EndpointFlag, type Endpoint } from '../mptcp/index.ts';
import {
  additionSpec,
  isSame,
  nextId,
  planEndpoints,
  stillThere,
  type OwnedEndpoint,
  type WantedEndpoint,
} from './endpoint-plan.ts';

const { subflow, backup, signal, implicit, fullmesh } = EndpointFlag;

const want = (address: string, linkIndex: number, isBackup = false): WantedEndpoint => ({
  address,
  linkIndex,
  flags: subflow | (isBackup ? backup : 0),
});

const endpoint = (id: number, address: string, linkIndex: number, flags: number = subflow): Endpoint => ({
  id,
  address,
  linkIndex,
  flags,
  port: 0,
});

const record = ({ id, address, linkIndex, flags }: Endpoint): OwnedEndpoint => ({
  id,
  address,
  linkIndex,
  flags,
});

const plan = (
  wanted: readonly WantedEndpoint[],
  present: readonly Endpoint[],
  owned: readonly OwnedEndpoint[] = [],
  more: { capacity?: number; lastId?: number } = {},
) => planEndpoints(wanted, { present, owned, lastId: 0, ...more });

describe('planEndpoints', () => {
  it('makes one subflow endpoint for each path, bound to its link, backup where asked', () => {
    const { additions, deletions } = plan([want('10.1.0.2', 2), want('10.2.0.2', 3, true)], []);
    expect(deletions).toEqual([]);
    expect(additions.map(additionSpec)).toEqual([
      { address: '10.1.0.2', linkIndex: 2, flags: subflow, id: 1 },
      { address: '10.2.0.2', linkIndex: 3, flags: subflow | backup, id: 2 },
    ]);
  });

  it('keeps what is there and its own, and removes what is its own and not wanted', () => {
    const present = [endpoint(1, '10.1.0.2', 2), endpoint(2, '10.2.0.2', 3)];
    const result = plan([want('10.1.0.2', 2)], present, present.map(record));
    expect(result.additions).toEqual([]);
    expect(result.kept.map((item) => item.id)).toEqual([1]);
    expect(result.deletions.map((item) => item.id)).toEqual([2]);
  });

  it('respects an endpoint that another program made of the same address', () => {
    const theirs = endpoint(7, '10.1.0.2', 0, subflow | signal);
    const result = plan([want('10.1.0.2', 2)], [theirs]);
    expect(result).toMatchObject({ additions: [], deletions: [], uses: [{ state: 'foreign', id: 7 }] });
    expect(result.uses[0]?.why).toBeUndefined();
    expect(plan([], [theirs]).deletions).toEqual([]);
  });

  it.each([
    [endpoint(7, '10.1.0.2', 2, signal), 'no "subflow" flag'],
    [endpoint(7, '10.1.0.2', 9), 'another link'],
  ])('says when the other program’s endpoint is of no use', (theirs, why) => {
    expect(plan([want('10.1.0.2', 2)], [theirs]).uses[0]?.why).toContain(why);
  });

  it.each([
    ['id', { id: 9 }],
    ['link', { linkIndex: 9 }],
    ['address', { address: '10.1.0.9' }],
    ['kind', { flags: signal }],
  ])('does not take an endpoint for its own that differs from the record by its %s', (_, difference) => {
    const theirs = endpoint(1, '10.1.0.2', 2);
    const mine = { ...record(theirs), ...difference };
    expect(plan([], [theirs], [mine]).deletions).toEqual([]);
  });

  it('does not take one with a port for its own', () => {
    const theirs = { ...endpoint(1, '10.1.0.2', 2), port: 8080 };
    expect(isSame(record(theirs), theirs)).toBe(false);
  });

  it('knows its own although its backup or fullmesh flag was changed, and leaves the change alone', () => {
    const changed = endpoint(1, '10.1.0.2', 2, subflow | backup | fullmesh);
    const mine = { ...record(changed), flags: subflow };
    expect(plan([want('10.1.0.2', 2)], [changed], [mine])).toMatchObject({
      additions: [],
      deletions: [],
      uses: [{ state: 'own', backup: true }],
    });
    expect(plan([], [changed], [mine]).deletions).toEqual([mine]);
  });

  it('changes flags in place where the kernel can, and only when Weft wants others than it set', () => {
    const there = endpoint(1, '10.1.0.2', 2);
    const backupWanted = want('10.1.0.2', 2, true);
    expect(plan([backupWanted], [there], [record(there)])).toMatchObject({
      additions: [],
      deletions: [],
      changes: [{ record: record(there), flags: subflow | backup }],
    });
    // Done by an administrator already, or undone: the record decides.
    const theirs = endpoint(1, '10.1.0.2', 2, subflow | backup);
    expect(plan([want('10.1.0.2', 2)], [theirs], [record(there)]).changes).toEqual([]);
    const mine = { ...record(there), flags: subflow | backup };
    expect(plan([backupWanted], [there], [mine]).changes).toEqual([]);
  });

  it('makes an endpoint anew when flags change that the kernel cannot change', () => {
    const there = endpoint(1, '10.1.0.2', 2);
    const result = plan([{ ...want('10.1.0.2', 2), flags: signal | backup }], [there], [record(there)], {
      lastId: 1,
    });
    expect(result.deletions).toEqual([record(there)]);
    expect(result.additions).toMatchObject([{ id: 2, flags: signal | backup }]);
    expect(result.changes).toEqual([]);
  });

  it('takes any flags, and none', () => {
    const made = plan([{ ...want('10.1.0.2', 2), flags: 0 }], []);
    expect(made.additions.map(additionSpec)).toEqual([
      { address: '10.1.0.2', linkIndex: 2, flags: 0, id: 1 },
    ]);
  });

  it('says when the other program’s endpoint is not told to peers although it should be', () => {
    const theirs = endpoint(7, '10.1.0.2', 2);
    const wanted = { ...want('10.1.0.2', 2), flags: subflow | signal };
    expect(plan([wanted], [theirs]).uses[0]?.why).toContain('no "signal" flag');
    expect(plan([{ ...wanted, flags: 0 }], [theirs]).uses[0]?.why).toBeUndefined();
  });

  it('moves an endpoint whose address went to another link', () => {
    const old = endpoint(1, '10.1.0.2', 2);
    const result = plan([want('10.1.0.2', 5)], [old], [record(old)], { lastId: 1 });
    expect(result.deletions.map((item) => item.linkIndex)).toEqual([2]);
    // Until the old one is gone the address is taken; the new one has a new id.
    expect(result.additions).toMatchObject([{ linkIndex: 5, id: 2 }]);
  });

  it('turns an implicit endpoint into its own without naming an id', () => {
    const result = plan([want('10.1.0.2', 2)], [endpoint(4, '10.1.0.2', 0, implicit)]);
    expect(result.additions.map(additionSpec)).toEqual([
      { address: '10.1.0.2', linkIndex: 2, flags: subflow },
    ]);
    expect(result.additions[0]?.id).toBe(4);
  });

  it('gives the most important paths the free places, and the others the next free one', () => {
    const others = [1, 2, 3].map((id) => endpoint(id, `192.0.2.${id}`, 0, signal));
    const paths = [1, 2, 3, 4, 5, 6, 7].map((n) => want(`10.${n}.0.2`, n));
    const full = plan(paths, others, [], { capacity: 8, lastId: 3 });
    expect(full.additions.map((item) => item.address)).toEqual(paths.slice(0, 5).map((item) => item.address));
    expect(full.uses.slice(5).map((item) => item.state)).toEqual(['waiting', 'waiting']);
    const present = [
      ...others,
      ...full.additions.map((item) => endpoint(item.id, item.address, item.linkIndex)),
    ];
    const owned = full.additions.map(({ id, address, linkIndex, flags }) => ({
      id,
      address,
      linkIndex,
      flags,
    }));
    expect(plan(paths, present, owned, { capacity: 8 })).toMatchObject({ additions: [], deletions: [] });
    const freed = plan(paths, present.slice(1), owned, { capacity: 8 });
    expect(freed.additions.map((item) => item.address)).toEqual(['10.6.0.2']);
    // A more important path pushes the least important one out.
    const pushed = plan([want('10.9.0.2', 9), ...paths], present, owned, { capacity: 8 });
    expect(pushed.additions.map((item) => item.address)).toEqual(['10.9.0.2']);
    expect(pushed.deletions.map((item) => item.address)).toEqual(['10.5.0.2']);
  });

  it('counts ids up, around and past those in use', () => {
    expect(nextId(0, new Set())).toBe(1);
    expect(nextId(255, new Set([1, 2]))).toBe(3);
    expect(nextId(7, new Set([8, 9]))).toBe(10);
    expect(nextId(0, new Set(Array.from({ length: 255 }, (_, i) => i + 1)))).toBeUndefined();
  });
});

describe('whatever paths come and go and whatever others do', () => {
  const CAPACITY = 8;
  const addresses = Array.from({ length: 12 }, (_, i) => `10.${i + 1}.0.2`);

  type Step =
    | { readonly kind: 'want'; readonly wanted: readonly WantedEndpoint[] }
    | { readonly kind: 'foreign'; readonly index: number; readonly present: boolean; readonly flags: number }
    | { readonly kind: 'steal'; readonly index: number };

  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.uniqueArray(fc.nat(11), { maxLength: 12 }).map((list): Step => ({
      kind: 'want',
      wanted: list.map((n) => want(addresses[n] ?? '', n + 1, n % 5 === 0)),
    })),
    fc.record({
      kind: fc.constant('foreign' as const),
      index: fc.nat(11),
      present: fc.boolean(),
      flags: fc.constantFrom<number>(subflow, signal, implicit),
    }),
    fc.record({ kind: fc.constant('steal' as const), index: fc.nat(11) }),
  );

  it('own endpoints are exactly the wanted ones that fit, and nobody else’s is ever touched', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        let present: Endpoint[] = [];
        let owned: OwnedEndpoint[] = [];
        let wanted: readonly WantedEndpoint[] = [];
        let lastId = 0;
        let marker = 0;
        const foreignKeys = () =>
          present
            .filter((item) => !owned.some((mine) => isSame(mine, item)))
            .filter(
              (item) => !(item.flags & implicit && wanted.some((path) => path.address === item.address)),
            )
            .map((item) => JSON.stringify(item));

        for (const action of steps) {
          if (action.kind === 'want') ({ wanted } = action);
          const at = action.kind === 'want' ? '' : (addresses[action.index] ?? '');
          if (action.kind === 'steal') present = present.filter((item) => item.address !== at);
          if (action.kind === 'foreign') {
            const there = present.find((item) => item.address === at);
            const isMine = there !== undefined && owned.some((mine) => isSame(mine, there));
            if (!isMine) present = present.filter((item) => item.address !== at);
            if (action.present && !isMine && present.length < CAPACITY) {
              const id = nextId(100 + (marker++ % 50), new Set(present.map((item) => item.id)))!;
              present.push(endpoint(id, at, 77, action.flags));
            }
          }

          const before = foreignKeys();
          const hadImplicit = present.some((item) => item.flags === implicit);
          // One plan is enough, except that an exchanged implicit endpoint frees the place that it was counted for.
          for (let turn = 0; turn < 9; turn++) {
            owned = stillThere({ owned, present });
            const result = planEndpoints(wanted, { present, owned, capacity: CAPACITY, lastId });
            const settled = result.additions.length + result.deletions.length === 0;
            if (settled) break;
            expect(turn).toBeLessThan(hadImplicit ? 8 : 1);
            for (const mine of result.deletions) {
              const target = present.find((item) => item.id === mine.id)!;
              expect(isSame(mine, target)).toBe(true);
              present = present.filter((item) => item !== target);
            }
            for (const added of result.additions) {
              const { id } = added;
              const clash = present.find((item) => item.address === added.address);
              // As the kernel: one endpoint for an address, unless it is an implicit one that is replaced.
              if (clash !== undefined) expect(added.replacesImplicit && clash.flags === implicit).toBe(true);
              present = present.filter((item) => item !== clash);
              expect(present.some((item) => item.id === id)).toBe(false);
              expect(present.length).toBeLessThan(CAPACITY);
              present.push(endpoint(id, added.address, added.linkIndex, added.flags));
              if (!added.replacesImplicit) lastId = id;
            }
            owned = [
              ...result.kept,
              ...result.additions.map(({ id, address, linkIndex, flags }) => ({
                id,
                address,
                linkIndex,
                flags,
              })),
            ];
          }
          expect(foreignKeys().sort()).toEqual(before.sort());
          const served = wanted.filter((path) =>
            present.some((item) => item.address === path.address),
          ).length;
          expect(served === wanted.length || present.length === CAPACITY).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
