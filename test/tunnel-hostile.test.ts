/**
 * What reaches the command port from anybody: nonsense, cut and bent messages, floods, creations with texts that the
 * original obeys or crashes on. Nothing of it is executed, remembered without bound or logged without end, and the tunnel
 * goes on. What reaches the data port stands in tunnel-order.test.ts. Topology: guide's figure 3.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffSnapshots, takeSnapshot } from '../src/lab/index.ts';
import { BUILT_IN_KEY, readConnection, writeConnection } from './support/mpt-peer-text.ts';
import {
  controlMessage,
  keepaliveMessage,
  lengthField,
  readControlMessage,
  sixteen,
} from './support/mpt-peer-wire.ts';
import { COMMAND_PORT, DATA_PORTS, folderTexts, type PairOptions } from './support/tunnel-config.ts';
import { eventually, ping, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';
import { bindUdp } from './support/tunnel-traffic.ts';

const PATHS: PairOptions = { keepaliveS: 1, deadS: 3 };

let lab: TunnelLab;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await lab.close();
});

interface Fields {
  readonly command?: number;
  readonly status?: number;
  readonly authType?: number;
  readonly token?: number;
  readonly round?: number;
  readonly ipLocal?: string;
  readonly ipRemote?: string;
  readonly rest?: Buffer;
}

/** A message as side a would send it. */
function message(fields: Fields, key: Uint8Array = BUILT_IN_KEY): Buffer {
  const { ipLocal = '10.0.0.2', ipRemote = '10.0.0.3', ...others } = fields;
  return controlMessage(
    {
      command: 0xa2,
      status: 0x80,
      authType: 0,
      token: 0,
      round: 1,
      ipVersion: 4,
      unused: Buffer.alloc(2),
      rest: lengthField(32),
      ...others,
      ipLocal: sixteen(ipLocal),
      ipRemote: sixteen(ipRemote),
    },
    key,
  );
}

const BODY = Buffer.concat([sixteen('10.1.1.2'), sixteen('10.1.1.3')]);

async function expectWell(server: TunnelServer): Promise<void> {
  const answer = await server.mpt('show', 'status');
  expect(answer.stdout).toContain('CMD_OK:\nTunnel information:');
  expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
  // Nothing is logged per datagram.
  expect(server.program.stderr.split('\n').length).toBeLessThan(100);
}

/** Sends all, a few at a time so that they reach the socket, and waits until the last was read: it is answered. */
async function sendAll(datagrams: readonly Buffer[], from = '10.1.1.2'): Promise<void> {
  const socket = bindUdp(lab.node('a'), from, 0);
  let answers = 0;
  socket.on('message', (answer) => {
    if (answer[0] === 0xa2 && answer[1] === 4) answers++;
  });
  // An unknown connection is answered at once.
  const question = message({ ipLocal: '10.0.0.98', ipRemote: '10.0.0.99' });
  for (let at = 0; at < datagrams.length; at += 50) {
    for (const datagram of datagrams.slice(at, at + 50)) socket.send(datagram, COMMAND_PORT, '10.1.1.3');
    answers = 0;
    socket.send(question, COMMAND_PORT, '10.1.1.3');
    // oxlint-disable-next-line no-await-in-loop -- a batch is read before the next is sent
    await eventually('the server reads', () => answers > 0);
  }
  socket.close();
}

describe('the command port', () => {
  it('counts nonsense, and cut, bent and stretched messages of every kind', async () => {
    const [, b] = await lab.startBoth(PATHS);
    const datagrams: Buffer[] = [];
    for (const authType of [0, 1, 2, 3, 255]) {
      for (const command of [0x00, 0x45, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xff]) {
        for (const round of [0, 2, 3, 4, 5, 255]) {
          datagrams.push(message({ command, authType, round, rest: BODY }));
        }
      }
    }
    const whole = message({ authType: 2, round: 3, rest: BODY });
    for (let length = 0; length <= whole.length; length++) datagrams.push(whole.subarray(0, length));
    for (let at = 0; at < whole.length; at++) {
      const bent = Buffer.from(whole);
      bent[at]! ^= 0xff;
      datagrams.push(bent, Buffer.concat([bent, Buffer.alloc(1300, at)]));
    }
    datagrams.push(Buffer.alloc(60_000, 0xa2), Buffer.alloc(60_000, 0xa3));
    await sendAll(datagrams);
    const { control } = await b.status();
    expect(control.executed).toBe(0);
    expect(control.exchanges).toBe(0);
    expect(
      Object.values(control.drops).reduce((sum, count) => sum + count, 0) + control.strays,
    ).toBeGreaterThan(300);
    await b.pathsAre(0, 0);
    await expectWell(b);
  });

  it('obeys no local command that comes from elsewhere', async () => {
    const [, b] = await lab.startBoth(PATHS);
    const commands = ['delete ipv4.conf', 'path down 10.1.1.3 10.1.1.2', 'int eth1 down', 'reload'];
    await sendAll(commands.map((text) => Buffer.from(`\xa4\0\0\0${text}\0`, 'latin1')));
    const { control, connections } = await b.status();
    expect(control.localCommands).toBe(0);
    expect(connections).toHaveLength(1);
    await b.pathsAre(0, 0);
    await expectWell(b);
  });

  it('survives any text of a local process, and obeys no shell in it', async () => {
    const [, b] = await lab.startBoth(PATHS);
    const trap = `/tmp/weft-trap-${process.pid}`;
    const texts = [
      `int x;touch\t${trap} down`,
      `int $(touch ${trap}) down`,
      `addr add 10.9.9.9/24;touch ${trap} dev eth1`,
      `addr add 10.9.9.9/24 dev eth1;touch`,
      `reload ../../../etc/passwd`,
      `save ../x.conf`,
      `delete /etc/passwd`,
      `save conf.template`,
      'x'.repeat(5000),
      '\xff\xfe\x01',
      '',
      'show status'.repeat(30),
      'path up 999.1.1.1 ::::',
    ];
    const socket = bindUdp(lab.node('b'), '127.0.0.1', 0);
    const replies: string[] = [];
    socket.on('message', (reply) => {
      if (reply[0] === 0xa4) replies.push(reply.subarray(4).toString('latin1'));
    });
    for (const text of texts) {
      for (const end of ['\0', '']) {
        socket.send(Buffer.from(`\xa4\0\0\0${text}${end}`, 'latin1'), COMMAND_PORT, '127.0.0.1');
      }
    }
    for (let length = 0; length < 5; length++)
      socket.send(Buffer.alloc(length, 0xa4), COMMAND_PORT, '127.0.0.1');
    socket.send(Buffer.from('\xa4\0\0\0show status\0', 'latin1'), COMMAND_PORT, '127.0.0.1');
    await eventually('the last is answered', () =>
      replies.some((reply) => reply.startsWith('CMD_OK:\nTunnel')),
    );
    for (const reply of replies) expect(reply).toMatch(/^(CMD-ERROR:|CMD_OK:\nTunnel)/);
    expect(existsSync(trap)).toBe(false);
    socket.close();
    await expectWell(b);
  });

  it('keeps a bounded number of exchanges when many are opened, and the peer still gets through', async () => {
    const [a, b] = await lab.startBoth({ ...PATHS, authType: 1 });
    const flood: Buffer[] = [];
    for (let i = 0; i < 3000; i++) {
      // What differs makes each an exchange of its own.
      flood.push(message({ authType: 1, status: i & 1 ? 0x80 : 0, rest: lengthField(i) }));
    }
    await sendAll(flood, '10.2.2.2');
    expect((await b.status()).control.exchanges).toBe(0);
    await a.mpt('path', 'down', '10.1.1.2', '10.1.1.3');
    await b.pathsAre(128, 0);
    expect((await b.status()).control.executed).toBe(1);
    await a.mpt('path', 'up', '10.1.1.2', '10.1.1.3');
    await expectWell(b);
  });
});

describe('another user of the host', () => {
  it('who sends commands without end is told that the server is busy, and fills no log', async () => {
    const b = await lab.start('b', lab.folder('b', PATHS));
    const program = `
      const socket = require('dgram').createSocket('udp4');
      const counts = {};
      let left = 40;
      const command = Buffer.from('\\xa4\\0\\0\\0delete ipv4.conf\\0', 'latin1');
      let awaited = 0;
      const next = () => {
        if (left-- === 0) { console.log(JSON.stringify(counts)); socket.close(); return; }
        awaited = 50;
        for (let i = 0; i < 50; i++) socket.send(command, ${COMMAND_PORT}, '127.0.0.1');
      };
      socket.on('message', (reply) => {
        if (reply[0] !== 0xa4) return;
        const text = reply.subarray(4).toString('latin1');
        counts[text] = (counts[text] ?? 0) + 1;
        if (--awaited === 0) next();
      });
      next();
    `;
    const beganMs = performance.now();
    const { stdout } = await lab
      .node('b')
      .run(['setpriv', '--reuid=65534', '--clear-groups', process.execPath, '-e', program]);
    const counts = JSON.parse(stdout) as Record<string, number>;
    const seconds = (performance.now() - beganMs) / 1000;
    const refused = counts['CMD-ERROR:ERROR: Only root and the user of mptsrv may change the tunnel'];
    expect(refused).toBeLessThan(120 + 50 * seconds);
    expect(counts['CMD-ERROR:ERROR: busy']).toBe(2000 - refused!);
    expect(b.program.stderr.split('\n').length).toBeLessThan(60);
    const { stdout: status } = await eventually('the server has time again', async () => {
      const answer = await b.mpt('show', 'status');
      return answer.stdout.includes('CMD_OK:') && answer;
    });
    expect(status).toContain('conn4_B');
  });

  it('does not shut root out by it', async () => {
    const b = await lab.start('b', lab.folder('b', PATHS));
    const program = `
      const socket = require('dgram').createSocket('udp4');
      const command = Buffer.from('\\xa4\\0\\0\\0delete ipv4.conf\\0', 'latin1');
      const send = () => socket.send(command, ${COMMAND_PORT}, '127.0.0.1');
      let busy = 0;
      socket.on('message', (reply) => {
        if (reply[0] !== 0xa4) return;
        if (reply.includes('busy') && ++busy === 100) console.log('busy');
        send();
      });
      for (let i = 0; i < 20; i++) send();
    `;
    const words = ['setpriv', '--reuid=65534', '--clear-groups', process.execPath, '-e', program];
    const flood = lab.node('b').spawn(words, { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      await once(flood.stdout!, 'data');
      for (let i = 0; i < 5; i++) {
        // oxlint-disable-next-line no-await-in-loop -- one command after another
        const { stdout } = await b.mpt('path', 'up', '10.1.1.3', '10.1.1.2');
        expect(stdout).toContain('CMD_OK:path up');
      }
    } finally {
      flood.kill('SIGKILL');
    }
  });
});

describe('without a key', () => {
  it('who says down and up all the time is heard now and then, and fills no log', async () => {
    const [a, b] = await lab.startBoth(PATHS);
    // What is not answered anew is a repetition.
    const words: Buffer[] = [];
    for (let i = 0; i < 1000; i++) {
      const status = i & 1 ? 0 : 0x80;
      words.push(message({ status }), message({ status, round: 3, rest: BODY }));
    }
    const beganMs = performance.now();
    await sendAll(words, '10.2.2.2');
    const { control } = await b.status();
    // 64 at once, and ten a second.
    expect(control.executed).toBeLessThan(80 + (10 * (performance.now() - beganMs)) / 1000);
    expect(control.drops['busy']).toBeGreaterThan(100);
    // The peer's own word comes through when the flood is over.
    await a.mpt('path', 'down', '10.1.1.2', '10.1.1.3');
    await b.pathsAre(128, 0);
    await a.mpt('path', 'up', '10.1.1.2', '10.1.1.3');
    await b.pathsAre(0, 0);
    expect(b.program.stderr.split('\n').length).toBeLessThan(130);
  });
});

describe('creations under the public default key', () => {
  const connection = () => readConnection(folderTexts('a').connections['ipv4.conf']!);
  const text = (change: (lines: string) => string) =>
    Buffer.from(change(writeConnection(connection())), 'latin1');

  const TEXTS: readonly (readonly [string, () => Buffer])[] = [
    ['no text', () => Buffer.alloc(0)],
    ['four bytes', () => Buffer.from(';;;;')],
    ['only zeros', () => Buffer.alloc(5000)],
    ['binary', () => Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 131) & 0xff))],
    ['a million paths', () => text((lines) => lines.replace('path_count       = 2', 'path_count = 1000000'))],
    [
      'a negative number of paths',
      () => text((lines) => lines.replace('path_count       = 2', 'path_count = -1')),
    ],
    ['no paths', () => text((lines) => lines.replace('path_count       = 2', 'path_count = 0'))],
    ['weights of 0', () => text((lines) => lines.replaceAll(/weight_(in|out) {4,5}= 1/g, 'weight_$1 = 0'))],
    [
      'endless networks',
      () => text((lines) => lines.replace('network_count    = 0', 'network_count = 99999')),
    ],
    ['a name of 60,000 characters', () => text((lines) => lines.replace('conn4_A', 'n'.repeat(60_000)))],
    ['another tunnel address of ours', () => text((lines) => lines.replace('10.0.0.2', '10.0.0.3'))],
    ['an address outside of the tunnel', () => text((lines) => lines.replace('10.0.0.2', '8.8.8.8'))],
    ['addresses that are none', () => text((lines) => lines.replaceAll('10.1.1.2', 'localhost;reboot'))],
    [
      'broadcast and multicast',
      () =>
        text((lines) => lines.replaceAll('10.1.1.2', '255.255.255.255').replaceAll('10.2.2.2', '224.0.0.1')),
    ],
    ['a port of 0', () => text((lines) => lines.replace(/\nlocal_port .*/, '\nlocal_port = 0'))],
    ['a port of 99999', () => text((lines) => lines.replace(/\nlocal_port .*/, '\nlocal_port = 99999'))],
  ];

  it('harm nobody, whatever their text says', async () => {
    const b = await lab.start('b', lab.folder('b', { ...PATHS, empty: 'b', acceptRemote: true }));
    const node = lab.node('b');
    const trap = `/tmp/weft-trap-${process.pid}`;
    const before = takeSnapshot({ netns: node.path });
    const socket = bindUdp(lab.node('a'), '10.1.1.2', 0);
    const answers: Buffer[] = [];
    socket.on('message', (answer) => answers.push(answer));
    const results: string[] = [];
    for (const [name, make] of TEXTS) {
      const body = make();
      answers.length = 0;
      const head = { command: 0xa3, status: 0, authType: 2, ipLocal: '10.0.0.2', ipRemote: '10.0.0.3' };
      socket.send(message({ ...head, rest: lengthField(body.length) }), COMMAND_PORT, '10.1.1.3');
      // oxlint-disable-next-line no-await-in-loop -- one exchange after another
      await eventually(`${name}: round 2`, () => answers.length > 0, 3000).catch(() => {});
      const token = answers[0] === undefined ? 0 : readControlMessage(answers[0])!.token;
      answers.length = 0;
      socket.send(message({ ...head, round: 3, token, rest: body }), COMMAND_PORT, '10.1.1.3');
      // oxlint-disable-next-line no-await-in-loop
      await eventually(`${name}: round 4`, () => answers.length > 0, 3000).catch(() => {});
      const code = answers[0]?.[1];
      // oxlint-disable-next-line no-await-in-loop
      const { connections } = await b.status();
      results.push(`${name}: ${code ?? 'no answer'}, ${connections.length}`);
      // What was made all the same is taken away again, and leaves nothing.
      // oxlint-disable-next-line no-await-in-loop
      for (const { file } of connections) await b.mpt('delete', file);
      expect(diffSnapshots(before, takeSnapshot({ netns: node.path })), name).toEqual([]);
    }
    socket.close();
    expect(existsSync(trap)).toBe(false);
    const harmless = /^(weights of 0|endless networks|a name|no paths|another tunnel|a port of 0|broadcast)/;
    for (const result of results) {
      if (!harmless.test(result)) expect(result).toMatch(/: (4|no answer), 0$/);
    }
    expect(b.program.process.exitCode).toBeNull();
    expect(b.program.stderr.length).toBeLessThan(100_000);
    expect((await b.mpt('show', 'status')).stdout).toContain('CMD_OK:\nTunnel information:');
  });

  it('under another key get no answer', async () => {
    const b = await lab.start(
      'b',
      lab.folder('b', { ...PATHS, empty: 'b', acceptRemote: true, authKey: 'f'.repeat(64) }),
    );
    const body = text((lines) => lines);
    const head = { command: 0xa3, status: 0, authType: 2 };
    await sendAll([
      message({ ...head, rest: lengthField(body.length) }),
      message({ ...head, round: 3, rest: body }),
    ]);
    const { connections, control } = await b.status();
    expect(connections).toEqual([]);
    expect(control.drops['not authentic']).toBe(2);
  });
});

describe('keepalives', () => {
  it('of somebody else bring no path back', async () => {
    const b = await lab.start('b', lab.folder('b', { ...PATHS, path: { status: 128 } }));
    await b.pathsAre(128, 128);
    const stranger = bindUdp(lab.node('a'), '10.2.2.2', 0);
    const keepalive = keepaliveMessage(4, '10.0.0.2', '10.0.0.3');
    for (let i = 0; i < 20; i++) stranger.send(keepalive, DATA_PORTS[4], '10.1.1.3');
    await eventually('they are counted', async () => (await b.connection()).paths[0]!.strangers >= 20);
    await b.pathsAre(128, 128);
    // The peer itself does.
    stranger.send(keepalive, DATA_PORTS[4], '10.2.2.3');
    await b.pathsAre(128, 0);
    stranger.close();
  });

  it('in the name of the peer keep none of its own away', async () => {
    const options = { ...PATHS, authType: 2, authKey: 'k'.repeat(64) } as const;
    const [, b] = await lab.startBoth(options);
    await eventually('the peer is known', async () =>
      (await b.connection()).paths.every((path) => path.isWeft),
    );
    // Nothing else flows, so the path lives by its keepalives, four a second.
    const forger = bindUdp(lab.node('a'), '10.1.1.2', 0);
    const keepalive = keepaliveMessage(4, '10.0.0.2', '10.0.0.3');
    const endMs = performance.now() + 3500;
    const statuses = new Set<number>();
    while (performance.now() < endMs) {
      for (let i = 0; i < 100; i++) forger.send(keepalive, DATA_PORTS[4], '10.1.1.3');
      // oxlint-disable-next-line no-await-in-loop -- so that they reach the socket
      statuses.add((await b.connection()).paths[0]!.status);
    }
    forger.close();
    expect([...statuses]).toEqual([0]);
  });

  it('in any number and of any length are taken in, and cost the tunnel nothing', async () => {
    const [, b] = await lab.startBoth(PATHS);
    const peer = bindUdp(lab.node('a'), '10.1.1.2', 0);
    for (let i = 0; i < 3000; i++) {
      const keepalive = keepaliveMessage(4, '10.0.0.2', '10.0.0.3');
      const more = Buffer.alloc(i % 1400, i);
      peer.send(Buffer.concat([keepalive.subarray(0, 5 + (i % 40)), more]), DATA_PORTS[4], '10.1.1.3');
      // oxlint-disable-next-line no-await-in-loop -- so that they reach the socket
      if (i % 100 === 0) await ping(lab.node('a'), '10.0.0.3', ['-c', '1', '-W', '1']);
    }
    peer.close();
    await b.pathsAre(0, 0);
    await expectWell(b);
    expect(b.program.process.exitCode).toBeNull();
  });
});
