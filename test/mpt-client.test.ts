/** The built `mpt` against a server that answers from the recordings of the original, and against bad ones. */
import { spawn } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatClientHelp } from '../src/tunnel/index.ts';
import { INTERFACE_TEXT } from './support/mpt-configuration.ts';
import { mptCommand } from './support/mpt-program.ts';
import { readRecording } from './support/mpt-recordings.ts';

const END = Buffer.of(0xa5, 0, 0, 0);
const reply = (text: string) => Buffer.concat([Buffer.of(0xa4, 0, 0, 0), Buffer.from(text)]);

let folder: string;
let sockets: Socket[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mpt-'));
  sockets = [];
});
afterEach(() => {
  for (const socket of sockets) socket.close();
  rmSync(folder, { recursive: true, force: true });
});

type Answer = (request: Buffer, answer: (...datagrams: Buffer[]) => void) => void;

/** A server on loopback. @returns its port, and what it was sent */
async function serve(
  answer: Answer,
  address = '127.0.0.1',
): Promise<{ readonly port: number; readonly requests: Buffer[] }> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  sockets.push(socket);
  const requests: Buffer[] = [];
  socket.on('message', (request: Buffer, from: RemoteInfo) => {
    requests.push(request);
    answer(request, (...datagrams) => {
      for (const datagram of datagrams) socket.send(datagram, from.port, from.address);
    });
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  return { port: socket.address().port, requests };
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function mpt(...args: string[]): Promise<Outcome> {
  const [program = '', ...words] = mptCommand(...args);
  const child = spawn(program, words, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

const head = (port: number, timeoutS = 5) =>
  `mpt configuration:\n\tLocal cmd port: ${port}\n\tcmd timeout: ${timeoutS}\n`;

describe('a server that answers', () => {
  it('is sent what the original client sends, and its report is printed', async () => {
    const datagrams = readRecording('ctl-auth0-path.lo').map(({ payload }) => Buffer.from(payload));
    const isShow = (datagram: Buffer) => datagram.toString('latin1', 4) === 'show status\0';
    const recordedRequest = datagrams.find(isShow)!;
    const recordedReply = datagrams[datagrams.findIndex(isShow) + 1]!;
    expect(recordedReply.toString('latin1', 4)).toMatch(/^CMD_OK:\nTunnel information:/);
    const { port, requests } = await serve((_request, answer) => answer(recordedReply, END));
    const { code, stderr, stdout } = await mpt(`-${port}`, 'show', 'status');
    expect(requests.map((request) => request.toString('hex'))).toEqual([recordedRequest.toString('hex')]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(head(port) + recordedReply.toString('latin1', 4));
  });

  it('over IPv6', async () => {
    const { port, requests } = await serve((_request, answer) => answer(reply('CMD_OK:restart'), END), '::1');
    const { code, stdout } = await mpt('-6', `-${port}`, 'restart');
    expect(requests).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${head(port)}CMD_OK:restart\n` });
  });

  it('with an error: the exit code tells only whether the command could be read', async () => {
    const { port } = await serve((_request, answer) => answer(reply('CMD-ERROR:create x.conf'), END));
    const { code, stdout } = await mpt(`-${port}`, 'create', 'x.conf');
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${head(port)}CMD-ERROR:create x.conf\n` });
  });

  it('twice, with rubbish before, and with what a terminal would obey', async () => {
    const { port } = await serve((_request, answer) =>
      answer(
        Buffer.alloc(0),
        Buffer.of(0xa5, 0, 0, 0),
        Buffer.from('rubbish'),
        reply('CMD_OK:\x1b[2Jone'),
        reply('CMD_OK:two'),
        END,
      ),
    );
    const { stdout } = await mpt(`-${port}`, 'save');
    expect(stdout).toBe(`${head(port)}CMD_OK:\\x1b[2Jone\n`);
  });

  it('where interface.conf says it is', async () => {
    const { port, requests } = await serve((_request, answer) => answer(reply('CMD_OK:reload'), END));
    mkdirSync(join(folder, 'conf'));
    const text = INTERFACE_TEXT.replace('60456', String(port));
    writeFileSync(join(folder, 'conf/interface.conf'), text, { mode: 0o644 });
    expect(await mpt('reload')).toMatchObject({ code: 0, stdout: `${head(port, 25)}CMD_OK:reload\n` });
    expect(await mpt('--conf', join(folder, 'conf'), 'reload')).toMatchObject({ code: 0, stderr: '' });
    expect(requests).toHaveLength(2);
  });
});

describe('an interface.conf that the server would refuse', () => {
  it('leads to the server all the same, as while somebody edits it', async () => {
    const { port } = await serve((_request, answer) => answer(reply('CMD_OK:reload'), END));
    const text = INTERFACE_TEXT.replace('60456', String(port)).replace('10.0.0.2/24', '10.0.0.2/99');
    writeFileSync(join(folder, 'interface.conf'), text, { mode: 0o644 });
    expect(await mpt('--conf=.', 'reload')).toEqual({
      code: 0,
      stdout: `${head(port, 25)}CMD_OK:reload\n`,
      stderr: '',
    });
  });

  it('and one that leaves the port open asks for it', async () => {
    writeFileSync(join(folder, 'interface.conf'), INTERFACE_TEXT.replace('60456', '0'), { mode: 0o644 });
    const { code, stderr, stdout } = await mpt('--conf=.', 'reload');
    expect(code).toBe(0);
    expect(stdout).toContain('unsuccessful receive 2');
    expect(stderr).toMatch(/^mpt: cmdport_local = 0 says "any port" — name the server's with -PORT/);
  });
});

describe('no answer', () => {
  const BOTH =
    'ERROR: No answer from mptsrv - unsuccessful receive 1\nERROR: No answer from mptsrv - unsuccessful receive 2\n';

  it('is told at once where nobody listens', async () => {
    const { port } = await serve(() => {});
    sockets.pop()!.close();
    mkdirSync(join(folder, 'conf'));
    const text = INTERFACE_TEXT.replace('60456', String(port)).replace('25', '3600');
    writeFileSync(join(folder, 'conf/interface.conf'), text, { mode: 0o644 });
    expect(await mpt('reload')).toEqual({ code: 0, stdout: head(port, 3600) + BOTH, stderr: '' });
  });

  it('is waited for as long as cmd_timeout says', async () => {
    const { port } = await serve(() => {});
    const text = INTERFACE_TEXT.replace('cmd_timeout = 25', 'cmd_timeout = 1');
    writeFileSync(join(folder, 'interface.conf'), text, { mode: 0o644 });
    expect(await mpt('--conf=.', `-${port}`, 'reload')).toMatchObject({
      code: 0,
      stdout: head(port, 1) + BOTH,
    });
  });

  it('and an answer without an end', async () => {
    const { port } = await serve((_request, answer) => answer(reply('CMD_OK:reload')));
    const text = INTERFACE_TEXT.replace('cmd_timeout = 25', 'cmd_timeout = 1');
    writeFileSync(join(folder, 'interface.conf'), text, { mode: 0o644 });
    const { stdout } = await mpt('--conf=.', `-${port}`, 'reload');
    expect(stdout).toBe(
      `${head(port, 1)}CMD_OK:reload\nERROR: No answer from mptsrv - unsuccessful receive 2\n`,
    );
  });
});

describe('a command that is sent to nobody', () => {
  it.each<[string[], number, string]>([
    [[], 1, formatClientHelp()],
    [['--help'], 1, formatClientHelp()],
    [['frobnicate'], 1, `ERROR: Illegal command\n${formatClientHelp()}`],
    [['addr', 'add', '10.0.0.256', 'dev', 'eth0'], 3, 'ERROR: Invalid IP specified\n'],
    [['addr', 'add', '10.0.0.1/33', 'dev', 'eth0'], 4, 'ERROR: Invalid netmask specified\n'],
  ])('%j', async (args, code, text) => {
    expect(await mpt(...args)).toEqual({ code, stdout: head(65_010) + text, stderr: '' });
  });

  it('with wrong parameters, or a folder that is not named', async () => {
    expect(await mpt('delete')).toMatchObject({ code: 5 });
    expect(await mpt('--conf')).toMatchObject({
      code: 1,
      stderr: 'mpt: --conf needs the name of a folder\n',
    });
  });

  it('and a configuration that cannot be read is told, and passed over', async () => {
    writeFileSync(join(folder, 'interface.conf'), 'tunnel_num = 1\nrubbish\n', { mode: 0o644 });
    const { code, stderr, stdout } = await mpt('--conf', '.', 'frobnicate');
    expect(code).toBe(1);
    expect(stdout.startsWith(head(65_010))).toBe(true);
    expect(stderr).toMatch(/^mpt: "interface\.conf" is passed over: interface\.conf:2: /);
  });
});
