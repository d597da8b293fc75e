/**
 * The stand-in for the original program (support/mpt-peer.ts): it answers as the original was recorded to, and two of
 * them make a tunnel. What the other tests believe of it rests on this.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { readRecording } from './support/mpt-recordings.ts';
import { respond, type ExchangeConnection } from './support/mpt-peer-exchange.ts';
import { makeForPeer } from './support/mpt-peer-create.ts';
import { readConnection, writeConnection } from './support/mpt-peer-text.ts';
import { controlMessage, isHashRight, readControlMessage } from './support/mpt-peer-wire.ts';
import { eventually, ping, TunnelLab } from './support/tunnel-lab.ts';
import { tunnelAddress } from './support/tunnel-config.ts';

let lab: TunnelLab | undefined;

afterEach(async () => {
  await lab?.close();
  lab = undefined;
});

const isControl = ({ from, to }: { readonly from: string; readonly to: string }) =>
  from.endsWith(':60456') && to.endsWith(':60456');

describe('the stand-in answers as recorded', () => {
  const files = [0, 1, 2].map((type) => `ctl-auth${type}-path.eth2`);

  it.each([...files, 'ctl-auth2-customkey-path.eth2', 'ctl-create.eth1'])('%s', (name) => {
    const key = Buffer.from(
      name.includes('custom') ? '00112233445566778899AABBCCDDEEFF' : 'A0A1A2A3A4A5A6A7A8A9AAABACADAEAF',
    );
    const isCreate = name.includes('create');
    const recorded = readRecording(name).filter(isControl);
    const authType = isCreate ? 0 : recorded[0]!.payload[2]!;
    const known: ExchangeConnection = {
      authType,
      key: isCreate ? Buffer.alloc(32) : key,
      token: 0,
      expected: isCreate ? 3 : 0,
    };
    let exists = !isCreate;
    const changes: number[] = [];
    let token = 0;
    for (const [index, each] of recorded.entries()) {
      const message = readControlMessage(Buffer.from(each.payload))!;
      // Writing what was read gives the same bytes, with the key that the hash was made with.
      const keys = [key, Buffer.alloc(32)];
      const right = keys.find((candidate) => isHashRight(Buffer.from(each.payload), candidate)) ?? key;
      expect(controlMessage(message, right).toString('hex')).toBe(Buffer.from(each.payload).toString('hex'));
      if (message.round % 2 === 0) continue;
      const answer = recorded[index + 1]!;
      token = readControlMessage(Buffer.from(answer.payload))!.token;
      const sent: Buffer[] = [];
      respond(
        {
          globalKey: key,
          acceptsRemote: true,
          send: (datagram) => sent.push(datagram),
          find: () => (exists ? known : undefined),
          execute: (request) => {
            changes.push(request.status);
            if (!isCreate) return { code: 0, body: Buffer.alloc(0) };
            if (exists) return { code: 5, body: Buffer.from([1]) };
            exists = true;
            return { code: 0, body: readControlMessage(Buffer.from(answer.payload))!.rest };
          },
          randomToken: () => token,
          log: () => {},
        },
        Buffer.from(each.payload),
        '10.1.1.2',
        60_456,
      );
      expect(sent[0]?.toString('hex')).toBe(Buffer.from(answer.payload).toString('hex'));
    }
    expect(changes).toEqual(isCreate ? [0, 0] : [0x80, 0]);
  });

  it('makes of a create the connection that the original made, and writes its text', () => {
    const rounds = readRecording('ctl-create.eth1').filter(isControl);
    const asked = readControlMessage(Buffer.from(rounds[2]!.payload))!.rest;
    const answered = readControlMessage(Buffer.from(rounds[3]!.payload))!.rest.toString('latin1');
    const connection = readConnection(asked.subarray(4).toString('latin1'));
    expect(writeConnection(connection)).toBe(asked.toString('latin1'));
    // The template of side b: its own addresses, port 65060.
    const template = readConnection(answered.slice(4));
    const made = makeForPeer({ ...template, paths: template.paths }, connection, '10.0.0.3');
    const text = writeConnection(made);
    expect(text.slice(0, text.length - 36)).toBe(answered);
  });
});

describe('two stand-ins', () => {
  it.each([4, 6] as const)('make a tunnel, over IPv%d', async (outer) => {
    lab = await TunnelLab.build();
    const options = { inner: [4, 6] as const, outer: [outer, outer], reorderWindow: 900, maxDelayMs: 300 };
    const a = lab.startPeer('a', options);
    const b = lab.startPeer('b', options);
    for (const version of [4, 6] as const) {
      const { sent, received } = await ping(lab.node('a'), tunnelAddress('b', version), [
        '-c',
        '6',
        '-i',
        '0.02',
      ]);
      expect(received).toBe(sent);
    }
    for (const peer of [a, b]) {
      for (const { paths } of peer.connections) {
        for (const path of paths) expect(path.sentPackets).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('change paths and create connections', async () => {
    lab = await TunnelLab.build();
    const options = { authType: 0, acceptRemote: true, empty: 'b' } as const;
    const a = lab.startPeer('a', options);
    const b = lab.startPeer('b', options);
    const { executeCommand } = await import('./support/mpt-peer-commands.ts');
    expect(await executeCommand(a, 'create ipv4.conf')).toEqual({ ok: true, text: 'create ipv4.conf' });
    expect(b.connections.map(({ file }) => file)).toEqual(['peer_10_0_0_2.conf']);
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
    expect((await executeCommand(a, 'create ipv4.conf')).text).toMatch(/already exists/);
    expect((await executeCommand(a, 'path down 10.1.1.2 10.1.1.3')).ok).toBe(true);
    await eventually('the other side hears', () => b.connections[0]!.paths[0]!.status === 0x80);
    expect((await ping(lab.node('a'), '10.0.0.3')).received).toBe(3);
  });
});
