import { expect, it } from 'vitest';
import { isMalformed } from '../http/target.ts';
import { Reachable } from './reachable.ts';
import { parseUdpPath } from './udp-path.ts';

const notOwn = () => false;

it.each([
  '8.8.8.8',
  '203.0.113.10',
  '172.15.0.1',
  '172.32.0.1',
  '100.128.0.1',
  '2606:4700::1',
  '64:ff9b::808:808',
])('%s is the internet', (address) => {
  expect(new Reachable([]).allows(address, notOwn)).toBe(true);
  expect(new Reachable([]).allows(address, () => true)).toBe(false);
});

it.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '198.19.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  'fe80::1',
  'fc00::1',
  'fd12::1',
  'fec0::1',
  'ff02::1',
  '64:ff9b::7f00:1',
  '64:ff9b::a00:1',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2002:c0a8:101::1',
  '2001::1',
  'no address',
])('%s is not', (address) => {
  expect(new Reachable([]).allows(address, notOwn)).toBe(false);
});

it('what is opened is open, also when it is this machine itself, and nothing beside it', () => {
  const reachable = new Reachable([
    { address: '192.168.7.0', length: 24 },
    { address: 'fd00:7::', length: 32 },
  ]);
  expect(reachable.allows('192.168.7.1', () => true)).toBe(true);
  expect(reachable.allows('::ffff:192.168.7.1', notOwn)).toBe(true);
  expect(reachable.allows('64:ff9b::c0a8:701', notOwn)).toBe(true);
  expect(reachable.allows('fd00:7::1', notOwn)).toBe(true);
  expect(reachable.allows('192.168.8.1', notOwn)).toBe(false);
  expect(reachable.allows('fd00:8::1', notOwn)).toBe(false);
});

it.each([
  ['/.well-known/masque/udp/192.0.2.1/53/', { host: '192.0.2.1', port: 53 }],
  ['/.well-known/masque/udp/2001%3Adb8%3A%3A1/53', { host: '2001:db8::1', port: 53 }],
  ['/.well-known/masque/udp/Dns.Example/853/', { host: 'dns.example', port: 853 }],
])('the target of datagrams %s', (path, target) => {
  expect(parseUdpPath(path)).toEqual(target);
});

it.each([
  '/',
  '/.well-known/masque/udp/a/b/',
  '/.well-known/masque/udp/%zz/53/',
  '/.well-known/masque/udp/a%2fb/53/',
  '/.well-known/masque/udp//53/',
  '/.well-known/masque/udp/a/0/',
  '/.well-known/masque/udp/a/53/x',
  '/.well-known/masque/udp/a%0d%0a/53/',
])('%s is none', (path) => {
  expect(isMalformed(parseUdpPath(path))).toBe(true);
});
