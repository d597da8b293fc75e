import { describe, expect, it } from 'vitest';
import { emitSockaddrUnix } from './unix-datagram.ts';

describe('sockaddr_un', () => {
  it('of a path', () => {
    expect([...emitSockaddrUnix('/dev/log')]).toEqual([1, 0, ...Buffer.from('/dev/log')]);
  });

  it('of an abstract name, whose first byte is zero', () => {
    expect([...emitSockaddrUnix('@ab')]).toEqual([1, 0, 0, 0x61, 0x62]);
  });

  it.each(['', 'relative', `/${'x'.repeat(108)}`, '/zero\0inside'])('not of %j', (name) => {
    expect(() => emitSockaddrUnix(name)).toThrow(/is not the name of a unix socket/);
  });
});
