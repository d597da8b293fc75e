import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { isFromAdministrator, ownersOf } from './local-sender.ts';

const UDP = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  120: 0100007F:EC2C 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 21345 2 0000000000000000 0
  121: 00000000:EC2D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 21346 2 0000000000000000 0
  122: 0202000A:EC2E 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 21347 2 0000000000000000 0
  123: 0100007F:EC2F 0100007F:EC2C 01 00000000:00000000 00:00000000 00000000     0        0 21348 2 0000000000000000 0
`;
const UDP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  130: 00000000000000000000000000000000:EC30 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1002        0 21350 2 0000000000000000 0
  131: 00000000000000000000000001000000:EC31 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1003        0 21351 2 0000000000000000 0
  132: 0000000000000000FFFF00000100007F:EC32 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1004        0 21352 2 0000000000000000 0
  133: 00000000000000000000000000000000:EC2D 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1005        0 21353 2 0000000000000000 0
`;
const owners = (address: string, port: number) => [...ownersOf([UDP, UDP6], address, port)];

it('finds the user of a sending socket by address and port', () => {
  expect(owners('127.0.0.1', 0xec2c)).toEqual([1000]);
  expect(owners('127.0.0.1', 0xec2f)).toEqual([0]);
  expect(owners('::ffff:127.0.0.1', 0xec2f)).toEqual([0]);
  expect(owners('::1', 0xec31)).toEqual([1003]);
  expect(owners('127.0.0.1', 0xec32)).toEqual([1004]);
});

it('counts sockets without an address, and everybody who shares a port', () => {
  expect(owners('::1', 0xec30)).toEqual([1002]);
  expect(owners('127.0.0.1', 0xec30)).toEqual([1002]);
  expect(owners('127.0.0.1', 0xec2d)).toEqual([0, 1005]);
});

it('takes no socket of another address or port', () => {
  expect(owners('127.0.0.1', 0xec2e)).toEqual([]);
  expect(owners('127.0.0.1', 0xec31)).toEqual([]);
  expect(owners('127.0.0.1', 1)).toEqual([]);
  expect(owners('nonsense', 0xec2c)).toEqual([]);
});

it.each([
  ['udp4', '127.0.0.1'],
  ['udp6', '::1'],
] as const)('knows an own socket (%s) while it is open', async (type, address) => {
  const socket = createSocket(type);
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  expect(isFromAdministrator(address, port)).toBe(true);
  socket.close();
  await once(socket, 'close');
  expect(isFromAdministrator(address, port)).toBe(false);
});
