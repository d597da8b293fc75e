import { describe, expect, it } from 'vitest';
import { link, NO_HOST, twoUplinks, withUplink } from '../../test/support/model-host.ts';
import { findPaths, type HostView } from '../routing/index.ts';
import { decide } from './supervisor-decision.ts';
import {
  buildStatus,
  describeNews,
  IDLE_LOOK,
  type Look,
  type SupervisorActions,
} from './supervisor-status.ts';

const ACTIONS: SupervisorActions = {
  looks: 1,
  kernelMessages: 0,
  overruns: 0,
  routesAndRulesChanged: 0,
  endpointsAdded: 0,
  endpointsDeleted: 0,
  limitsRaised: 0,
  failures: 0,
  lastLookMs: 0,
};

function lookAt(view: HostView, privileged = true): Look {
  const found = findPaths(view);
  const decision = decide({ found, privileged, engaged: false });
  const usable = decision.paths.filter((path) => path.state === 'usable');
  return {
    ...IDLE_LOOK,
    decision,
    found: found.paths,
    ignoredLinks: found.ignoredLinks,
    links: view.links,
    tables: new Map(usable.map((path, i) => [path.address, { table: 17_800 + i, own: true }])),
    uses: usable.map((path, i) => ({ address: path.address, state: 'own', id: i + 1, backup: false })),
    endpoints: usable.map((path, i) => ({
      address: path.address,
      id: i + 1,
      linkIndex: path.linkIndex,
      flags: 2,
      port: 0,
    })),
    ownIds: new Set(usable.map((_, i) => i + 1)),
  };
}

const v4Only = () =>
  withUplink(
    withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1', 100),
    3,
    'c2',
    '10.2.0.2/24',
    '10.2.0.1',
    200,
  );

const statusOf = (view: HostView, privileged = true) => buildStatus(lookAt(view, privileged), ACTIONS);
const idle = buildStatus(IDLE_LOOK, ACTIONS);
const texts = (...args: Parameters<typeof describeNews>) => describeNews(...args).map((item) => item.text);

describe('buildStatus', () => {
  it('tells of each path what was made for it', () => {
    expect(statusOf(v4Only()).paths[1]).toEqual({
      link: 'c2',
      address: '10.2.0.2',
      family: 4,
      gateway: '10.2.0.1',
      table: 17_801,
      endpointId: 2,
      backup: false,
      state: 'active',
    });
    expect(statusOf(v4Only()).endpoints[1]).toEqual({
      id: 2,
      address: '10.2.0.2',
      port: 0,
      link: 'c2',
      flags: ['subflow'],
      ours: true,
    });
  });

  it('without privileges the host’s own choice is active, and the others say what they wait for', () => {
    const { paths } = statusOf(v4Only(), false);
    expect(paths.map((path) => [path.link, path.state])).toEqual([
      ['c1', 'active'],
      ['c2', 'waiting'],
    ]);
    expect(paths[1]?.why).toContain('may not change this host');
  });
});

describe('describeNews', () => {
  it('tells everything at the start, and then only what changed', () => {
    expect(texts(idle, statusOf(v4Only()))).toEqual([
      'path c1 10.1.0.2 via 10.1.0.1 is in use (table 17800, endpoint 1)',
      'path c2 10.2.0.2 via 10.2.0.1 is in use (table 17801, endpoint 2)',
      'multipath: connections can use c1, c2',
    ]);
    expect(texts(statusOf(v4Only()), statusOf(v4Only()))).toEqual([]);
  });

  it('tells that a path is down and why, and that one is gone', () => {
    const both = twoUplinks();
    const dark = { ...both, links: [...both.links.slice(0, 2), link(3, 'c2', { flags: 1 })] };
    expect(texts(statusOf(both), statusOf(dark))).toEqual(
      expect.arrayContaining([
        'path c2 10.2.0.2 is down: the link has no carrier (cable out, or no radio contact)',
      ]),
    );
    const news = texts(statusOf(v4Only()), statusOf(withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1')));
    expect(news).toContain('path c2 10.2.0.2 is gone');
    expect(news.at(-1)).toContain('single-path: only one way out, c1');
    const off = { ...both, links: [...both.links.slice(0, 2), link(3, 'c2', { flags: 0 })] };
    // The same lack for another reason is the path's news, not the mode's.
    expect(texts(statusOf(dark), statusOf(off)).some((text) => text.startsWith('single-path'))).toBe(false);
  });
});
