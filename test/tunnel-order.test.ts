/**
 * What comes out of the tunnel when the paths do bad things to what goes in: different delays, duplicates, corrupt
 * packets, loss, sequence numbers that wrap around, an end that starts anew. Topology: guide's figure 3 over links with
 * delays, or with the stand-in for the original as a sender that does as it is told.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { DATA_PORTS, tunnelAddress, type PairOptions } from './support/tunnel-config.ts';
import { eventually, ping, TunnelLab, type TunnelServer } from './support/tunnel-lab.ts';
import { bindUdp, transferTcp, UdpFlow } from './support/tunnel-traffic.ts';

const ORDERED: PairOptions = { reorderWindow: 900, maxDelayMs: 300 };

let lab: TunnelLab;

afterEach(async () => {
  await lab.close();
});

function flow(from: 'a' | 'b', bytes = 200): UdpFlow {
  const to = from === 'a' ? 'b' : 'a';
  return new UdpFlow({
    from: lab.node(from),
    fromAddress: tunnelAddress(from, 4),
    to: lab.node(to),
    address: tunnelAddress(to, 4),
    bytes,
  });
}

async function send(udp: UdpFlow, count: number): Promise<void> {
  udp.start(2, 1);
  await eventually('datagrams are sent', () => udp.sent >= count);
  udp.pause();
}

const allArrived = (udp: UdpFlow) => eventually('all have arrived', () => udp.distinct === udp.sent, 5000);

describe('paths of 5 and 50 ms', () => {
  const delayMs = [5, 50];

  it('between Weft and Weft: everything arrives, once, in order', async () => {
    lab = await TunnelLab.build({ delayMs });
    await lab.startBoth(ORDERED);
    await ping(lab.node('a'), tunnelAddress('b', 4));
    const udp = flow('a');
    try {
      await send(udp, 1500);
      await allArrived(udp);
      expect(udp.doubled).toBe(0);
      expect(udp.disordered).toBe(0);
    } finally {
      udp.close();
    }
  });

  it('after a rest a burst over both loses nothing: the slower path is waited for', async () => {
    lab = await TunnelLab.build({ delayMs });
    const options: PairOptions = { reorderWindow: 900, maxDelayMs: 150 };
    const [, b] = await lab.startBoth(options);
    await ping(lab.node('a'), tunnelAddress('b', 4));
    const udp = flow('a');
    try {
      for (let burst = 1; burst <= 3; burst++) {
        const lastMs = performance.now();
        // oxlint-disable-next-line no-await-in-loop -- one rest, longer than any packet waits, and one burst
        await eventually('a rest', () => performance.now() - lastMs > 400);
        for (let i = 0; i < 100; i++) udp.sendOne();
        // oxlint-disable-next-line no-await-in-loop
        await allArrived(udp);
      }
      expect(udp.disordered).toBe(0);
      expect(await b.connection()).toMatchObject({ late: 0, missing: 0 });
    } finally {
      udp.close();
    }
  });

  it('without a window packets go on as they come', async () => {
    lab = await TunnelLab.build({ delayMs });
    await lab.startBoth({ reorderWindow: 0 });
    await ping(lab.node('a'), tunnelAddress('b', 4));
    const udp = flow('a');
    try {
      await send(udp, 600);
      await allArrived(udp);
      expect(udp.doubled).toBe(0);
      expect(udp.disordered).toBeGreaterThan(100);
    } finally {
      udp.close();
    }
  });

  it.each(['a', 'b'] as const)(
    'from %s, with the original at b: everything arrives in order at Weft',
    async (from) => {
      lab = await TunnelLab.build({ delayMs });
      lab.startPeer('b', ORDERED);
      await lab.start('a', lab.folder('a', ORDERED));
      await ping(lab.node('a'), tunnelAddress('b', 4));
      const udp = flow(from);
      try {
        await send(udp, 1000);
        await allArrived(udp);
        expect(udp.doubled).toBe(0);
        expect(udp.disordered).toBe(0);
      } finally {
        udp.close();
      }
    },
  );

  it('a TCP stream uses both', async () => {
    lab = await TunnelLab.build({ delayMs, rateBps: [50e6, 50e6] });
    const [a] = await lab.startBoth(ORDERED);
    await transferTcp({
      from: lab.node('a'),
      to: lab.node('b'),
      address: tunnelAddress('b', 4),
      bytes: 20e6,
    });
    const [first, second] = (await a.connection()).paths;
    const all = first!.sentPackets + second!.sentPackets;
    expect(first!.sentPackets).toBeGreaterThan(0.4 * all);
    expect(second!.sentPackets).toBeGreaterThan(0.4 * all);
  });
});

/** Weft at a, and at b a sender of which each data packet goes through `mangle`. */
async function startWithSender(
  options: PairOptions,
  mangle: (datagram: Buffer, path: number) => readonly Buffer[],
  firstSequence?: number,
): Promise<TunnelServer> {
  lab = await TunnelLab.build();
  const weft = await lab.start('a', lab.folder('a', options));
  lab.startPeer('b', options, { mangle, ...(firstSequence === undefined ? {} : { firstSequence }) });
  return weft;
}

const isUdp = (datagram: Buffer) => datagram[8 + 9] === 17;

describe('what a bad network does', () => {
  it('copies of packets are dropped and counted', async () => {
    const weft = await startWithSender(ORDERED, (datagram) => [datagram, datagram]);
    const udp = flow('b');
    try {
      await send(udp, 500);
      await allArrived(udp);
      expect(udp.doubled).toBe(0);
      expect(udp.disordered).toBe(0);
      const { duplicate, late, copies } = await weft.connection();
      expect(duplicate + late + copies).toBeGreaterThanOrEqual(udp.sent);
    } finally {
      udp.close();
    }
  });

  it('a lost packet holds the others up no longer than the configuration allows, and they keep their order', async () => {
    let count = 0;
    const weft = await startWithSender(ORDERED, (datagram) =>
      isUdp(datagram) && ++count % 20 === 0 ? [] : [datagram],
    );
    const udp = flow('b');
    try {
      await send(udp, 1000);
      const lost = Math.floor(udp.sent / 20);
      await eventually('the others arrive', () => udp.distinct >= udp.sent - lost, 5000);
      expect(udp.distinct).toBe(udp.sent - lost);
      expect(udp.disordered).toBe(0);
      expect((await weft.connection()).missing).toBeGreaterThan(0);
    } finally {
      udp.close();
    }
  });

  it('corrupt packets harm nobody: bad inner checksums and lengths, cut and stretched, TCP goes on', async () => {
    let count = 0;
    const mangle = (datagram: Buffer): readonly Buffer[] => {
      const bad = Buffer.from(datagram);
      switch (++count % 40) {
        case 5:
          bad[bad.length - 1]! ^= 0xff;
          return [bad];
        case 10:
          bad.writeUInt16BE(0xffff, 8 + 2);
          return [bad];
        case 15:
          return [bad.subarray(0, 8 + 20)];
        case 20:
          return [Buffer.concat([bad, Buffer.alloc(40, 0x5a)])];
        case 25:
          // An IP header longer than the packet.
          bad[8] = 0x4f;
          return [bad.subarray(0, 8 + 24)];
        case 30:
          // TCP data offset beyond the end.
          bad[8 + 20 + 12] = 0xf0;
          return [bad.subarray(0, 8 + 44)];
        default:
          return [datagram];
      }
    };
    const weft = await startWithSender(ORDERED, mangle);
    // The hash of what arrives is compared: nothing corrupt got through as if it were right.
    await transferTcp({
      from: lab.node('b'),
      to: lab.node('a'),
      address: tunnelAddress('a', 4),
      bytes: 300e3,
    });
    expect(weft.program.process.exitCode).toBeNull();
    expect(
      (await ping(lab.node('a'), tunnelAddress('b', 4), ['-c', '10', '-i', '0.02'])).received,
    ).toBeGreaterThan(5);
  });

  it('anything at all on the data port is counted, and the tunnel goes on', async () => {
    lab = await TunnelLab.build();
    const [a] = await lab.startBoth({ ...ORDERED, inner: [4, 6] });
    const peer = bindUdp(lab.node('b'), '10.1.1.3', 0);
    const stranger = bindUdp(lab.node('b'), '10.2.2.3', 0);
    const ports = Object.values(DATA_PORTS);
    const datagrams: Buffer[] = [];
    for (let length = 0; length < 64; length++)
      datagrams.push(Buffer.alloc(length, 0x45), Buffer.alloc(length, 0xff));
    for (const first of [0x00, 0x10, 0x80, 0x20, 0xff]) {
      for (const inner of [0x45, 0x60, 0x4f, 0xa0, 0xa1, 0xa2, 0xff, 0x00]) {
        const datagram = Buffer.alloc(100);
        datagram[0] = first;
        datagram[first === 0x10 ? 8 : 4] = inner;
        datagrams.push(datagram);
      }
    }
    let seed = 12_345;
    for (let i = 0; i < 400; i++) {
      const datagram = Buffer.alloc(i % 200);
      for (let at = 0; at < datagram.length; at++)
        datagram[at] = (seed = Math.imul(seed, 1_103_515_245) + 12_345) >>> 24;
      datagrams.push(datagram);
    }
    for (const datagram of datagrams) {
      for (const port of ports) {
        peer.send(datagram, port, '10.1.1.2');
        // To the other path's socket, whose peer this is not.
        stranger.send(datagram, port, '10.1.1.2');
      }
    }
    await eventually('they are counted', async () => {
      const [first] = (await a.connection()).paths;
      return first!.malformed > 100 && first!.strangers > 100;
    });
    // Sequence numbers made up by whoever can send from the peer's address cost at most the delay of the window.
    await eventually(
      'the tunnel goes on',
      async () => (await ping(lab.node('b'), tunnelAddress('a', 4), ['-c', '1', '-W', '1'])).received === 1,
    );
    expect(
      (await ping(lab.node('b'), tunnelAddress('a', 4), ['-c', '10', '-i', '0.02', '-W', '2'])).received,
    ).toBe(10);
    expect(a.program.process.exitCode).toBeNull();
    // Nothing is logged per packet.
    expect(a.program.stderr.split('\n').length).toBeLessThan(50);
    peer.close();
    stranger.close();
  });
});

describe('sequence numbers', () => {
  it('wrap around at 2^32 without loss or disorder', async () => {
    let count = 0;
    const held: Buffer[] = [];
    // Each third packet is held back and sent after the next two, so that there is something to put in order.
    const weft = await startWithSender(
      // On a busy machine a packet that is held back here may be so for long.
      { ...ORDERED, maxDelayMs: 2000 },
      (datagram) => {
        if (!isUdp(datagram)) return [datagram];
        if (count++ % 3 === 0) {
          held.push(datagram);
          return [];
        }
        return count % 3 === 0 ? [datagram, ...held.splice(0)] : [datagram];
      },
      2 ** 32 - 300,
    );
    // What comes first is where the count begins for Weft.
    expect((await ping(lab.node('b'), tunnelAddress('a', 4))).received).toBe(3);
    const udp = flow('b');
    try {
      await send(udp, 900);
      await eventually('the last one that is held back is out', () => {
        if (held.length > 0) udp.sendOne();
        return held.length === 0;
      });
      await eventually('all have arrived', () => udp.distinct >= udp.sent - held.length, 5000);
      expect(udp.disordered).toBe(0);
      expect(udp.doubled).toBe(0);
      expect(await weft.connection()).toMatchObject({ missing: 0, restarts: 0, duplicate: 0 });
    } finally {
      udp.close();
    }
  });

  it.each(['Weft', 'the original'])(
    'begin anew when %s is restarted under load, and nothing stalls',
    async (who) => {
      lab = await TunnelLab.build();
      const options: PairOptions = { ...ORDERED, keepaliveS: 1, deadS: 3 };
      const a = await lab.start('a', lab.folder('a', options));
      const startB = async () =>
        who === 'Weft'
          ? lab.start('b', lab.folder('b', options))
          : Promise.resolve(lab.startPeer('b', options));
      let b = await startB();
      let udp = flow('b');
      await send(udp, 2500);
      await allArrived(udp);
      udp.close();
      await b.stop();
      b = await startB();
      await eventually(
        'the tunnel is there again',
        async () => (await ping(lab.node('b'), tunnelAddress('a', 4), ['-c', '1', '-W', '1'])).received === 1,
      );
      udp = flow('b');
      await send(udp, 1000);
      await allArrived(udp);
      expect(udp.disordered).toBe(0);
      udp.close();
      expect((await a.connection()).restarts).toBe(1);
    },
  );

  it('begin anew also when the first packets of the new life are lost', async () => {
    let isRestarted = false;
    let lost = 0;
    lab = await TunnelLab.build();
    const weft = await lab.start('a', lab.folder('a', ORDERED));
    const mangle = (datagram: Buffer) => (isRestarted && lost++ < 200 ? [] : [datagram]);
    let peer = lab.startPeer('b', ORDERED, { mangle });
    let udp = flow('b');
    await send(udp, 2500);
    await allArrived(udp);
    udp.close();
    await peer.stop();
    isRestarted = true;
    peer = lab.startPeer('b', ORDERED, { mangle });
    udp = flow('b');
    try {
      await send(udp, 1000);
      await eventually('most of the rest arrives', () => udp.distinct >= udp.sent - 200 - 20, 5000);
      expect((await weft.connection()).restarts).toBe(1);
    } finally {
      udp.close();
    }
  });

  it('go on for the one that stays when the other is restarted under a TCP stream', async () => {
    lab = await TunnelLab.build();
    const [, b] = await lab.startBoth(ORDERED);
    let restarted: Promise<unknown> | undefined;
    await transferTcp({
      from: lab.node('a'),
      to: lab.node('b'),
      address: tunnelAddress('b', 4),
      bytes: 60e6,
      onProgress: (bytes) => {
        if (bytes < 20e6 || restarted !== undefined) return;
        restarted = b.mpt('restart');
      },
    });
    await restarted;
  });
});
