/** What of an advice can be typed. */
import { expect, it } from 'vitest';
import { adviceParts } from './advice.ts';

it('a command is a command', () => {
  for (const command of [
    'weft mptcp limits set subflows 2',
    'sudo weft doctor',
    'sysctl -w net.mptcp.enabled=1',
    'ip rule add from 10.0.0.2 table 100',
  ]) {
    expect(adviceParts(command)).toEqual({ command });
  }
});

it('a sentence is a sentence, also one that begins with the name of a program', () => {
  for (const lead of [
    '"weft status" says why',
    'connect this machine: it needs an address and a default route',
    'weft',
    'see the check "routes": each address needs a route by its own link',
  ]) {
    expect(adviceParts(lead)).toEqual({ lead });
  }
});

it('a sentence may lead to a command', () => {
  expect(adviceParts('if subflows stall: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1')).toEqual({
    lead: 'if subflows stall:',
    command: 'sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1',
  });
});
