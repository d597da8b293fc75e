import { afterEach, describe, expect, it } from 'vitest';
import { DatagramSocket } from './datagram-socket.ts';
import { EPOLLIN } from './constants.ts';
import { reactor } from './reactor.ts';

const open: DatagramSocket[] = [];
function opened(port = 0): DatagramSocket {
  const socket = DatagramSocket.open(port);
  open.push(socket);
  return socket;
}

afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

const readable = (socket: DatagramSocket): Promise<void> =>
  new Promise((resolve) => {
    const watch = reactor.watch(socket.fd, EPOLLIN, () => {
      watch.close();
      resolve();
    });
  });

describe('datagram socket', () => {
  for (const address of ['127.0.0.1', '127.0.0.9', '::1']) {
    it(`tells where a datagram to ${address} came from and to, and answers from there`, async () => {
      const server = opened();
      const client = opened();
      expect(client.send(Uint8Array.of(1, 2, 3), { address, port: server.port })).toBe(0);
      await readable(server);
      const got = server.receive();
      expect(got).toMatchObject({ bytes: Uint8Array.of(1, 2, 3), to: address, linkIndex: 1 });
      expect(got?.from.port).toBe(client.port);
      expect(server.receive()).toBeUndefined();
      expect(server.send(Uint8Array.of(4), got!.from, { address })).toBe(0);
      await readable(client);
      expect(client.receive()).toMatchObject({
        bytes: Uint8Array.of(4),
        from: { address, port: server.port },
      });
    });
  }

  it('refuses a port that is taken, and origins that are not of this host', () => {
    const socket = opened();
    expect(() => DatagramSocket.open(socket.port)).toThrow(/EADDRINUSE/);
    const to = { address: '127.0.0.1', port: socket.port };
    expect(socket.send(Uint8Array.of(1), to, { address: '192.0.2.1' })).not.toBe(0);
    expect(socket.send(Uint8Array.of(1), to, { linkIndex: 1 })).toBe(0);
    expect(socket.send(new Uint8Array(65_520), to)).not.toBe(0);
  });

  it('carries the longest datagram of IPv4', async () => {
    const socket = opened();
    expect(socket.send(new Uint8Array(65_507).fill(7), { address: '127.0.0.1', port: socket.port })).toBe(0);
    await readable(socket);
    expect(socket.receive()?.bytes.length).toBe(65_507);
  });
});
