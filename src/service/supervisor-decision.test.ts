import { describe, expect, it } from 'vitest';
import { link, NO_HOST, twoUplinks, withUplink } from '../../test/support/model-host.ts';
import { findPaths, type HostView } from '../routing/index.ts';
import { decide, type Situation } from './supervisor-decision.ts';

const oneUplink = () => withUplink(NO_HOST, 2, 'c1', '10.1.0.2/24', '10.1.0.1');

const situation = (view: HostView, more: Partial<Situation> = {}): Situation => ({
  found: findPaths(view),
  privileged: true,
  engaged: false,
  ...more,
});

describe('decide', () => {
  it('works for all paths when there are two doors', () => {
    expect(decide(situation(twoUplinks()))).toMatchObject({
      mode: 'multipath',
      reason: 'connections can use c1, c2',
      engaged: true,
      paths: { length: 4 },
    });
  });

  it('leaves the host alone with one, and says what is missing', () => {
    const decision = decide(situation(oneUplink()));
    expect(decision).toMatchObject({ mode: 'single-path', engaged: false, paths: [] });
    expect(decision.reason).toBe(
      'only one way out, c1; nothing is changed on this host until there is a second one',
    );
    const dark = { ...twoUplinks(), links: [...twoUplinks().links.slice(0, 2), link(3, 'c2', { flags: 1 })] };
    expect(decide(situation(dark)).reason).toContain('c2 10.2.0.2: the link has no carrier');
    expect(decide(situation(NO_HOST)).reason).toContain('no link has a usable address');
  });

  it('goes on with the last path once there were two', () => {
    expect(decide(situation(oneUplink(), { engaged: true }))).toMatchObject({
      mode: 'single-path',
      engaged: true,
      paths: [{ address: '10.1.0.2' }],
    });
  });

  it('explains that families do not mix', () => {
    const mixed = withUplink(oneUplink(), 3, 'c2', '2001:db8::2/64', 'fe80::1');
    expect(decide(situation(mixed)).reason).toContain('IPv4 only by c1 and IPv6 only by c2');
  });

  it.each([
    [{ mptcpProblem: 'MPTCP is switched off' }, 'no-mptcp', 'switched off'],
    [{ privileged: false }, 'unprivileged', 'sudo npm start'],
    [{ vpn: link(9, 'wg0', { kind: 'wireguard' }) }, 'single-path', 'VPN "wg0"'],
  ] as const)('lets go of everything, also when it had begun: %o', (more, mode, reason) => {
    const decision = decide(situation(twoUplinks(), { ...more, engaged: true }));
    expect(decision).toMatchObject({ mode, engaged: false, paths: [] });
    expect(decision.reason).toContain(reason);
  });
});
