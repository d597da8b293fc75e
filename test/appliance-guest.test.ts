/**
 * What runs inside the appliance, in a namespace instead of a machine: its network cards are veth links, which the
 * host's words give addresses and routes to. The machine itself is booted in appliance-boot.test.ts.
 *
 *   ns guest   e0 52:54:00:00:00:00  10.77.0.2/30 ── veth ── h0  10.77.0.1   ns host
 *              e1 52:54:00:00:00:01  10.77.1.2/30 ── veth ── h1  10.77.1.1
 *              e2 52:54:00:00:00:02  10.77.2.2/30 ── veth ── h2  10.77.2.1   (comes later)
 */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { LineReader, type GuestLink, type GuestStatus, type HostRequest } from '../src/appliance/index.ts';
import { LabNode } from '../src/lab/index.ts';
import type { StatusReport } from '../src/service/index.ts';
import { bundleTypeScript } from './support/bundle.ts';
import { until } from './support/up-host.ts';

const macOf = (n: number) => `52:54:00:00:00:0${n}`;

/** The host's side of the conversation. */
class Talk {
  readonly child: ChildProcess;
  readonly events: Record<string, unknown>[] = [];
  readonly #reader = new LineReader();
  readonly #waiting = new Map<number, (answer: Record<string, unknown>) => void>();
  #lastId = 0;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.pipe(process.stderr);
    child.stdout?.on('data', (bytes: Buffer) => {
      for (const message of this.#reader.handleBytes(bytes)) {
        const { id } = message;
        if (typeof id === 'number') this.#waiting.get(id)?.(message);
        else this.events.push(message);
      }
    });
  }

  async ask(question: Omit<HostRequest, 'id'> & Record<string, unknown>): Promise<Record<string, unknown>> {
    const id = ++this.#lastId;
    const answered = new Promise<Record<string, unknown>>((resolve) => this.#waiting.set(id, resolve));
    this.child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`);
    return answered;
  }

  async status(): Promise<GuestStatus & { readonly report?: StatusReport }> {
    const { result } = await this.ask({ do: 'status' });
    return result as GuestStatus & { readonly report?: StatusReport };
  }
}

let program: string;
let guest: LabNode;
let host: LabNode;
let folder: string;
let talk: Talk;

beforeAll(async () => {
  program = await bundleTypeScript(new URL('support/guest-child.ts', import.meta.url));
});

const ip = (node: LabNode, command: string) =>
  execFileSync('ip', ['-n', node.namespace, ...command.split(' ')], { encoding: 'utf8' });

function plug(n: number): void {
  ip(guest, `link add e${n} address ${macOf(n)} type veth peer name h${n} netns ${host.namespace}`);
  ip(host, `addr add 10.77.${n}.1/30 dev h${n}`);
  ip(host, `link set h${n} up`);
}

beforeEach(() => {
  guest = new LabNode('guest', 'wag-guest');
  host = new LabNode('host', 'wag-host');
  folder = mkdtempSync('/run/weft-guest-test-');
  plug(0);
  plug(1);
  talk = new Talk(guest.spawn([process.execPath, program, folder], { stdio: 'pipe' }));
});

afterEach(async () => {
  await guest.close();
  await host.close();
  rmSync(folder, { recursive: true });
});

const uplink = (n: number, change: Partial<GuestLink> = {}): GuestLink => ({
  mac: macOf(n),
  role: 'uplink',
  addresses: [`10.77.${n}.2/30`],
  gateways: [`10.77.${n}.1`],
  metric: 100 + n,
  label: `wan${n}`,
  ...change,
});

const HOST: GuestLink = { mac: macOf(0), role: 'host', addresses: ['10.77.0.2/30'], gateways: [] };

const defaults = () =>
  ip(guest, '-4 route show default')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

it('says hello, follows what the host says of its cards, and leaves the others alone', async () => {
  await until(() => talk.events.length > 0, 'hello');
  const macs = [macOf(0), macOf(1)];
  const hello = {
    event: 'hello',
    hello: { protocol: 1, version: '0.1.0', mptcp: true, macs: expect.arrayContaining(macs) as string[] },
  };
  expect(talk.events[0]).toMatchObject(hello);

  const answer = await talk.ask({
    do: 'link',
    link: uplink(1, { mtuBytes: 1400, addresses: ['10.77.1.2/30', 'fd77:1::2/64'] }),
  });
  expect(answer).toMatchObject({
    ok: true,
    result: {
      mac: macOf(1),
      name: 'e1',
      label: 'wan1',
      role: 'uplink',
      addresses: expect.arrayContaining(['10.77.1.2/30', 'fd77:1::2/64']) as string[],
    },
  });
  expect(ip(guest, 'link show e1')).toContain('mtu 1400');
  expect(ip(guest, '-6 addr show e1')).toMatch(/fd77:1::2\/64 scope global (?!tentative)/);
  expect(defaults()).toEqual(['default via 10.77.1.1 dev e1 proto static metric 101']);
  expect(ip(guest, 'addr show e0')).not.toContain('inet ');

  // Said again: nothing changes. Said otherwise: it becomes so.
  await talk.ask({
    do: 'link',
    link: uplink(1, { mtuBytes: 1400, addresses: ['10.77.1.2/30', 'fd77:1::2/64'] }),
  });
  expect(defaults()).toHaveLength(1);
  await talk.ask({
    do: 'link',
    link: uplink(1, { addresses: ['10.99.0.2/30'], gateways: ['10.99.0.1'], metric: 7 }),
  });
  expect(defaults()).toEqual(['default via 10.99.0.1 dev e1 proto static metric 7']);
  expect(ip(guest, 'addr show e1')).not.toMatch(/10\.77\.1\.2|fd77/);

  expect(await talk.ask({ do: 'unlink', mac: macOf(1) })).toMatchObject({ ok: true });
  expect(await talk.ask({ do: 'unlink', mac: macOf(1) })).toMatchObject({ ok: true });
  expect(defaults()).toEqual([]);
  expect(ip(guest, 'addr show e1')).not.toContain('inet ');
});

it('sets a card up that comes later, and again when it comes back', async () => {
  const late = talk.ask({ do: 'link', link: uplink(2) });
  const never = await talk.ask({ do: 'link', link: uplink(5), waitMs: 10 });
  expect(never).toMatchObject({
    ok: false,
    error: { code: 'NO_LINK', message: expect.stringContaining(macOf(5)) as string },
  });
  plug(2);
  expect(await late).toMatchObject({ ok: true, result: { name: 'e2' } });
  expect((await talk.status()).missingMacs).toEqual([macOf(5)]);

  ip(guest, 'link delete e2');
  await until(() => defaults().length === 0, 'it is gone');
  plug(2);
  await until(() => defaults().some((line) => line.includes('dev e2')), 'it is back');
});

it('serves the host, and nobody else, over both uplinks', async () => {
  await talk.ask({ do: 'link', link: HOST });
  for (const n of [1, 2]) {
    if (n === 2) plug(2);
    expect(await talk.ask({ do: 'link', link: uplink(n, { backup: n === 2 }) })).toMatchObject({ ok: true });
  }
  const nowhere = await talk.ask({ do: 'proxy', proxy: { address: '10.77.9.9' } });
  expect(nowhere).toMatchObject({ ok: false, error: { code: 'EADDRNOTAVAIL' } });
  const answer = await talk.ask({ do: 'proxy', proxy: { address: '10.77.0.2' } });
  expect(answer).toMatchObject({ ok: true, result: { addresses: ['10.77.0.2:13128'] } });
  // Again, with the same words: the same proxy.
  expect(await talk.ask({ do: 'proxy', proxy: { address: '10.77.0.2' } })).toMatchObject({ ok: true });

  // The second uplink becomes a path in its own time.
  await expect.poll(async () => (await talk.status()).report?.mode, { timeout: 20_000 }).toBe('multipath');
  const { links, report } = await talk.status();
  expect(links.map(({ label, name, role }) => [name, role, label])).toEqual(
    expect.arrayContaining([
      ['e0', 'host', undefined],
      ['e1', 'uplink', 'wan1'],
      ['e2', 'uplink', 'wan2'],
    ]),
  );
  expect(report).toMatchObject({
    mode: 'multipath',
    proxy: { addresses: ['10.77.0.2:13128'] },
    multipath: { inUse: expect.any(Boolean) as boolean, endToEnd: { connections: 0 } },
  });
  const paths = report!.paths.map(({ backup, link, state }) => `${link} ${state} ${backup}`);
  expect(paths.sort()).toEqual(['e1 active false', 'e2 active true']);
  expect(report!.ignoredLinks.map(({ link }) => link)).toContain('e0');

  const curl = (from: string) =>
    host.run(['curl', '-sS', '-m', '3', '--interface', from, 'http://10.77.0.2:13128/']);
  // Its answer to one who takes it for a web server.
  expect((await curl('h0')).stdout).toContain('weft');
  // The same address by the way of an uplink: nobody is there.
  ip(host, 'route add 10.77.0.2/32 via 10.77.1.2 dev h1');
  ip(host, 'route del 10.77.0.0/30 dev h0');
  guest.setSysctl('ipv4/conf/all/rp_filter', 0);
  const stranger = await curl('h1');
  expect(stranger.stdout).toBe('');
  expect(stranger.code).not.toBe(0);
});

it('ends in order when it is asked to', async () => {
  await talk.ask({ do: 'link', link: HOST });
  await talk.ask({ do: 'link', link: uplink(1) });
  plug(2);
  await talk.ask({ do: 'link', link: uplink(2) });
  await talk.ask({ do: 'proxy', proxy: { address: '10.77.0.2' } });
  await until(() => ip(guest, 'mptcp endpoint show') !== '', 'endpoints');
  const ended = once(talk.child, 'exit');
  expect(await talk.ask({ do: 'stop' })).toMatchObject({ ok: true });
  expect((await ended)[0]).toBe(0);
  expect(ip(guest, 'mptcp endpoint show')).toBe('');
});
