/** What somebody may send with a call: every reader with what it takes, and what it says of everything else. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import { ACTION_CALLS, OBSERVE_CALLS } from './calls.ts';

const query = (text: string) => new URLSearchParams(text);

type Reader = (value: never) => unknown;

const readerOf = (call: object): Reader | undefined => {
  const { readArgument, readQuery } = call as { readArgument?: Reader; readQuery?: Reader };
  return readArgument ?? readQuery;
};

const read = (call: object, value: unknown) => readerOf(call)?.(value as never);

describe('queries', () => {
  it.each([
    ['history', '', {}],
    ['history', 'minutes=60', { minutes: 60 }],
    ['connections', '', {}],
    ['connections', 'search=&limit=500', { limit: 500 }],
    [
      'connections',
      'search=a+b&sort=rtt&order=ascending&offset=100&limit=50',
      { search: 'a b', sort: 'rtt', order: 'ascending', offset: 100, limit: 50 },
    ],
    ['connection', 'id=m1f', { id: 'm1f' }],
    ['why', '', {}],
    ['why', 'connection=example.org', { connection: 'example.org' }],
  ] as const)('%s?%s', (name, text, expected) => {
    expect(read(OBSERVE_CALLS[name], query(text))).toEqual(expected);
  });

  it.each([
    ['history', 'minutes=0', '"minutes" is to be a whole number from 1 to 1440, not "0"'],
    ['history', 'minutes=1e3', '"minutes" is to be a whole number from 1 to 1440, not "1e3"'],
    ['history', 'minuets=5', 'this call takes no "minuets" (did you mean "minutes"?): minutes'],
    ['history', 'minutes=5&minutes=6', '"minutes" is given more than once'],
    ['history', '__proto__=5', 'this call takes no "__proto__": minutes'],
    ['connections', 'sort=rat', '"sort" is to be one of rate, bytes'],
    ['connections', 'limit=501', '"limit" is to be a whole number from 1 to 500, not "501"'],
    ['connections', `search=${'x'.repeat(257)}`, '"search" is too long: 257 characters, at most 256'],
    ['connection', '', '"id" is to be a text'],
  ] as const)('%s?%s is refused', (name, text, expected) => {
    expect(() => read(OBSERVE_CALLS[name], query(text))).toThrow(expected);
  });
});

describe('bodies', () => {
  it.each([
    ['addEndpoint', { address: '10.0.0.1', flags: [] }, { address: '10.0.0.1', flags: [] }],
    [
      'addEndpoint',
      { address: '2001:DB8::0:1', link: 'eth0', port: 443, id: 7, flags: ['signal', 'signal', 'backup'] },
      { address: '2001:db8::1', link: 'eth0', port: 443, id: 7, flags: ['signal', 'backup'] },
    ],
    ['changeEndpoint', { id: 1, backup: false }, { id: 1, backup: false }],
    ['removeEndpoint', { id: 255 }, { id: 255 }],
    ['setLimits', { subflows: 0 }, { subflows: 0 }],
    ['setPath', { link: 'wlan0', backup: true }, { link: 'wlan0', backup: true }],
    [
      'setTunnelPath',
      { tunnel: 'tun0', connection: 'a', path: 'eth0', weight: 3 },
      { tunnel: 'tun0', connection: 'a', path: 'eth0', weight: 3 },
    ],
  ] as const)('%s %j', (name, body, expected) => {
    expect(read(ACTION_CALLS[name], body)).toEqual(expected);
  });

  it.each([
    ['addEndpoint', { address: 'eth0', flags: [] }, '"address" is to be an IP address, not "eth0"'],
    ['addEndpoint', { address: '10.0.0.1' }, '"flags" is to be a list of signal, subflow'],
    ['addEndpoint', { address: '10.0.0.1', flags: ['implicit'] }, 'not "implicit"'],
    ['addEndpoint', { address: '10.0.0.1', flags: ['bakup'] }, '(did you mean "backup"?)'],
    ['changeEndpoint', { id: 1 }, 'an endpoint is changed with "backup" or "fullmesh"'],
    ['changeEndpoint', { id: 256, backup: true }, '"id" is to be a whole number from 1 to 255, not "256"'],
    ['removeEndpoint', { id: '1' }, '"id" is to be a whole number from 1 to 255, not "1"'],
    ['removeEndpoint', { id: 1, adress: 'x' }, 'this call takes no "adress"'],
    ['setLimits', {}, 'limits are set with "subflows" or "addAddrAccepted"'],
    ['setLimits', { subflows: -1 }, 'not "-1"'],
    ['setLimits', [], 'this call takes an object with subflows, addAddrAccepted'],
    ['setPath', { link: '', backup: true }, '"link" is to be a text'],
    ['setLimits', { subflows: Infinity }, 'not "Infinity"'],
    ['setPath', { link: 'wlan0', backup: 1 }, '"backup" is to be true or false, not "1"'],
    ['setTunnelPath', { tunnel: 't', connection: 'c', path: 'p' }, '"up" or "weight", one of them'],
    ['setTunnelPath', { tunnel: 't', connection: 'c', path: 'p', weight: 10_001 }, 'not "10001"'],
  ] as const)('%s %j is refused', (name, body, expected) => {
    expect(() => read(ACTION_CALLS[name], body)).toThrow(expected);
  });
});

it('whatever is sent is taken or refused with a reason, which is short', () => {
  const calls = [...Object.values(OBSERVE_CALLS), ...Object.values(ACTION_CALLS)] as object[];
  const names = fc.constantFrom(
    'id',
    'link',
    'backup',
    'flags',
    'address',
    'subflows',
    'minutes',
    'sort',
    'x',
  );
  const bodies = fc.oneof(fc.jsonValue(), fc.dictionary(names, fc.jsonValue()));
  const queries = fc.array(fc.tuple(names, fc.string())).map((pairs) => new URLSearchParams(pairs));
  fc.assert(
    fc.property(fc.constantFrom(...calls), bodies, queries, (call, body, parameters) => {
      try {
        read(call, 'readArgument' in call ? body : parameters);
      } catch (error) {
        expect(error).toBeInstanceOf(WeftError);
        expect((error as WeftError).code).toBe('BAD_ARGUMENT');
        expect((error as WeftError).message.length).toBeLessThan(300);
      }
    }),
  );
});
