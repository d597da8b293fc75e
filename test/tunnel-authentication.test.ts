/**
 * Control messages under each authentication type, with the right key, the wrong key and the wrong type, between Weft
 * and Weft and between Weft and the stand-in for the original, either of them asking. Topology: guide's figure 3.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { executeCommand } from './support/mpt-peer-commands.ts';
import {
  controlMessage,
  isHashRight,
  lengthField,
  readControlMessage,
  sixteen,
} from './support/mpt-peer-wire.ts';
import { COMMAND_PORT, type PairOptions } from './support/tunnel-config.ts';
import { answerOf, eventually, ping, TunnelLab } from './support/tunnel-lab.ts';
import { bindUdp } from './support/tunnel-traffic.ts';

const KEY = '00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF';
const OTHER_KEY = 'FF112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF';
const DOWN = ['path', 'down', '10.1.1.2', '10.1.1.3'] as const;
const UP = ['path', 'up', '10.1.1.2', '10.1.1.3'] as const;
/** Keepalives would say the same a little later, so there are none; what is seen is the exchange's. */
const QUIET = { keepaliveS: 0, deadS: 0 } as const;

let lab: TunnelLab;

beforeEach(async () => {
  lab = await TunnelLab.build();
});

afterEach(async () => {
  await lab.close();
});

const CASES: readonly (readonly [string, PairOptions])[] = [
  ['type 0', { authType: 0 }],
  ['type 1', { authType: 1 }],
  ['type 2 with the default key', { authType: 2 }],
  ['type 2 with a key', { authType: 2, authKey: KEY }],
];

describe.each(CASES)('%s', (_name, authentication) => {
  const options = { ...QUIET, ...authentication };

  it('Weft tells Weft', async () => {
    const [a, b] = await lab.startBoth(options);
    await a.mpt(...DOWN);
    await a.pathsAre(131, 0);
    await b.pathsAre(128, 0);
    await a.mpt(...UP);
    await a.pathsAre(0, 0);
    await b.pathsAre(0, 0);
    expect((await b.status()).control).toMatchObject({ executed: 2 });
  });

  it('Weft tells the original', async () => {
    const peer = lab.startPeer('b', options);
    const a = await lab.start('a', lab.folder('a', options));
    const statusOf = (path: number) => peer.connections[0]!.paths[path]!.status;
    await a.mpt(...DOWN);
    await eventually('the original heard that it is down', () => statusOf(0) === 0x80);
    await a.mpt(...UP);
    await eventually('the original heard that it is up', () => statusOf(0) === 0);
    expect(statusOf(1)).toBe(0);
    expect(peer.lines.filter((line) => line.startsWith('Path status'))).toEqual([
      'Path status changed to 0x80 (10.1.1.3 -> 10.1.1.2) ',
      'Path status changed to 0x00 (10.1.1.3 -> 10.1.1.2) ',
    ]);
  });

  it('the original tells Weft', async () => {
    const peer = lab.startPeer('a', options);
    const b = await lab.start('b', lab.folder('b', options));
    expect(await executeCommand(peer, DOWN.join(' '))).toMatchObject({ ok: true });
    await b.pathsAre(128, 0);
    expect(b.program.stdout).toContain('Path status changed to 0x80 (10.1.1.3 -> 10.1.1.2) ');
    expect(await executeCommand(peer, UP.join(' '))).toMatchObject({ ok: true });
    await b.pathsAre(0, 0);
    expect((await b.status()).control).toMatchObject({ executed: 2 });
  });

  it('Weft creates at Weft, the original creates at Weft, Weft creates at the original', async () => {
    const create = { ...options, acceptRemote: true, empty: 'b', reorderWindow: 100 } as const;
    const [a, b] = await lab.startBoth(create);
    expect(answerOf(await a.mpt('create', 'ipv4.conf'))).toBe('CMD_OK:create ipv4.conf\n');
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    await a.stop();
    const original = lab.startPeer('a', { ...create, inner: [6] });
    expect(await executeCommand(original, 'create ipv6.conf')).toEqual({
      ok: true,
      text: 'create ipv6.conf',
    });
    const { received, text } = await ping(lab.node('a'), 'fec0::3');
    const sent = original.connections[0]!.paths.map(({ sentPackets }) => sentPackets);
    const { connections, totals } = await b.status();
    expect(received, JSON.stringify({ text, sent, connections, totals, lines: original.lines })).toBe(3);
    expect((await b.connection('peer_fec0__2.conf')).authType).toBe(options.authType);
    await original.stop();
    await b.stop();
    const far = lab.startPeer('b', create);
    const again = await lab.start('a', lab.folder('a', create));
    expect(answerOf(await again.mpt('create', 'ipv4.conf'))).toBe('CMD_OK:create ipv4.conf\n');
    expect(far.connections.map(({ file }) => file)).toEqual(['peer_10_0_0_2.conf']);
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect(answerOf(await again.mpt('create', 'ipv4.conf'))).toMatch(/already exists \(error code:5\)/);
  });
});

describe('the wrong key', () => {
  const wrong = { ...QUIET, authType: 2, authKey: { a: KEY, b: OTHER_KEY } } as const;

  it('changes nothing at Weft, whoever asks, and is counted', async () => {
    const [a, b] = await lab.startBoth(wrong);
    await a.mpt(...DOWN);
    await a.pathsAre(131, 0);
    await b.pathsAre(0, 0);
    const { control } = await b.status();
    expect(control.executed).toBe(0);
    expect(control.drops['not authentic']).toBeGreaterThan(0);
    expect(a.program.stdout + a.program.stderr + b.program.stderr).not.toContain(KEY.slice(0, 16));
  });

  it('of the original changes nothing at Weft, and that of Weft nothing at the original', async () => {
    const peer = lab.startPeer('a', wrong);
    const b = await lab.start('b', lab.folder('b', wrong));
    await executeCommand(peer, DOWN.join(' '));
    expect(peer.lines).toContain('error: No answer from peer (Round 2).');
    await b.pathsAre(0, 0);
    await b.mpt('path', 'down', '10.2.2.3', '10.2.2.2');
    await b.pathsAre(0, 131);
    expect(peer.lines).toContain('Authentication error');
    expect(peer.connections[0]!.paths[1]!.status).toBe(0);
  });

  it('creates nothing', async () => {
    const options = { ...wrong, acceptRemote: true, empty: 'b' } as const;
    const [a, b] = await lab.startBoth(options);
    expect(answerOf(await a.mpt('create', 'ipv4.conf'))).toMatch(
      /^CMD-ERROR:Connection creation failed \(code: [13]; Remote server problem\?\)/,
    );
    expect((await b.status()).connections).toEqual([]);
  });
});

describe('the wrong type', () => {
  it.each([
    [0, 1],
    [0, 2],
    [1, 2],
    [2, 0],
  ] as const)('of %d for %d changes nothing', async (asking, answering) => {
    const peer = lab.startPeer('a', { ...QUIET, authType: asking });
    const b = await lab.start('b', lab.folder('b', { ...QUIET, authType: answering }));
    await executeCommand(peer, DOWN.join(' '));
    await b.pathsAre(0, 0);
    expect((await b.status()).control.executed).toBe(0);
  });
});

describe('what the original lets through', () => {
  it.each([0, 1] as const)('round 0 of type %d is not executed by Weft', async (authType) => {
    const options = { ...QUIET, authType };
    const peer = lab.startPeer('b', options);
    const b2 = await lab.start('a', lab.folder('a', options));
    const attacker = bindUdp(lab.node('a'), '10.1.1.2', 0);
    const elsewhere = bindUdp(lab.node('b'), '10.1.1.3', 0);
    const message = (local: string, remote: string, body: readonly [string, string]) =>
      controlMessage(
        {
          command: 0xa2,
          status: 0x80,
          authType,
          token: 0,
          round: 0,
          ipVersion: 4,
          unused: Buffer.alloc(2),
          ipLocal: sixteen(local),
          ipRemote: sixteen(remote),
          rest: Buffer.concat(body.map(sixteen)),
        },
        Buffer.alloc(32),
      );
    attacker.send(message('10.0.0.2', '10.0.0.3', ['10.1.1.2', '10.1.1.3']), COMMAND_PORT, '10.1.1.3');
    // The stand-in does as the original: this is what an attacker could do to it.
    await eventually('the original fell for it', () => peer.connections[0]!.paths[0]!.status === 0x80);
    elsewhere.send(message('10.0.0.3', '10.0.0.2', ['10.1.1.3', '10.1.1.2']), COMMAND_PORT, '10.1.1.2');
    await eventually('Weft counted it', async () => (await b2.status()).control.drops['round 0'] === 1);
    await b2.pathsAre(0, 0);
    attacker.close();
    elsewhere.close();
  });

  it('a repeated exchange of type 2 is not executed again', async () => {
    const options = { ...QUIET, authType: 2, authKey: KEY } as const;
    const b = await lab.start('b', lab.folder('b', options));
    const socket = bindUdp(lab.node('a'), '10.1.1.2', COMMAND_PORT);
    const key = Buffer.from(KEY.slice(0, 32));
    const head = {
      command: 0xa2,
      authType: 2,
      ipVersion: 4,
      unused: Buffer.alloc(2),
      ipLocal: sixteen('10.0.0.2'),
      ipRemote: sixteen('10.0.0.3'),
    };
    const body = Buffer.concat([sixteen('10.1.1.2'), sixteen('10.1.1.3')]);
    const answers: Buffer[] = [];
    socket.on('message', (datagram) => answers.push(datagram));
    const exchange = async (status: number) => {
      answers.length = 0;
      const first = controlMessage({ ...head, status, token: 0, round: 1, rest: lengthField(32) }, key);
      socket.send(first, COMMAND_PORT, '10.1.1.3');
      await eventually('round 2', () => answers.length > 0);
      expect(isHashRight(answers[0]!, key)).toBe(true);
      const { token } = readControlMessage(answers[0]!)!;
      answers.length = 0;
      const third = controlMessage({ ...head, status, token, round: 3, rest: body }, key);
      socket.send(third, COMMAND_PORT, '10.1.1.3');
      await eventually('round 4', () => answers.length > 0);
      return [first, third] as const;
    };
    const recorded = await exchange(0x80);
    await b.pathsAre(128, 0);
    await exchange(0);
    await b.pathsAre(0, 0);
    for (const datagram of recorded) socket.send(datagram, COMMAND_PORT, '10.1.1.3');
    await eventually('it was counted', async () => {
      const { drops, repeated } = (await b.status()).control;
      return (drops['replayed'] ?? 0) + (drops['wrong token'] ?? 0) + repeated > 0;
    });
    await b.pathsAre(0, 0);
    expect((await b.status()).control.executed).toBe(2);
    socket.close();
  });
});
