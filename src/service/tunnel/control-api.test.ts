import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tunnelFileName, tunnelOfSocket } from './control-api.ts';

describe('the name of a socket', () => {
  it('gives the tunnel’s link back, in its network namespace only', () => {
    const name = fc.stringMatching(/^[^\s/:]{1,15}$/);
    fc.assert(
      fc.property(name, fc.integer({ min: 1, max: 2 ** 32 - 1 }), (link, inode) => {
        const file = `${tunnelFileName(link)}-${inode}.sock`;
        expect(tunnelOfSocket(file, inode)).toBe(link);
        expect(tunnelOfSocket(file, inode + 1)).toBeUndefined();
      }),
    );
  });

  it.each(['control-1.sock', 'tunnel.-1.sock', 'tunnel.tun0-1.json', 'tunnel.tun0-11.sock'])(
    'and of "%s" none',
    (name) => expect(tunnelOfSocket(name, 1)).toBeUndefined(),
  );
});
