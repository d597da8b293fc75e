/** Names and origins that are ours, and those that look like it. */
import { expect, it } from 'vitest';
import { addressUrl, hostNamesOf, isBeyondLoopback, parseWebOrigin } from './addresses.ts';

it('an address is called by what leads to it', () => {
  expect(hostNamesOf({ address: '127.0.0.1', port: 1 })).toEqual(
    expect.arrayContaining(['127.0.0.1:1', 'localhost:1', '[::1]:1']),
  );
  expect(hostNamesOf({ address: '127.0.0.9', port: 1 })).toContain('127.0.0.9:1');
  expect(hostNamesOf({ address: '192.0.2.1', port: 80 })).toEqual(['192.0.2.1:80', '192.0.2.1']);
  expect(hostNamesOf({ address: '::ffff:192.0.2.1', port: 8080 })).toEqual(['192.0.2.1:8080']);
});

it('beyond loopback', () => {
  const at = (address: string) => [{ address, port: 1 }];
  expect(['127.0.0.1', '127.9.9.9', '::1'].filter((address) => isBeyondLoopback(at(address)))).toEqual([]);
  for (const address of ['0.0.0.0', '::', '192.168.0.1', 'fe80::1'])
    expect(isBeyondLoopback(at(address))).toBe(true);
  expect(isBeyondLoopback([...at('127.0.0.1'), ...at('::')])).toBe(true);
});

it('an origin', () => {
  expect(parseWebOrigin('https://Weft.example')).toEqual({
    origin: 'https://weft.example',
    host: 'weft.example',
    secure: true,
  });
  expect(parseWebOrigin('http://localhost:8080/')).toMatchObject({
    origin: 'http://localhost:8080',
    host: 'localhost:8080',
  });
  for (const text of [
    'weft.example',
    'ftp://a',
    'https://a/b',
    'https://a?',
    'https://u:p@a',
    'https://a#x',
    'https://*.example',
    '',
    'https://',
  ]) {
    expect(parseWebOrigin(text), text).toBeTypeOf('string');
  }
});

it('the address that a person opens', () => {
  expect(addressUrl({ address: '127.0.0.1', port: 13_180 })).toBe('http://127.0.0.1:13180/');
  expect(addressUrl({ address: '0.0.0.0', port: 13_180 })).toBe('http://127.0.0.1:13180/');
  expect(addressUrl({ address: '::', port: 80 })).toBe('http://[::1]/');
});
