import { describe, expect, it } from 'vitest';
import { redirectTable, TRANSPARENT_MARK } from './redirect-table.ts';

const PORTS = [
  { family: 'ipv4', port: 40_001 },
  { family: 'ipv6', port: 40_002 },
] as const;

const chain = (options: Partial<Parameters<typeof redirectTable>[0]>, name: string) =>
  redirectTable({ ports: PORTS, fromLinks: [], rejectQuic: false, ...options }).chains.find(
    (candidate) => candidate.name === name,
  );

describe('the table of the transparent front', () => {
  it('lets the proxy’s own connections go before anything else', () => {
    expect(chain({}, 'output')?.rules[0]).toEqual({
      when: [{ match: 'mark', is: TRANSPARENT_MARK }],
      verdict: { action: 'return' },
    });
  });

  it('redirects nothing but what opens a TCP connection, each family to its own port', () => {
    for (const name of ['output', 'prerouting']) {
      const rules = chain({ fromLinks: ['lan0', 'lan1'] }, name)?.rules ?? [];
      const redirects = rules.filter(({ verdict }) => verdict.action === 'redirect');
      expect(redirects).toHaveLength(name === 'output' ? 2 : 4);
      for (const { when, verdict } of redirects) {
        const family = when.find((match) => match.match === 'family')?.is;
        expect(verdict).toEqual({ action: 'redirect', port: family === 'ipv4' ? 40_001 : 40_002 });
        expect(when).toContainEqual({ match: 'tcpOpening' });
        // What is left alone comes first.
        expect(rules.indexOf(redirects[0]!)).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('leaves alone what it is told to, of this host only', () => {
    const leftAlone = [{ address: '10.9.8.2', length: 32 }];
    const rule = { when: [{ match: 'destination', in: leftAlone[0] }], verdict: { action: 'return' } };
    const output = chain({ leftAlone, fromLinks: ['lan0'] }, 'output')?.rules ?? [];
    expect(output).toContainEqual(rule);
    expect(output.findIndex(({ verdict }) => verdict.action === 'redirect')).toBe(
      output.length - PORTS.length,
    );
    expect(chain({ leftAlone, fromLinks: ['lan0'] }, 'prerouting')?.rules).not.toContainEqual(rule);
  });

  it('has only the chains that are wanted', () => {
    const names = (options: Partial<Parameters<typeof redirectTable>[0]>) =>
      redirectTable({ ports: PORTS, fromLinks: [], rejectQuic: false, ...options }).chains.map(
        ({ name }) => name,
      );
    expect(names({})).toEqual(['output', 'input']);
    expect(names({ rejectQuic: true })).toEqual(['output', 'input', 'quic-output']);
    expect(names({ rejectQuic: true, fromLinks: ['lan0'] })).toEqual([
      'output',
      'prerouting',
      'input',
      'quic-output',
      'quic-forward',
    ]);
  });

  it('marks with no bit that others on a host give a meaning', () => {
    // kube-proxy's two, Tailscale's byte, Cilium's magic for its own proxy.
    expect(TRANSPARENT_MARK & 0xc000).toBe(0);
    expect(TRANSPARENT_MARK & 0xff0000).toBe(0);
    expect(TRANSPARENT_MARK & 0x0f00).not.toBe(0x0200);
  });
});
