/** The command lines that the page announces; those that Weft answers with are held against them by test/page-actions.test.ts. */
import { expect, it } from 'vitest';
import {
  endpointAddCommand,
  endpointChangeCommand,
  endpointRemoveCommand,
  limitsCommand,
  pathCommand,
  tunnelPathCommand,
} from './command-lines.ts';

it.each([
  [pathCommand({ link: 'wlan0', backup: true }), 'weft path wlan0 backup'],
  [pathCommand({ link: '<img src=x>', backup: false }), "weft path '<img src=x>' normal"],
  [endpointAddCommand({ address: '10.0.0.2', flags: [] }), 'weft mptcp endpoint add 10.0.0.2'],
  [
    endpointAddCommand({
      address: '2001:db8::2',
      link: 'eth0',
      port: 4433,
      id: 9,
      flags: ['signal', 'backup'],
    }),
    'weft mptcp endpoint add 2001:db8::2 port 4433 dev eth0 id 9 signal backup',
  ],
  [endpointChangeCommand({ id: 3, backup: true }), 'weft mptcp endpoint set 3 +backup'],
  [endpointChangeCommand({ id: 3, fullmesh: false }), 'weft mptcp endpoint set 3 -fullmesh'],
  [endpointRemoveCommand({ id: 3 }), 'weft mptcp endpoint delete id 3'],
  [limitsCommand({ subflows: 4 }), 'weft mptcp limits set subflows 4'],
  [
    limitsCommand({ subflows: 4, addAddrAccepted: 2 }),
    'weft mptcp limits set subflows 4 add_addr_accepted 2',
  ],
  [
    tunnelPathCommand({ tunnel: 'tun0', connection: 'the office', path: 'eth0#1', up: false }),
    String.raw`weft tunnel path tun0 'the office' 'eth0#1' down`,
  ],
  [
    tunnelPathCommand({ tunnel: 'tun0', connection: 'office', path: 'eth0', weight: 3 }),
    'weft tunnel path tun0 office eth0 weight 3',
  ],
])('%s', (shown, typed) => {
  expect(shown).toBe(typed);
});
