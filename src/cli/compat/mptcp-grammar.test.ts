import { describe, expect, it } from 'vitest';
import { parseIpWords } from './mptcp-grammar.ts';
import { MPTCP_USAGE } from './usage.ts';

const LINKS: Readonly<Record<string, number>> = { lo: 1, eth0: 2, if7: 3 };
const parse = (line: string) => parseIpWords(line.split(' '), (name) => LINKS[name]);
const request = (line: string) => {
  const parsed = parse(line);
  return parsed.kind === 'request' ? parsed.request : parsed;
};

describe('what a command line of ip mptcp asks for', () => {
  it.each([
    ['mptcp endpoint', { kind: 'show-endpoints' }],
    ['mp e s', { kind: 'show-endpoints' }],
    ['mptcp endpoint flush whatever', { kind: 'flush-endpoints' }],
    ['mptcp e f', { kind: 'flush-endpoints' }],
    ['mptcp limits', { kind: 'show-limits' }],
    ['mptcp l s', { kind: 'set-limits', limits: {} }],
    ['mptcp l sh subflows 3', { kind: 'show-limits' }],
    ['mptcp limits set sub 2 add 1', { kind: 'set-limits', limits: { subflows: 2, addAddrAccepted: 1 } }],
    ['mptcp monitor', { kind: 'monitor' }],
    ['mptcp endpoint add 10.1', { kind: 'add-endpoint', spec: { address: '10.1.0.0' } }],
    [
      'mptcp e a laminar backup 10.0.0.1 i 7 d eth0',
      { kind: 'add-endpoint', spec: { id: 7, flags: 36, linkIndex: 2, address: '10.0.0.1' } },
    ],
    ['mptcp e a ::1 signal p 0x10', { kind: 'add-endpoint', spec: { flags: 1, port: 16, address: '::1' } }],
    ['mptcp e a any', { kind: 'add-endpoint', spec: { address: '' } }],
    ['mptcp e a ::1 dev if7', { kind: 'add-endpoint', spec: { linkIndex: 3, address: '::1' } }],
    ['mptcp e a ::1 dev if99x', { kind: 'add-endpoint', spec: { linkIndex: 99, address: '::1' } }],
    ['mptcp e a ::1 dev if-1', { kind: 'add-endpoint', spec: { linkIndex: 4294967295, address: '::1' } }],
    ['mptcp e a ::1 id 0 id 5 port 0', { kind: 'add-endpoint', spec: { id: 5, address: '::1' } }],
    ['mptcp e d id 5', { kind: 'delete-endpoint', spec: { id: 5 } }],
    ['mptcp e d id 0 10.0.0.1', { kind: 'delete-endpoint', spec: { address: '10.0.0.1' } }],
    ['mptcp e c id 5 backup nofullmesh', { kind: 'change-endpoint', spec: { id: 5, flags: 4 } }],
    ['mptcp e c', { kind: 'change-endpoint', spec: {} }],
    ['mptcp e s 10.0.0.1', { kind: 'show-endpoint', spec: { address: '10.0.0.1' } }],
    ['mptcp e s id 3 signal fullmesh', { kind: 'show-endpoint', spec: { id: 3, flags: 9 } }],
  ])('%s', (line, expected) => expect(request(line)).toEqual(expected));

  it('links are looked for where they stand, before what comes later is read', () => {
    const asked: string[] = [];
    const parsed = parseIpWords('mptcp endpoint add dev nope dev lo foo'.split(' '), (name) => {
      asked.push(name);
      return undefined;
    });
    expect(asked).toEqual(['nope']);
    expect(parsed).toMatchObject({
      exitCode: 255,
      stderr: 'Error: argument "nope" is wrong: device does not exist\n\n',
    });
  });

  it.each([
    ['mptcp', 255, MPTCP_USAGE],
    ['mptcp he', 255, MPTCP_USAGE],
    ['mptcp x', 255, 'Command "x" is unknown, try "ip mptcp help".\n'],
    ['mptcp endpoint list', 255, 'Command "list" is unknown, try "ip mptcp help".\n'],
    ['mptcp monitor now', 255, 'Command "now" is unknown, try "ip mptcp help".\n'],
    ['mptcp endpoint add', 255, 'Error: argument "ADDRESS" is required\n'],
    ['mptcp endpoint delete', 255, 'Error: argument "ID" is required\n'],
    ['mptcp endpoint add 10.0.0.1 id', 255, 'Command line is not complete. Try option "help"\n'],
    ['mptcp endpoint add x', 1, 'Error: any valid address is expected rather than "x".\n'],
    ['mptcp endpoint add ::1 id x', 255, 'Error: argument "x" is wrong: invalid ID\n\n'],
    ['mptcp endpoint add ::1 id 0', 255, 'Error: argument "ID" is wrong: cannot be 0\n\n'],
    ['mptcp endpoint add ::1 dev a/b', 255, 'Error: argument "a/b" is wrong: invalid interface name\n\n'],
    ['mptcp endpoint add ::1 port x', 255, 'Error: argument "x" is wrong: expected port\n'],
    [
      'mptcp endpoint add ::1 port 5',
      255,
      'Error: argument "port" is wrong: flags must have signal when using port\n',
    ],
    [
      'mptcp endpoint add signal fullmesh',
      255,
      'Error: argument "fullmesh" is wrong: flags mustn\'t have both signal and fullmesh\n',
    ],
    [
      'mptcp endpoint change laminar',
      255,
      'Error: argument "laminar" is wrong: invalid flags, backup and fullmesh only\n',
    ],
    [
      'mptcp endpoint change id 1 port 5',
      255,
      'Error: argument "port" is wrong: port can\'t be used with id\n',
    ],
    [
      'mptcp endpoint delete id 1 ::1',
      255,
      'Error: argument "ADDRESS" is wrong: invalid for non-zero id address\n\n',
    ],
    [
      'mptcp endpoint delete id 0',
      255,
      'Error: argument "ID" is wrong: address is needed for deleting id 0 address\n\n',
    ],
    ['mptcp limits set x 1', 255, 'Error: argument "x" is wrong: unknown limit\n'],
    ['mptcp limits set sub x', 255, 'Error: argument "x" is wrong: invalid subflows\n\n'],
    ['mptcp limits set a x', 255, 'Error: argument "x" is wrong: invalid add_addr_accepted\n\n'],
  ])('%s ends the program', (line, exitCode, stderr) => {
    expect(parse(line)).toEqual({ kind: 'exit', exitCode, stderr });
  });

  it('an object that is not here fails only its command', () => {
    expect(parse('nothing at all')).toEqual({
      kind: 'failure',
      exitCode: 1,
      stderr: 'Object "nothing" is unknown, try "ip help".\n',
    });
    // `m` is maddress in ip, and `mo` monitor.
    for (const word of ['m', 'mo', 'addr', 'link']) {
      expect(parse(`${word} show`)).toMatchObject({ kind: 'failure', exitCode: 1 });
    }
  });
});
