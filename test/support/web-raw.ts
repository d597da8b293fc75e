/** Requests to the page's server byte by byte, as no honest client sends them, and what came back. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** 0: none came. */
  readonly status: number;
  /** Names in lower case; of a name that stands there twice, the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly text: string;
}

/** The first answer in a text. */
export function readAnswer(text: string): RawAnswer {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((field) => {
      const at = field.indexOf(':');
      return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()];
    }),
  );
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1] ?? 0),
    headers,
    body: rest.join('\r\n\r\n'),
    text,
  };
}

/** Opens a connection; errors of it are no matter, its end is. */
export async function open(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the other end closes. */
export async function readAll(socket: Socket): Promise<string> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(pieces).toString('latin1');
}

/** Sends a text and resolves with what came until the server closed, which is the server's to do. */
export async function sendRaw(port: number, text: string | Buffer, host?: string): Promise<RawAnswer> {
  const socket = await open(port, host);
  const answer = readAll(socket);
  socket.write(text);
  return readAnswer(await answer);
}

export type Fields = Readonly<Record<string, string | number>>;

/** A request as a browser writes it; the connection ends with the answer. */
export function request(method: string, target: string, fields: Fields, body = ''): string {
  const lines = Object.entries({ Connection: 'close', ...fields }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
