import { describe, expect, it } from 'vitest';
import {
  addressLimits,
  neededLimits,
  planLimits,
  planRestore,
  stillRaised,
  type LimitsState,
} from './limits-plan.ts';

const state = (subflows: number, addAddrAccepted: number, more: Partial<LimitsState> = {}): LimitsState => ({
  present: { subflows, addAddrAccepted },
  raised: {},
  handsOff: new Set(),
  ...more,
});

describe('neededLimits', () => {
  it.each([
    [0, 0, 0],
    [1, 0, 0],
    [2, 2, 4],
    [5, 5, 10],
  ])('%i endpoints: %i announced addresses, %i subflows', (endpoints, addAddrAccepted, subflows) => {
    expect(neededLimits(endpoints)).toEqual({ addAddrAccepted, subflows });
  });
});

describe('planLimits', () => {
  it('raises and remembers what was before', () => {
    expect(planLimits(neededLimits(2), state(2, 0))).toEqual({
      set: { addAddrAccepted: 2, subflows: 4 },
      raised: { addAddrAccepted: { former: 0, set: 2 }, subflows: { former: 2, set: 4 } },
      lost: [],
      lowers: false,
    });
  });

  it('never lowers, and does not own what was high enough', () => {
    expect(planLimits(neededLimits(2), state(8, 1))).toEqual({
      set: { addAddrAccepted: 2 },
      raised: { addAddrAccepted: { former: 1, set: 2 } },
      lost: [],
      lowers: false,
    });
  });

  it('raises again with the first value still remembered, and keeps it when less is needed', () => {
    const raised = { subflows: { former: 2, set: 4 }, addAddrAccepted: { former: 0, set: 2 } };
    const more = planLimits(neededLimits(3), state(4, 2, { raised }));
    expect(more.raised).toEqual({ subflows: { former: 2, set: 6 }, addAddrAccepted: { former: 0, set: 3 } });
    expect(planLimits(neededLimits(0), state(4, 2, { raised }))).toEqual({
      set: {},
      raised,
      lost: [],
      lowers: false,
    });
  });

  it('stays within what the kernel takes', () => {
    expect(planLimits(neededLimits(6), state(2, 0, { maximum: 8 })).set).toEqual({
      addAddrAccepted: 6,
      subflows: 8,
    });
    expect(planLimits(neededLimits(6), state(8, 6, { maximum: 8 })).set).toEqual({});
  });

  it('lets go of a limit that another program changed, and only of that', () => {
    const raised = { subflows: { former: 2, set: 4 }, addAddrAccepted: { former: 0, set: 2 } };
    const plan = planLimits(neededLimits(2), state(3, 2, { raised }));
    expect(plan).toEqual({
      set: {},
      raised: { addAddrAccepted: { former: 0, set: 2 } },
      lost: ['subflows'],
      lowers: false,
    });
    const after = planLimits(neededLimits(4), state(3, 2, { ...plan, handsOff: new Set(plan.lost) }));
    expect(after.set).toEqual({ addAddrAccepted: 4 });
  });
});

describe('addressLimits', () => {
  it('are two more than there are addresses, as addr_adv of mptcpd sets them', () => {
    expect(addressLimits(4, true)).toEqual({ subflows: 6, addAddrAccepted: 6 });
    expect(addressLimits(4, false)).toEqual({ subflows: 6, addAddrAccepted: 0 });
    expect(addressLimits(0, true)).toEqual({ subflows: 2, addAddrAccepted: 2 });
  });
});

describe('planLimits that follow', () => {
  const raised = { subflows: { former: 2, set: 6 }, addAddrAccepted: { former: 0, set: 6 } };

  it('go down with the need, to no less than before', () => {
    expect(planLimits(addressLimits(3, true), state(6, 6, { raised, follow: true }))).toEqual({
      set: { subflows: 5, addAddrAccepted: 5 },
      raised: { subflows: { former: 2, set: 5 }, addAddrAccepted: { former: 0, set: 5 } },
      lost: [],
      lowers: true,
    });
    expect(planLimits(addressLimits(0, false), state(6, 6, { raised, follow: true }))).toMatchObject({
      set: { subflows: 2, addAddrAccepted: 0 },
      raised: {},
    });
  });

  it('raise first, because the record is written before raising and after lowering', () => {
    const first = planLimits({ subflows: 7, addAddrAccepted: 0 }, state(6, 6, { raised, follow: true }));
    expect(first).toMatchObject({ set: { subflows: 7 }, lowers: false });
    const second = planLimits(
      { subflows: 7, addAddrAccepted: 0 },
      state(7, 6, { raised: first.raised, follow: true }),
    );
    expect(second).toMatchObject({
      set: { addAddrAccepted: 0 },
      raised: { subflows: { former: 2, set: 7 } },
      lowers: true,
    });
  });

  it('leave alone what Weft never raised or another program changed', () => {
    expect(planLimits(addressLimits(0, false), state(8, 8, { follow: true })).set).toEqual({});
    expect(planLimits(addressLimits(0, true), state(5, 6, { raised, follow: true }))).toMatchObject({
      set: { addAddrAccepted: 2 },
      lost: ['subflows'],
    });
  });

  it('stay at what the kernel takes at most', () => {
    const full = { subflows: { former: 2, set: 8 } };
    expect(
      planLimits(addressLimits(9, false), state(8, 0, { raised: full, follow: true, maximum: 8 })).set,
    ).toEqual({});
  });
});

describe('planRestore', () => {
  it('puts back what is as Weft set it, and leaves the rest', () => {
    const raised = { subflows: { former: 2, set: 4 }, addAddrAccepted: { former: 0, set: 2 } };
    expect(planRestore(state(4, 2, { raised }))).toEqual({ subflows: 2, addAddrAccepted: 0 });
    expect(planRestore(state(5, 2, { raised }))).toEqual({ addAddrAccepted: 0 });
    expect(planRestore(state(4, 2))).toEqual({});
  });
});

describe('stillRaised', () => {
  it('forgets what a killed process recorded and did not do, or had undone', () => {
    const raised = { subflows: { former: 2, set: 4 }, addAddrAccepted: { former: 0, set: 2 } };
    expect(stillRaised(state(2, 2, { raised }))).toEqual({ addAddrAccepted: { former: 0, set: 2 } });
    expect(stillRaised(state(7, 2, { raised }))).toEqual(raised);
  });
});
