import { describe, expect, it } from 'vitest';
import { readPolicy } from './policy-file.ts';
import { policyPlanner } from './policy-plan.ts';
import { preferenceOf, ruleFor } from './policy-rules.ts';
import type { ConnectionState, LiveSubflow, LocalAddress } from './subflow-plan.ts';

const rulesOf = (text: string) => readPolicy(text, new Map()).policy!.rules;

const LOCALS: LocalAddress[] = ['eth0', 'wlan0', 'docker0'].map((linkName, n) => ({
  address: `10.0.${n}.1`,
  linkIndex: n + 1,
  linkName,
  usable: true,
}));

const subflow = (n: number): LiveSubflow => ({
  local: { address: `10.0.${n}.1`, port: 1000 + n },
  remote: { address: '192.0.2.1', port: 443 },
  localId: n,
  remoteId: 0,
});

const connection = (more: Partial<ConnectionState> = {}): ConnectionState => ({
  token: 1,
  local: { address: '10.0.0.1', port: 1000 },
  remote: { address: '192.0.2.1', port: 443 },
  serverSide: false,
  denyJoinId0: false,
  peerAddresses: [],
  subflows: [subflow(0)],
  ...more,
});

const plan = (text: string, state = connection()) => policyPlanner(() => rulesOf(text))(state, LOCALS);

describe('which rule', () => {
  const rules = rulesOf(`
[[rule]]
name = "prefix"
to = ["192.0.2.0/25", "2001:db8::/32"]
port = "400-499"
[[rule]]
name = "user"
uid = [34, 35]
to = "198.51.100.0/24"
[[rule]]
name = "group"
cgroup = ["/user.slice/user-1000*", "/system.slice/backup.service"]
to = "198.51.100.0/24"
[[rule]]
name = "server"
side = "server"
port = 443
`);
  const nameOf = (state: ConnectionState) => {
    const rule = ruleFor(rules, state, state.owner);
    return typeof rule === 'object' ? rule.name : rule;
  };
  const to = (address: string, port = 443) => connection({ remote: { address, port } });

  it('depends on the other end and its port', () => {
    expect(nameOf(to('192.0.2.127'))).toBe('prefix');
    expect(nameOf(to('192.0.2.128'))).toBeUndefined();
    expect(nameOf(to('192.0.2.1', 500))).toBeUndefined();
    expect(nameOf(to('2001:db8:ffff::1'))).toBe('prefix');
    const accepted = { serverSide: true, local: { address: '10.0.0.1', port: 443 } };
    expect(nameOf(connection({ ...accepted, remote: { address: '203.0.113.1', port: 9 } }))).toBe('server');
  });

  it('depends on whose the socket is, once that is known', () => {
    const there = to('198.51.100.9');
    expect(nameOf(there)).toBe('unknown');
    expect(nameOf({ ...there, owner: {} })).toBeUndefined();
    expect(nameOf({ ...there, owner: { uid: 35 } })).toBe('user');
    expect(nameOf({ ...there, owner: { uid: 1, cgroup: '/system.slice/backup.service' } })).toBe('group');
    expect(nameOf({ ...there, owner: { cgroup: '/system.slice/backup.service/worker/1' } })).toBe('group');
    expect(nameOf({ ...there, owner: { cgroup: '/system.slice/backup.service2' } })).toBeUndefined();
    expect(nameOf({ ...there, owner: { cgroup: '/user.slice/user-1000.slice/x' } })).toBe('group');
    expect(nameOf({ ...there, owner: { uid: 34, cgroup: '/system.slice/backup.service' } })).toBe('user');
  });
});

it('prefers links in the order of the patterns', () => {
  const patterns = ['wlan*', '!wlan9', 'eth?'];
  expect(['wlan0', 'wlan9', 'eth1', 'docker0'].map((name) => preferenceOf(patterns, name))).toEqual([
    0,
    undefined,
    1,
    undefined,
  ]);
  expect(preferenceOf(['!docker*'], 'eth0')).toBe(0);
  expect(preferenceOf(['!docker*'], 'docker0')).toBeUndefined();
  expect(preferenceOf(undefined, 'docker0')).toBe(0);
});

describe('what a rule means', () => {
  it('subflows of the allowed links, the preferred first, backup where it says so', () => {
    const made = plan(
      '[[rule]]\ninterfaces = ["wlan*", "eth*"]\nbackup = "eth*"\nsubflows = 2\nmaximum = 5',
    )!;
    expect(made.wanted.map(({ local, count, backup }) => [local.linkName, count, backup])).toEqual([
      ['wlan0', 2, false],
      ['eth0', 2, true],
    ]);
    expect(made).toMatchObject({ maximum: 5, reestablish: true, announced: [] });
    expect([...made.backups.values()]).toEqual([true]);
    expect(made.refused.size).toBe(0);
  });

  it('refuses subflows on other links', () => {
    const text = '\n[[rule]]\nname = "wifi"\ninterfaces = "wlan0"';
    const made = plan(text, connection({ subflows: [subflow(0), subflow(1)] }))!;
    expect([...made.refused.values()]).toEqual([
      'closing the subflow from 10.0.0.1 to 192.0.2.1:443: rule "wifi" (line 2) does not allow eth0',
    ]);
  });

  it('creates from the side that began the connection, unless told otherwise', () => {
    const peerAddresses = [{ id: 1, address: '192.0.2.2', port: 443 }];
    const accepted = connection({ serverSide: true, peerAddresses });
    expect(plan('[[rule]]', accepted)!.wanted).toEqual([]);
    expect(plan('[[rule]]\ncreate = true', accepted)!.wanted).toHaveLength(3);
    expect(plan('[[rule]]\ncreate = false')!.wanted).toEqual([]);
    expect(plan('[[rule]]\nsubflows = 0')!.wanted).toEqual([]);
  });

  it('announces the allowed addresses but the first', () => {
    expect(plan('[[rule]]\nannounce = true\ninterfaces = "!docker0"')!.announced).toEqual(['10.0.1.1']);
  });

  it('leaves alone what no rule is for, and what stays on this host', () => {
    expect(plan('[[rule]]\nport = 80')).toBeUndefined();
    expect(plan('[[rule]]', connection({ remote: { address: '10.0.1.1', port: 443 } }))).toBeUndefined();
  });
});
