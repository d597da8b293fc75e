import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { isTrustedSender, usersOfPort } from './local-sender.ts';

const TEXT = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0100007F:EC4B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 0
  200: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4243 2 0000000000000000 0
  201: 00000000:EC4B 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4244 2 0000000000000000 0
`;

describe('who sent a local command', () => {
  it('is read from the kernel’s list, whoever shares the port', () => {
    expect(usersOfPort(TEXT, 0xec4b)).toEqual([0, 1000]);
    expect(usersOfPort(TEXT, 53)).toEqual([101]);
    expect(usersOfPort(TEXT, 54)).toEqual([]);
    expect(usersOfPort('', 53)).toEqual([]);
    expect(usersOfPort('x\n: : :\n', 0)).toEqual([]);
  });

  it.each(['udp4', 'udp6'] as const)('trusts an own socket (%s) while it is open', async (type) => {
    const socket = createSocket(type);
    socket.bind(0);
    await once(socket, 'listening');
    const { port } = socket.address();
    expect(isTrustedSender(port)).toBe(true);
    socket.close();
    await once(socket, 'close');
    expect(isTrustedSender(port)).toBe(false);
  });
});
