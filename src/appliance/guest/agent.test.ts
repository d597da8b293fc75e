import { describe, expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import { emitLine, LineReader } from './agent-lines.ts';
import { GuestAgent, type GuestFace } from './agent.ts';
import type { GuestHello, GuestLink, GuestLinkReport, HostRequest } from './protocol.ts';

const HELLO: GuestHello = {
  protocol: 1,
  version: '0.1.0',
  kernel: '6.1',
  node: '20',
  mptcp: true,
  uptimeMs: 1,
  macs: [],
};
const LINK: GuestLink = {
  mac: '52:54:00:00:00:01',
  role: 'uplink',
  addresses: ['10.0.0.2/30'],
  gateways: ['10.0.0.1'],
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

class Guest implements GuestFace {
  readonly calls: string[] = [];
  readonly linked: (() => void)[] = [];
  hello = () => HELLO;
  link(link: GuestLink, waitMs: number | undefined): Promise<GuestLinkReport> {
    this.calls.push(`link ${link.mac} ${waitMs}`);
    const report = {
      mac: link.mac,
      name: 'eth0',
      role: link.role,
      addresses: [],
      up: true,
      receivedBytes: 0,
      sentBytes: 0,
    };
    return new Promise((resolve) => this.linked.push(() => resolve(report)));
  }
  unlink(mac: string): void {
    this.calls.push(`unlink ${mac}`);
  }
  proxy(proxy: { address: string; port: number; multipath: boolean }): Promise<{ addresses: string[] }> {
    this.calls.push(`proxy ${JSON.stringify(proxy)}`);
    return Promise.reject(new WeftError('taken', { code: 'EADDRINUSE' }));
  }
  status() {
    return Promise.resolve({
      uptimeMs: 1,
      memoryTotalBytes: 1,
      memoryAvailableBytes: 1,
      links: [],
      missingMacs: [],
    });
  }
  stop(): void {
    this.calls.push('stop');
  }
}

function talk() {
  const guest = new Guest();
  const reader = new LineReader();
  const said: Record<string, unknown>[] = [];
  const agent = new GuestAgent(guest, (bytes) => {
    said.push(...reader.handleBytes(bytes));
    return true;
  });
  const ask = (question: unknown) => agent.handleBytes(emitLine(question as HostRequest));
  return { guest, agent, said, ask };
}

describe('GuestAgent', () => {
  it('says hello first, and answers', async () => {
    const { agent, ask, said } = talk();
    agent.handleOpen();
    ask({ id: 1, do: 'hello' });
    await turn();
    expect(said).toEqual([
      { event: 'hello', hello: HELLO },
      { id: 1, ok: true, result: HELLO },
    ]);
  });

  it('holds nothing up for a link that it waits for', async () => {
    const { ask, guest, said } = talk();
    ask({ id: 1, do: 'link', link: LINK, waitMs: 1e9 });
    ask({ id: 2, do: 'unlink', mac: LINK.mac });
    ask({ id: 3, do: 'status' });
    await turn();
    expect(guest.calls).toEqual([`link ${LINK.mac} 60000`, `unlink ${LINK.mac}`]);
    expect(said.map(({ id }) => id)).toEqual([2, 3]);
    guest.linked[0]?.();
    await turn();
    expect(said.map(({ id, ok }) => [id, ok])).toEqual([
      [2, true],
      [3, true],
      [1, true],
    ]);
  });

  it('starts one proxy after another', async () => {
    const { ask, guest, said } = talk();
    let first = () => {};
    const started: string[] = [];
    guest.proxy = async ({ address }) => {
      started.push(address);
      if (started.length === 1) await new Promise<void>((resolve) => (first = resolve));
      return { addresses: [address] };
    };
    ask({ id: 1, do: 'proxy', proxy: { address: 'a' } });
    ask({ id: 2, do: 'proxy', proxy: { address: 'b' } });
    await turn();
    expect(started).toEqual(['a']);
    first();
    await turn();
    await turn();
    expect(started).toEqual(['a', 'b']);
    expect(said.map(({ id }) => id)).toEqual([1, 2]);
  });

  it('answers a failure with its code, and goes on', async () => {
    const { ask, guest, said } = talk();
    ask({ id: 1, do: 'proxy', proxy: { address: '10.0.0.2' } });
    ask({ id: 2, do: 'proxy', proxy: { port: 0 } });
    ask({ id: 3, do: 'link', link: { mac: 'x' } });
    ask({ id: 4, do: 'fly' });
    ask({ id: 5, do: 'unlink' });
    ask({ id: 6, do: 'unlink', mac: 'a' });
    await turn();
    await turn();
    expect(guest.calls).toContain('proxy {"address":"10.0.0.2","multipath":true,"port":13128}');
    const codes = new Map(
      said.map(({ error, id, ok }) => [id, ok === true ? 'ok' : (error as { code: string }).code]),
    );
    expect([1, 2, 3, 4, 5, 6].map((id) => codes.get(id))).toEqual([
      'EADDRINUSE',
      'BAD_REQUEST',
      'BAD_REQUEST',
      'BAD_REQUEST',
      'BAD_REQUEST',
      'ok',
    ]);
  });

  it('stops after it has answered', async () => {
    const { ask, guest, said } = talk();
    ask({ id: 9, do: 'stop' });
    expect(guest.calls).toEqual([]);
    await turn();
    expect(said).toEqual([{ id: 9, ok: true, result: {} }]);
    expect(guest.calls).toEqual(['stop']);
  });

  it('bounds the questions that wait', async () => {
    const { ask, said } = talk();
    for (let id = 1; id <= 100; id++) ask({ id, do: 'link', link: LINK });
    await turn();
    const refused = said.filter(({ error }) => (error as { code?: string } | undefined)?.code === 'BUSY');
    expect(refused).toHaveLength(36);
  });

  it('says so when it does not understand, and listens anew', async () => {
    const { agent, ask, said } = talk();
    ask({ id: 1, do: 'hello' });
    agent.handleBytes(new TextEncoder().encode('{]\n'));
    ask({ id: 2, do: 'hello' });
    ask({ text: 'no number' });
    await turn();
    expect(said.map(({ event, id }) => event ?? id)).toEqual(['log', 1, 2]);
  });
});
