/**
 * What a client says to a proxy to get a tunnel, in every protocol that Weft's port speaks. Reads not a byte more than
 * the proxy's answer, so what follows belongs to the tunnel.
 *
 * References: RFC 9110 section 9.3.6, RFC 1928, the SOCKS 4A note of Ying-Da Lee.
 */
import type { Socket } from 'node:net';

/** `straight`: nothing is said; the connection leads to the target by itself. */
export const ENTRANCES = ['connect', 'socks5', 'socks5-name', 'socks4', 'socks4a'] as const;
export type Entrance = (typeof ENTRANCES)[number] | 'straight';

export interface EntranceTarget {
  readonly address: string;
  readonly port: number;
}

/** Exactly so many bytes, or what satisfies `enough`. Rejects when the connection ends before. */
function take(socket: Socket, enough: (bytes: Buffer) => boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let taken = Buffer.alloc(0);
    const settle = (settled: () => void) => {
      socket.off('readable', onReadable);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      settled();
    };
    const onReadable = () => {
      while (!enough(taken)) {
        const byte = socket.read(1) as Buffer | null;
        if (byte === null) return;
        taken = Buffer.concat([taken, byte]);
      }
      settle(() => resolve(taken));
    };
    const onEnd = () => {
      settle(() =>
        reject(new Error(`no tunnel, after "${taken.toString('latin1')}" (${taken.toString('hex')})`)),
      );
    };
    socket.on('readable', onReadable);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
    onReadable();
  });
}

const takeLength = (socket: Socket, length: number) => take(socket, (bytes) => bytes.length === length);

const portBytes = (port: number) => [port >> 8, port & 255];
const v4Bytes = (address: string) => address.split('.').map(Number);

async function socks5(
  socket: Socket,
  address: readonly number[],
  port: number,
  ahead: Buffer,
): Promise<void> {
  socket.write(Buffer.from([5, 1, 0]));
  const method = await takeLength(socket, 2);
  if (method[0] !== 5 || method[1] !== 0) throw new Error(`SOCKS5 method: ${method.toString('hex')}`);
  socket.write(Buffer.from([5, 1, 0, ...address, ...portBytes(port), ...ahead]));
  const reply = await takeLength(socket, 4);
  if (reply[0] !== 5 || reply[1] !== 0) throw new Error(`SOCKS5 reply: ${reply.toString('hex')}`);
  await takeLength(socket, (reply[3] === 4 ? 16 : 4) + 2);
}

async function socks4(socket: Socket, request: Buffer): Promise<void> {
  socket.write(request);
  const reply = await takeLength(socket, 8);
  if (reply[0] !== 0 || reply[1] !== 90) throw new Error(`SOCKS4 reply: ${reply.toString('hex')}`);
}

/**
 * Resolves when the tunnel to an IPv4 target is open; the socket is paused then.
 * @param early goes to the target, together with the last words to the proxy, before it is known whether there is a tunnel
 * @throws Error with what the proxy said instead
 */
export async function enterTunnel(
  socket: Socket,
  entrance: Entrance,
  { address, port }: EntranceTarget,
  early = '',
): Promise<void> {
  const name = Buffer.from(address);
  const ahead = Buffer.from(early);
  switch (entrance) {
    case 'straight':
      if (early !== '') socket.write(ahead);
      return;
    case 'connect': {
      socket.write(`CONNECT ${address}:${port} HTTP/1.1\r\nHost: ${address}:${port}\r\n\r\n${early}`);
      const head = await take(socket, (bytes) => bytes.toString('latin1').endsWith('\r\n\r\n'));
      if (!head.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(head.toString('latin1'));
      return;
    }
    case 'socks5':
      return socks5(socket, [1, ...v4Bytes(address)], port, ahead);
    case 'socks5-name':
      return socks5(socket, [3, name.length, ...name], port, ahead);
    case 'socks4':
      return socks4(socket, Buffer.from([4, 1, ...portBytes(port), ...v4Bytes(address), 0, ...ahead]));
    case 'socks4a':
      return socks4(socket, Buffer.from([4, 1, ...portBytes(port), 0, 0, 0, 1, 0, ...name, 0, ...ahead]));
  }
}
