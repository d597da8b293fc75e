import { describe, expect, it } from 'vitest';
import { neededLimits, planLimits, planRestore, stillRaised, type LimitsState } from './limits-plan.ts';

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
