/**
 * SOCKS5 UDP associations from the client's side, and name servers for them, for tests of the proxy.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { emitDatagram, parseDatagram } from '../../src/proxy/socks/datagram.ts';
import { emitAddress, parseAddress } from '../../src/proxy/socks/socks5.ts';
import { connectTo, onCleanup, readUntil, type StartedProxy } from '../proxy-support.ts';

/** A question for the address of a name (RFC 1035 section 4). */
export function dnsQuestion(id: number, name: string): Buffer {
  const labels = name
    .split('.')
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const head = Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** The same with one answer: 192.0.2.77. */
export function dnsAnswer(question: Buffer): Buffer {
  const head = Buffer.from(question.subarray(0, 12));
  head[2] = 0x81;
  head[3] = 0x80;
  head[7] = 1;
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
  return Buffer.concat([head, question.subarray(12), record]);
}

export async function bound(address: string): Promise<DatagramSocket> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
  onCleanup(() => {
    try {
      socket.close();
    } catch {
      // The test has closed it.
    }
  });
  await new Promise<void>((resolve) => {
    socket.bind(0, address, resolve);
  });
  return socket;
}

/** Answers every datagram by `answer`. */
export async function startUdpServer(
  answer: (bytes: Buffer) => Buffer,
  address = '127.0.0.1',
): Promise<{ readonly port: number; readonly socket: DatagramSocket; readonly seen: Buffer[] }> {
  const socket = await bound(address);
  const seen: Buffer[] = [];
  socket.on('message', (bytes, from) => {
    seen.push(bytes);
    socket.send(answer(bytes), from.port, from.address);
  });
  return { port: socket.address().port, socket, seen };
}

export interface Associated {
  readonly control: Socket;
  readonly relay: { readonly host: string; readonly port: number };
}

/** Asks for an association over a connection that is there. */
export async function associateOver(
  control: Socket,
  announced = emitAddress('0.0.0.0', 0),
): Promise<Associated> {
  control.on('error', () => {});
  control.write(Buffer.concat([Buffer.from([5, 1, 0, 5, 3, 0]), announced]));
  const answer = Buffer.from(await readUntil(control, (text) => text.length >= 12), 'latin1').subarray(2);
  if (answer[1] !== 0) throw new Error(`refused: ${answer[1]}`);
  const parsed = parseAddress(answer, 3);
  if (parsed.kind !== 'message') throw new Error(`bad reply ${answer.toString('hex')}`);
  control.resume();
  return { control, relay: parsed.value };
}

export class SocksUdpClient {
  readonly udp: DatagramSocket;
  readonly control: Socket;
  readonly relay: Associated['relay'];
  readonly answers: { readonly host: string; readonly port: number; readonly bytes: Buffer }[] = [];

  constructor({ control, relay }: Associated, udp: DatagramSocket) {
    this.control = control;
    this.relay = relay;
    this.udp = udp;
    udp.on('message', (bytes) => {
      const parsed = parseDatagram(bytes);
      if ('problem' in parsed) throw new Error(parsed.problem);
      this.answers.push({ ...parsed.destination, bytes: Buffer.from(parsed.payload) });
    });
  }

  static async open(proxy: StartedProxy, host = '127.0.0.1'): Promise<SocksUdpClient> {
    const control = await connectTo(proxy.port, host);
    onCleanup(() => void control.destroy());
    return new SocksUdpClient(await associateOver(control), await bound(host));
  }

  send(host: string, port: number, payload: Buffer): void {
    this.sendRaw(emitDatagram(host, port, payload));
  }

  sendRaw(bytes: Uint8Array): void {
    this.udp.send(bytes, this.relay.port, this.relay.host);
  }

  /** Asks until it is answered: a datagram may be lost. */
  async ask(host: string, port: number, payload: Buffer): Promise<SocksUdpClient['answers'][number]> {
    const from = this.answers.length;
    for (let tries = 0; tries < 100; tries++) {
      this.send(host, port, payload);
      for (let waits = 0; waits < 50; waits++) {
        const found = this.answers.slice(from).at(0);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
    throw new Error(`no answer of ${host} port ${port}`);
  }
}
