/**
 * `weft up --transparent`: programs that know of no proxy use it, of this host and of a network behind it, and nothing
 * is left when it ends, however it does.
 *
 *   lan0 10.50.0.1, 2001:db8:50::1 ── guest 10.50.0.2, 2001:db8:50::2
 *     │
 *   client ── wifi0 ~~~ router0 ── server (203.0.113.10, 2001:db8:9::10)
 *          ── lte0  ~~~ router1 ──
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { contentSha256, Lab, LabNode } from '../src/lab/index.ts';
import { connectFd } from '../src/mptcp/index.ts';
import {
  bindSocket,
  closeFd,
  libc,
  openSocket,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  startConnect,
  takeSocketError,
} from '../src/native/index.ts';
import { useTestLabs } from './support/test-labs.ts';
import { readStatus, RunningWeft, startWeft, UNPRIVILEGED, weftCommand } from './support/weft-program.ts';

const DEADLINE_MS = 20_000;

/** How curl ends whose connection is reset before it looks, before, while or after its request was sent. */
const RESETS = [7, 52, 55, 56];

const { buildLab, closers } = useTestLabs('transparent');

/** A machine behind the client, whose only way out is the client, which does not forward. */
function addGuest(client: LabNode): LabNode {
  const guest = new LabNode('guest', 'transparent-guest');
  closers.push(() => guest.close());
  const ip = (node: LabNode, line: string) =>
    execFileSync('ip', ['-n', node.namespace, ...line.split(' ')], { stdio: 'pipe' });
  ip(client, `link add lan0 type veth peer name eth0 netns ${guest.namespace}`);
  ip(client, 'link set lan0 up');
  ip(guest, 'link set eth0 up');
  ip(client, 'addr add 10.50.0.1/24 dev lan0');
  ip(client, 'addr add 2001:db8:50::1/64 dev lan0 nodad');
  ip(guest, 'addr add 10.50.0.2/24 dev eth0');
  ip(guest, 'addr add 2001:db8:50::2/64 dev eth0 nodad');
  ip(guest, 'route add default via 10.50.0.1');
  ip(guest, '-6 route add default via 2001:db8:50::1');
  return guest;
}

/** What curl says when it is told of no proxy. */
async function curl(
  node: LabNode,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly sha256: string }> {
  const pipeline = `curl -sS --fail --noproxy '*' --max-time 40 "$@" | sha256sum; exit \${PIPESTATUS[0]}`;
  const { code, stdout } = await node.run(['bash', '-c', pipeline, 'bash', ...args]);
  return { code, sha256: stdout.split(' ')[0] ?? '' };
}

const good = (totalBytes: number, seed: number) => ({ code: 0, sha256: contentSha256(totalBytes, seed) });

const nft = (node: LabNode, ...args: string[]) =>
  node.inside(() => execFileSync('nft', args, { encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }));
const ruleset = (node: LabNode) => nft(node, '-s', 'list', 'ruleset');

/** A connection of a program in a node, which no Weft has a part in yet. */
async function connectIn(node: LabNode, address: string, port: number): Promise<Socket> {
  const { fd } = await node.inside(() => connectFd({ address, port, multipath: false }));
  const socket = new Socket({ fd, readable: true, writable: true });
  closers.push(() => void socket.destroy());
  return socket;
}

/** Asks the web server for the rest over a connection that is there. */
async function download(socket: Socket, lab: Lab, bytes: number): Promise<string> {
  const { pathname, search, host } = new URL(lab.url(bytes));
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks);
  return `${text.subarray(0, 12).toString()} ${text.length - text.indexOf('\r\n\r\n') - 4}`;
}

describe('programs of this host', () => {
  it('use every path without knowing of it, over IPv4 and IPv6, and each connection once', async () => {
    // Slow enough that one path is full before the other has begun.
    const lab = await buildLab({ rateBps: 50e6, delayMs: 5 });
    const client = lab.node('client');
    const weft = await startWeft(client, ['--transparent']);
    expect(weft.stderr).toMatch(/transparent/);
    expect(await curl(client, lab.url(10_000_000, 1))).toEqual(good(10_000_000, 1));
    expect(await curl(client, lab.url(1_000_000, 2, 6))).toEqual(good(1_000_000, 2));
    // Also from the address of one uplink: the proxy decides, and the paths of MPTCP are not redirected themselves.
    expect(await curl(client, '--interface', '10.2.0.2', lab.url(1_000_000, 3))).toEqual(good(1_000_000, 3));
    const { proxy } = await readStatus(client);
    expect(proxy.counters).toMatchObject({
      tunnelsOpened: 3,
      upstreamsMptcp: 3,
      upstreamsTcp: 0,
      dialsFailed: 0,
      refused: 0,
    });
    for (const { receivedBytes } of lab.linkBytes()) expect(receivedBytes).toBeGreaterThan(500_000);
    expect(await weft.stop()).toBe(0);
  });

  it('are left alone where they talk to this host, and the port of the front is closed to them', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const weft = await startWeft(client, ['--transparent']);
    const ports = [
      ...nft(client, 'list', 'table', 'inet', 'weft-transparent').matchAll(/redirect to :(\d+)/g),
    ];
    expect(ports).toHaveLength(2);
    const [port4 = '', port6 = ''] = ports.map(([, port]) => port!);
    // 7: connection refused.
    for (const url of [`http://127.0.0.1:${port4}`, `http://[::1]:${port6}`, `http://10.1.0.2:${port4}`]) {
      expect((await curl(client, url)).code).toBe(7);
    }
    // Nor does a dial of the proxy's own lead there.
    const { code, stdout } = await client.run([
      'curl',
      '-sS',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-x',
      'http://127.0.0.1:13128',
      `http://127.0.0.1:${port4}`,
    ]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^50[28]$/)]);
    expect((await readStatus(client)).proxy.counters.tunnelsOpened).toBe(0);
    expect(await weft.stop()).toBe(0);
  });

  it('go the way that the rules say, which know addresses', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const guest = addGuest(client);
    const folder = mkdtempSync('/run/weft-transparent-');
    closers.push(() => rmSync(folder, { recursive: true }));
    const rules = join(folder, 'rules.toml');
    writeFileSync(
      rules,
      `[[rule]]\nto = "${lab.serverAddress6}"\nfrom = "10.50.0.0/24"\nway = "direct"\n
       [[rule]]\nto = "${lab.serverAddress6}"\nfrom = "loopback"\nway = "direct"\n
       [[rule]]\nto = "203.0.113.0/24"\nfrom = "10.50.0.2"\nway = "refuse"\n`,
      { mode: 0o600 },
    );
    const weft = await startWeft(client, ['--transparent-from', 'lan0', '--rules', rules]);
    expect(await curl(client, lab.url(1000, 1))).toEqual(good(1000, 1));
    expect(await curl(client, lab.url(1000, 2, 6))).toEqual(good(1000, 2));
    expect(await curl(guest, lab.url(1000, 3, 6))).toEqual(good(1000, 3));
    expect(RESETS).toContain((await curl(guest, lab.url(1000, 4))).code);
    const { counters } = (await readStatus(client)).proxy;
    // Direct: this host over IPv6. Multipath: this host over IPv4, and the guest over IPv6. Refused: the guest's IPv4.
    expect(counters).toMatchObject({ tunnelsOpened: 3, upstreamsMptcp: 2, upstreamsTcp: 1, dialsFailed: 1 });
    expect(await weft.stop()).toBe(0);
  });

  it('go through an upstream proxy, which is itself reached without a detour', async () => {
    const lab = await buildLab();
    const [client, server] = [lab.node('client'), lab.node('server')];
    const listen = `${lab.serverAddress}:3128`;
    const far = await startWeft(server, ['--listen', listen, '--allow-remote', '--no-multipath']);
    const weft = await startWeft(client, ['--transparent', '--upstream', `http://${listen}`]);
    expect(await curl(client, lab.url(3_000_000, 1))).toEqual(good(3_000_000, 1));
    expect(await curl(client, lab.url(3_000_000, 2, 6))).toEqual(good(3_000_000, 2));
    const [near, behind] = [await readStatus(client), await readStatus(server)];
    expect(near.proxy.counters).toMatchObject({ tunnelsOpened: 2, dialsFailed: 0 });
    expect(behind.proxy.counters).toMatchObject({ tunnelsOpened: 2, dialsFailed: 0 });
    expect(await weft.stop()).toBe(0);
    expect(await far.stop()).toBe(0);
  });

  it('see a connection end that cannot be made', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const weft = await startWeft(client, ['--transparent']);
    const { code } = await curl(client, `http://${lab.serverAddress}:9/`);
    expect(RESETS).toContain(code);
    expect((await readStatus(client)).proxy.counters.dialsFailedByReason).toEqual({ refused: 1 });
    expect(await weft.stop()).toBe(0);
  });

  it('keep the connections that they had before, and those go on when it ends', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const before = await connectIn(client, lab.serverAddress, 80);
    const between = await connectIn(client, lab.serverAddress, 80);
    const weft = await startWeft(client, ['--transparent']);
    expect(await download(before, lab, 100_000)).toBe('HTTP/1.1 200 100000');
    expect((await readStatus(client)).proxy.counters.tunnelsOpened).toBe(0);
    expect(await weft.stop()).toBe(0);
    expect(await download(between, lab, 100_000)).toBe('HTTP/1.1 200 100000');
    expect(await curl(client, lab.url(1000, 5))).toEqual(good(1000, 5));
  });
});

describe('machines of a network behind this host', () => {
  it('are served where their link is named, and only there', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const guest = addGuest(client);
    const weft = await startWeft(client, [
      '--transparent',
      '--transparent-from',
      'lan0',
      '--transparent-from',
      'not-there0',
    ]);
    expect(await curl(guest, lab.url(3_000_000, 6))).toEqual(good(3_000_000, 6));
    expect(await curl(guest, lab.url(3_000_000, 7, 6))).toEqual(good(3_000_000, 7));
    expect(await curl(client, lab.url(3_000_000, 8))).toEqual(good(3_000_000, 8));
    const { proxy } = await readStatus(client);
    expect(proxy.transparent).toEqual({ fromLinks: ['lan0', 'not-there0'], rejectQuic: false });
    expect(proxy.counters).toMatchObject({ tunnelsOpened: 3, upstreamsMptcp: 3, refused: 0 });
    // The front itself, and the host's own ports, are no way in.
    const [, port = ''] =
      /redirect to :(\d+)/.exec(nft(client, 'list', 'table', 'inet', 'weft-transparent')) ?? [];
    for (const url of [`http://10.50.0.1:${port}/`, 'http://10.50.0.1:13128/']) {
      expect((await curl(guest, url)).code).toBe(7);
    }
    expect(await weft.stop()).toBe(0);
    // The client never was a router.
    expect((await curl(guest, '--connect-timeout', '1', lab.url(10))).code).not.toBe(0);
  });
});

describe('UDP', () => {
  /** Sends a datagram to the server's port 443; the number of the error that the sender sees, 0 for none. */
  async function sendQuic(client: LabNode, address: string): Promise<number> {
    const fd = client.inside(() => openSocket(2, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    try {
      client.inside(() => startConnect(fd, { address, port: 443 }));
      const refused = libc.send(fd, Buffer.from('initial'), 7, 0) < 0;
      return refused ? -1 : takeSocketError(fd);
    } finally {
      closeFd(fd);
    }
  }

  it('is left alone, or refused on port 443 where that is asked for', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const server = lab.node('server').inside(() => openSocket(2, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    closers.push(() => closeFd(server));
    bindSocket(server, { address: lab.serverAddress, port: 443 });
    const bytes = Buffer.alloc(100);
    const arrived = () => libc.recv(server, bytes, bytes.length, 0) === 7;
    const weft = await startWeft(client, ['--transparent']);
    expect(await sendQuic(client, lab.serverAddress)).toBe(0);
    await vi.waitFor(() => expect(arrived()).toBe(true), DEADLINE_MS);
    expect(await weft.stop()).toBe(0);
    const refusing = await startWeft(client, ['--transparent', '--reject-quic']);
    expect(await sendQuic(client, lab.serverAddress)).not.toBe(0);
    expect(arrived()).toBe(false);
    expect(await refusing.stop()).toBe(0);
  });
});

describe('what is on the host', () => {
  it('is as it was, after a stop and after a kill, and the tables of others stay', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    client.inside(() =>
      execFileSync('nft', ['-f', '-'], {
        input:
          'table inet mine {\nchain c {\ntype nat hook output priority -100;\nip daddr 192.0.2.1 counter dnat ip to 192.0.2.2\n}\n}\n',
      }),
    );
    const before = ruleset(client);
    const weft = await startWeft(client, ['--transparent', '--reject-quic']);
    expect(ruleset(client)).toContain('table inet weft-transparent');
    expect(ruleset(client)).toContain('table inet mine');
    nft(client, 'flush', 'ruleset');
    expect(ruleset(client)).toContain('redirect to :');
    expect(ruleset(client)).not.toContain('mine');
    client.inside(() => execFileSync('nft', ['-f', '-'], { input: before }));
    expect(await weft.stop()).toBe(0);
    expect(ruleset(client)).toBe(before);
    const killed = await startWeft(client, ['--transparent']);
    expect(ruleset(client)).toContain('table inet weft-transparent');
    killed.process.kill('SIGKILL');
    await once(killed.process, 'exit');
    await vi.waitFor(() => expect(ruleset(client)).toBe(before), DEADLINE_MS);
    expect(await curl(client, lab.url(1000, 9))).toEqual(good(1000, 9));
    const next = await startWeft(client, ['--transparent']);
    expect(await curl(client, lab.url(1000, 10))).toEqual(good(1000, 10));
    expect(await next.stop()).toBe(0);
    expect(ruleset(client)).toBe(before);
  });

  it('may be a strict firewall, which has to let in only what was redirected', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const guest = addGuest(client);
    for (const link of ['all', 'default', 'lan0', 'wifi0'])
      client.setSysctl(`ipv4/conf/${link}/rp_filter`, 1);
    const firewall = `table inet strict {
      chain input {
        type filter hook input priority 0; policy drop
        ct state established,related accept
        iif lo accept
        meta l4proto icmpv6 accept
        ct status dnat accept
      }
      chain forward {
        type filter hook forward priority 0; policy drop
      }
    }\n`;
    client.inside(() => execFileSync('nft', ['-f', '-'], { input: firewall }));
    const weft = await startWeft(client, ['--transparent-from', 'lan0']);
    expect(await curl(client, lab.url(3_000_000, 1))).toEqual(good(3_000_000, 1));
    expect(await curl(client, lab.url(3_000_000, 2, 6))).toEqual(good(3_000_000, 2));
    expect(await curl(guest, lab.url(3_000_000, 3))).toEqual(good(3_000_000, 3));
    expect(await curl(guest, lab.url(3_000_000, 4, 6))).toEqual(good(3_000_000, 4));
    expect(await weft.stop()).toBe(0);
  });

  it('is not touched without the right to, and the error says what is missing', async () => {
    const node = new LabNode('lone', 'transparent-lone');
    closers.push(() => node.close());
    const weft = new RunningWeft(
      node.spawn([...UNPRIVILEGED, ...weftCommand('up', '--transparent')], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    expect(await weft.ended).toBe(1);
    expect(weft.stderr).toMatch(/transparent mode: nftables may not be used.*\(EPERM\).*CAP_NET_ADMIN/);
    expect(ruleset(node)).toBe('');
  });

  it('has one that redirects: a table of another is not taken over', async () => {
    const node = new LabNode('lone', 'transparent-owned');
    closers.push(() => node.close());
    const { NfTables } = await import('../src/netlink/index.ts');
    const other = NfTables.open({ netns: node.path });
    closers.push(() => other.close());
    other.replace({ name: 'weft-transparent', chains: [] });
    const weft = new RunningWeft(
      node.spawn(weftCommand('up', '--transparent'), { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    expect(await weft.ended).toBe(1);
    expect(weft.stderr).toMatch(
      /transparent mode: nftables table "inet weft-transparent" belongs to another process/,
    );
    expect(nft(node, 'list', 'tables').trim()).toBe('table inet weft-transparent');
  });
});
