import { describe, expect, it } from 'vitest';
import { addListen, parseListen } from './listen-address.ts';

describe('parseListen', () => {
  it.each([
    ['127.0.0.1:8080', [{ address: '127.0.0.1', port: 8080 }]],
    ['[::1]:0', [{ address: '::1', port: 0 }]],
    ['[2001:DB8::0]:1', [{ address: '2001:db8::', port: 1 }]],
    ['0.0.0.0:65535', [{ address: '0.0.0.0', port: 65_535 }]],
    [
      '3128',
      [
        { address: '127.0.0.1', port: 3128 },
        { address: '::1', port: 3128 },
      ],
    ],
    [
      'localhost:3128',
      [
        { address: '127.0.0.1', port: 3128 },
        { address: '::1', port: 3128 },
      ],
    ],
  ])('%s', (text, expected) => expect(parseListen(text)).toEqual(expected));

  it.each([
    ['::1:8080', /brackets/],
    ['127.0.0.1', /ADDRESS:PORT/],
    ['127.0.0.1:65536', /"65536" is not a port/],
    ['127.0.0.1:', /ADDRESS:PORT/],
    ['example.org:80', /not an IP address/],
    ['[127.0.0.1]:80', /not an IP address/],
    ['256.0.0.1:80', /not an IP address/],
    ['', /ADDRESS:PORT/],
    [':80', /not an IP address/],
    ['[fe80::1%eth0]:80', /zone/],
    ['[::ffff:127.0.0.1]:80', /IPv4 address/],
    ['224.0.0.1:80', /groups of hosts/],
    ['255.255.255.255:80', /groups of hosts/],
    ['[ff02::1]:80', /groups of hosts/],
  ])('says what is wrong with "%s"', (text, expected) => expect(parseListen(text)).toMatch(expected));
});

it('addListen takes the same address once, and port 0 as often as it is given', () => {
  const one = { address: '127.0.0.1', port: 80 };
  const any = { address: '127.0.0.1', port: 0 };
  expect(addListen([one], [one, { ...one, port: 81 }])).toEqual([one, { ...one, port: 81 }]);
  expect(addListen([any], [any])).toEqual([any, any]);
});
