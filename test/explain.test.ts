/**
 * Why a connection has one path, each reason made for real in a lab and found by what the kernel shows of it.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 *
 * The client's connections go over wifi0, its better default route, unless they are bound elsewhere.
 */
import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../src/base/index.ts';
import type { Lab, LabNode } from '../src/lab/index.ts';
import { connectFd, EndpointFlag, PathManager } from '../src/mptcp/index.ts';
import { explainHost, collectFacts, WhyDesk, type Finding, type WhyReport } from '../src/service/index.ts';
import { kernelSources } from '../src/service/observe/kernel-sources.ts';
import { Observer } from '../src/service/observe/observer.ts';
import { echoServer } from './support/echo-server.ts';
import { useTestLabs } from './support/test-labs.ts';
import { runWeft } from './support/weft-program.ts';

const SERVER = '203.0.113.10';
const PORT = 7000;
/** For what the kernel does in its own time: looks often, gives up only when it will never be. */
const SOON = { interval: 50, timeout: 30_000 };

const { buildLab, closers } = useTestLabs('explain');

function serve(node: LabNode, multipath = true): void {
  closers.push(echoServer(node, { port: PORT, multipath }));
}

/** A connection that has carried data both ways. */
async function open(node: LabNode, localAddress?: string): Promise<Socket> {
  const socket = await connectOnly(node, localAddress);
  await exchange(socket);
  return socket;
}

async function connectOnly(node: LabNode, localAddress?: string): Promise<Socket> {
  const { fd } = await node.inside(() =>
    connectFd({
      address: SERVER,
      port: PORT,
      timeoutMs: 20_000,
      ...(localAddress === undefined ? {} : { localAddress, localLink: 'lte0' }),
    }),
  );
  const socket = new Socket({ fd }).on('error', () => {});
  closers.push(() => void socket.destroy());
  return socket;
}

async function exchange(socket: Socket): Promise<void> {
  const answered = once(socket, 'data');
  socket.write('x'.repeat(1000));
  await answered;
}

interface Host {
  readonly lab: Lab;
  readonly client: LabNode;
  readonly server: LabNode;
  readonly why: (connection?: string) => Promise<WhyReport>;
  readonly manage: (work: (manager: PathManager) => void) => void;
  /** Asks until that is among the findings; the time limit ends what never comes. */
  readonly finds: (id: string, connection?: string) => Promise<Finding>;
}

const observe = (node: LabNode) =>
  new Observer({
    sources: kernelSources({ version: '0', netns: node.path }),
    logger: silentLogger,
    netns: node.path,
  });

/**
 * A client that is being observed, so that nothing of its connections' beginnings is missed.
 * @param prepare what is done to it before anybody looks
 */
async function buildHost(prepare: (client: LabNode) => void = () => {}): Promise<Host> {
  const lab = await buildLab();
  const [client, server] = [lab.node('client'), lab.node('server')];
  // Namespaces take these over from the machine that the tests run on.
  for (const link of ['all', 'default', 'wifi0', 'lte0']) client.setSysctl(`ipv4/conf/${link}/rp_filter`, 0);
  prepare(client);
  const observer = observe(client);
  await observer.start();
  closers.push(() => observer.stop());
  const desk = new WhyDesk({ observer, netns: client.path });
  const why = (connection = `${SERVER}:${PORT}`) => {
    observer.lookNow();
    return desk.answer({ connection });
  };
  return {
    lab,
    client,
    server,
    why,
    manage: (work) => {
      const manager = PathManager.open({ netns: client.path });
      try {
        work(manager);
      } finally {
        manager.close();
      }
    },
    finds: async (id, connection) => {
      let found: Finding | undefined;
      await expect
        .poll(async () => {
          const { findings } = await why(connection).catch((error: unknown) => {
            // The observer has not looked since the connection began.
            if (!/no connection/.test(String(error))) throw error;
            return { findings: [] };
          });
          found = findings.find((finding) => finding.id === id);
          return found === undefined ? findings.map((finding) => `${finding.id}: ${finding.text}`) : [id];
        }, SOON)
        .toEqual([id]);
      return found!;
    },
  };
}

const valueOf = ({ evidence }: Finding, name: string) => evidence.find((item) => item.name === name)?.value;

/** An endpoint for the second uplink, bound to it. */
function addLteEndpoint({ client, manage }: Host, flags: number = EndpointFlag.subflow): void {
  manage((manager) =>
    manager.addEndpoint({ address: '10.2.0.2', flags, linkIndex: client.linkIndex('lte0') }),
  );
}

/** Types an advised command into the node; only `weft` and programs that the tests have. */
async function follow(node: LabNode, command: string): Promise<void> {
  const [program, ...words] = command.split(' ');
  const { code, stderr } =
    program === 'weft' ? await runWeft(node, ...words) : await node.run([program!, ...words]);
  expect(stderr, command).toBe('');
  expect(code, command).toBe(0);
}

async function nft(node: LabNode, ...lines: string[]): Promise<void> {
  for (const line of lines) {
    const { stderr } = await node.run(['nft', line]);
    expect(stderr, line).toBe('');
  }
}

/** What the router of the first uplink does to packets that it forwards. */
const guard = ({ lab }: Host, rule: string) =>
  nft(
    lab.node('router0'),
    'add table inet guard',
    'add chain inet guard pass { type filter hook forward priority 0; }',
    `add rule inet guard pass ${rule}`,
  );

describe('what this host does', () => {
  it('no endpoint; the command that is advised gives the open connection its second path', async () => {
    const host = await buildHost();
    serve(host.server);
    const socket = await open(host.client);
    const found = await host.finds('path-no-endpoint');
    expect(found.text).toMatch(/the kernel opens no subflow from lte0 \(10\.2\.0\.2\)/);
    expect(found.advice).toEqual(['weft mptcp endpoint add 10.2.0.2 dev lte0 subflow']);
    await follow(host.client, found.advice[0]!);
    await exchange(socket);
    const several = await host.finds('several-paths');
    expect(several.verdict).toBe('ok');
    const { healthy, summary } = await host.why();
    expect(summary).toMatch(/^It uses 2 paths at once: wifi0 \(10\.1\.0\.2\), lte0 \(10\.2\.0\.2\)/);
    expect(healthy).toBe(true);
  });

  it('a limit of 0', async () => {
    const host = await buildHost();
    host.manage((manager) => manager.setLimits({ subflows: 0 }));
    addLteEndpoint(host);
    serve(host.server);
    await open(host.client);
    const found = await host.finds('limit-zero');
    expect(found.verdict).toBe('fail');
    expect(valueOf(found, 'mptcpi_subflows_max')).toBe('0');
    await follow(host.client, found.advice[0]!);
    await open(host.client);
    // Two connections to the same place: the name is ambiguous, and the answer says which there are.
    const refusal = () => host.why().then(() => '', String);
    await expect.poll(refusal, SOON).toMatch(/means 2 connections — name one by its id: m[0-9a-f]+ \(/);
  });

  it('a limit that is reached', async () => {
    const host = await buildHost();
    host.client.netlink.addAddress({
      linkIndex: host.client.linkIndex('wifi0'),
      address: '10.1.0.3',
      prefixLength: 24,
    });
    host.manage((manager) => {
      manager.setLimits({ subflows: 1 });
      manager.addEndpoint({ address: '10.1.0.3', flags: EndpointFlag.subflow });
    });
    serve(host.server);
    const socket = await open(host.client);
    await host.finds('several-paths');
    addLteEndpoint(host);
    await exchange(socket);
    const found = await host.finds('limit-reached');
    expect(found.text).toMatch(
      /as many subflows as its limit allows \(1 beside the first\), and lte0 could be/,
    );
    expect([valueOf(found, 'mptcpi_subflows'), valueOf(found, 'mptcpi_subflows_max')]).toEqual(['1', '1']);
    expect(found.advice).toEqual(['weft mptcp limits set subflows 2']);
  });

  it('a rule that leads nowhere', async () => {
    const host = await buildHost();
    addLteEndpoint(host);
    const rule = ['from', '10.2.0.2', 'to', SERVER, 'unreachable', 'priority', '100'];
    expect((await host.client.run(['ip', 'rule', 'add', ...rule])).stderr).toBe('');
    serve(host.server);
    await open(host.client);
    const found = await host.finds('path-no-route');
    expect(found.verdict).toBe('fail');
    expect(valueOf(found, `ip route get ${SERVER} from 10.2.0.2`)).toBe('ENETUNREACH');
    // With a link asked for, the kernel takes every destination for a neighbour.
    expect(valueOf(found, `ip route get ${SERVER} from 10.2.0.2 oif lte0`)).toBe('no gateway dev lte0');
  });

  it('a strict reverse path filter', async () => {
    const host = await buildHost();
    host.client.setSysctl('ipv4/conf/all/rp_filter', 1);
    addLteEndpoint(host);
    serve(host.server);
    const socket = await open(host.client);
    const found = await host.finds('path-rp-filter');
    expect(found.verdict).toBe('fail');
    expect(valueOf(found, 'net.ipv4.conf.all.rp_filter')).toBe('1');
    expect(found.advice[0]).toBe('sysctl -w net.ipv4.conf.lte0.rp_filter=2');
    // What is advised, by hand: the SYN that the kernel sends next is answered.
    host.client.setSysctl('ipv4/conf/lte0/rp_filter', 2);
    await exchange(socket);
    await host.finds('several-paths');
  });

  it('a backup path', async () => {
    const host = await buildHost();
    addLteEndpoint(host, EndpointFlag.subflow | EndpointFlag.backup);
    serve(host.server);
    await open(host.client);
    const found = await host.finds('path-backup');
    expect(found.advice).toEqual(['weft path lte0 normal']);
    const facts = host.client.inside(() => collectFacts());
    expect(explainHost(facts).findings.map(({ id }) => id)).toContain('backup-only');
  });

  it('a link with the other IP version only', async () => {
    const host = await buildHost(({ netlink }) => {
      const linkIndex = netlink.linkByName('lte0')?.index ?? 0;
      netlink.deleteAddress({ linkIndex, address: '10.2.0.2', prefixLength: 24 });
    });
    serve(host.server);
    await open(host.client);
    const found = await host.finds('family-mismatch');
    expect(found.text).toMatch(/is reached by IPv4, and lte0 has IPv6 only/);
    expect(valueOf(found, 'address of lte0')).toBe('2001:db8:2::2');
  });

  it('a link that is down', async () => {
    const host = await buildHost();
    addLteEndpoint(host);
    host.lab.uplink(1).unplug();
    serve(host.server);
    await open(host.client);
    expect((await host.finds('path-not-ready')).text).toMatch(/the path lte0 \(10\.2\.0\.2\) is down/);
  });

  it('nothing: no data has gone over it yet', async () => {
    const host = await buildHost();
    addLteEndpoint(host);
    serve(host.server);
    const socket = await connectOnly(host.client);
    const found = await host.finds('young');
    expect(found).toMatchObject({ verdict: 'ok' });
    expect(found.text).toMatch(/^no data has gone over it yet/);
    expect(valueOf(found, 'mptcpi_bytes_acked')).toBe('0');
    await exchange(socket);
    await host.finds('several-paths');
  });

  it('subflows left to a program, and none there', async () => {
    const host = await buildHost();
    host.client.setSysctl('mptcp/pm_type', 1);
    addLteEndpoint(host);
    serve(host.server);
    await open(host.client);
    expect((await host.finds('path-manager-userspace')).verdict).toBe('fail');
  });
});

describe('what the other end does', () => {
  it('the C flag', async () => {
    const host = await buildHost();
    host.server.setSysctl('mptcp/allow_join_initial_addr_port', 0);
    addLteEndpoint(host);
    serve(host.server);
    await open(host.client);
    const found = await host.finds('c-flag');
    expect(valueOf(found, 'deny_join_id0')).toBe('true');
    expect(found.text).toMatch(/203\.0\.113\.10:7000 lets nobody join at this address/);
  });

  it('it announces nothing to a host with one way out', async () => {
    const host = await buildHost();
    host.lab.uplink(1).down();
    serve(host.server);
    await open(host.client);
    const found = await host.finds('peer-announced-nothing');
    expect(valueOf(found, 'mptcpi_add_addr_accepted')).toBe('0');
    const { findings } = await host.why();
    expect(findings.map(({ id }) => id)).toContain('one-uplink');
  });

  it('it announces an address, and this host takes none', async () => {
    const host = await buildHost();
    host.lab.uplink(1).down();
    const manager = PathManager.open({ netns: host.server.path });
    closers.push(() => manager.close());
    const announced = host.server.netlink
      .addresses()
      .find(({ address }) => address.startsWith('10.') || address.startsWith('192.'));
    manager.addEndpoint({ address: announced!.address, flags: EndpointFlag.signal });
    serve(host.server);
    await open(host.client);
    const found = await host.finds('announced-unused');
    expect(found.advice).toEqual(['weft mptcp limits set add_addr_accepted 2']);
    expect(valueOf(found, 'mptcpi_add_addr_accepted_max')).toBe('0');
  });

  it('it does not speak MPTCP', async () => {
    const host = await buildHost();
    serve(host.server, false);
    await open(host.client);
    const found = await host.finds('peer-plain');
    expect(found.text).toMatch(/it does not speak it, or something on the way takes it out/);
    expect(Number(valueOf(found, 'MPCapableFallbackSYNACK'))).toBeGreaterThan(0);
  });

  it('it began the connection: seen from a server', async () => {
    const host = await buildHost();
    const observer = observe(host.server);
    await observer.start();
    closers.push(() => observer.stop());
    serve(host.server);
    await open(host.client);
    const desk = new WhyDesk({ observer, netns: host.server.path });
    let found: Finding | undefined;
    await expect
      .poll(async () => {
        observer.lookNow();
        const [row] = observer.connections({}).rows;
        const { findings } = row === undefined ? { findings: [] } : await desk.answer({ connection: row.id });
        found = findings.find(({ id }) => id === 'server-side');
        return found?.id;
      }, SOON)
      .toBe('server-side');
    expect(valueOf(found!, 'mptcpi_add_addr_signal')).toBe('0');
    expect(found!.text).toMatch(/^10\.1\.0\.2:\d+ began it, so it is the one to open more subflows/);
  });

  it('it takes no more subflows', async () => {
    const host = await buildHost();
    const manager = PathManager.open({ netns: host.server.path });
    closers.push(() => manager.close());
    manager.setLimits({ subflows: 0 });
    addLteEndpoint(host);
    serve(host.server);
    await open(host.client);
    const found = await host.finds('join-refused');
    expect(found.evidence.map(({ name }) => name)).toContain('event');
  });
});

describe('what stands between', () => {
  it('takes the option out of handshakes on one way, and the other way shows it', async () => {
    const host = await buildHost();
    serve(host.server);
    await guard(host, 'tcp dport 7000 reset tcp option mptcp');
    await open(host.client, '10.2.0.2');
    await open(host.client);
    const id = await connectionFrom(host, '10.1.0.2');
    const found = await host.finds('option-stripped', id);
    expect(found.text).toMatch(/speaks MPTCP on other connections \(from 10\.2\.0\.2\)/);
  });

  it('takes it out of the data, after the handshake', async () => {
    const host = await buildHost();
    serve(host.server);
    await guard(host, 'tcp flags & syn == 0 reset tcp option mptcp');
    await open(host.client);
    const found = await host.finds('fell-back');
    expect(valueOf(found, 'mptcpi_flags')).toBe('fallback, remote key received');
  });

  it('drops handshakes that have the option, so the kernel asks for it no more', async () => {
    const host = await buildHost();
    // After one lost SYN, not two: the test waits for them.
    host.client.setSysctl('mptcp/syn_retrans_before_tcp_fallback', 1);
    serve(host.server);
    await guard(host, 'tcp flags syn tcp option mptcp exists drop');
    await open(host.client);
    const dropped = await host.finds('handshakes-dropped');
    expect(Number(valueOf(dropped, 'MPCapableSYNTXDrop'))).toBeGreaterThan(0);
    const { findings } = explainHost(host.client.inside(() => collectFacts()));
    expect(findings.map(({ id }) => id)).toEqual(expect.arrayContaining(['handshakes-dropped', 'blackhole']));
  });

  it('drops what begins a subflow', async () => {
    const host = await buildHost();
    addLteEndpoint(host);
    serve(host.server);
    await nft(
      host.lab.node('router1'),
      'add table inet guard',
      'add chain inet guard pass { type filter hook forward priority 0; policy drop; }',
    );
    await open(host.client);
    const found = await host.finds('join-unanswered');
    expect(valueOf(found, 'state')).toBe('syn-sent');
    expect(Number(valueOf(found, 'MPJoinSynTx'))).toBeGreaterThan(0);
  });
});

/** The id of the connection from that address, once it is seen. */
async function connectionFrom(host: Host, localAddress: string): Promise<string> {
  let id = '';
  await expect
    .poll(async () => {
      const text = await host.why().then(
        () => '',
        (error: unknown) => String(error),
      );
      const ids = [...text.matchAll(/\b([mps][0-9a-f]+) \(/g)].map(([, found]) => found!);
      for (const one of ids) {
        const { findings } = await host.why(one);
        if (findings.some((found) => valueOf(found, 'from') === localAddress)) id = one;
      }
      return id;
    }, SOON)
    .not.toBe('');
  return id;
}

describe('the host', () => {
  it('rules of others that lead a path elsewhere', async () => {
    const { client } = await buildHost();
    const add = ['ip', 'rule', 'add', 'from', '10.2.0.2', 'lookup', 'main', 'priority', '50'];
    expect((await client.run(add)).stderr).toBe('');
    const { findings } = client.inside(() => explainHost(collectFacts()));
    const found = findings.find(({ id }) => id === 'rules-of-others');
    expect(found?.evidence).toEqual([{ name: 'rule 50', value: 'from 10.2.0.2/32 lookup 254' }]);
  });

  it('a firewall that forwards nothing, where an appliance runs; the remedy works', async () => {
    const { client } = await buildHost();
    const running = { pid: 1, mode: 'multipath', backend: 'appliance' };
    const look = () => {
      const { findings } = client.inside(() => explainHost(collectFacts(running)));
      return findings.find(({ id }) => id.startsWith('forwarding'));
    };
    expect(look()).toMatchObject({ id: 'forwarding', verdict: 'ok' });
    await nft(
      client,
      'add table inet fire',
      'add chain inet fire wall { type filter hook forward priority 0; policy drop; }',
      'add rule inet fire wall tcp dport 1 accept',
    );
    const found = look();
    expect(found).toMatchObject({ id: 'forwarding-dropped', verdict: 'fail' });
    expect(found?.evidence).toEqual([{ name: 'policy of inet fire wall', value: 'drop' }]);
    for (const command of found!.advice) await follow(client, command);
    expect(look()).toMatchObject({ id: 'forwarding', verdict: 'ok' });
  });
});
