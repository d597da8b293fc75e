/**
 * `weft status` of a Weft that works: what it says while a download runs over two paths, over one, and over none.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { once } from 'node:events';
import { chmodSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import type { ConnectionReport, StatusReport } from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { useTestLabs } from './support/test-labs.ts';
import {
  UNPRIVILEGED,
  readStatus,
  runtimeFiles,
  runWeft,
  startWeft,
  weftCommand,
} from './support/weft-program.ts';

const ENDLESS_BYTES = 1e12;

const { buildLab, closers, loneHost, startDownload } = useTestLabs('status', {
  links: { rateBps: 50e6, delayMs: 5 },
});

/** Asks until the answer is as expected; the test's time limit ends what never comes. */
async function statusWhere(
  node: LabNode,
  expected: (report: StatusReport) => boolean,
): Promise<StatusReport> {
  for (;;) {
    const report = await readStatus(node);
    if (expected(report)) return report;
  }
}

const received = ({ subflows }: ConnectionReport) =>
  new Map(subflows.map(({ link, bytesReceived }) => [link ?? '?', bytesReceived ?? 0]));

describe('while a download runs', () => {
  it('shows both subflows with growing bytes, and says that multipath is in use', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    expect((await readStatus(client)).multipath).toMatchObject({ inUse: false });
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    const first = await statusWhere(
      client,
      ({ connections }) =>
        connections[0] !== undefined &&
        [...received(connections[0]).values()].filter((n) => n > 0).length === 2,
    );
    const before = received(first.connections[0]!);
    expect([...before.keys()].sort()).toEqual(['lte0', 'wifi0']);
    const second = await statusWhere(client, ({ connections }) =>
      [...received(connections[0]!)].every(([link, bytes]) => bytes > (before.get(link) ?? 0)),
    );
    const { multipath, connections } = second;
    expect(multipath.inUse).toBe(true);
    expect(multipath.explanation[0]).toBe(
      'Multipath is in use: 1 proxied connection uses more than one path at once.',
    );
    const [connection] = connections;
    expect(connection).toMatchObject({ kind: 'connect', target: '203.0.113.10:80', protocol: 'mptcp' });
    for (const subflow of connection!.subflows) {
      expect(subflow).toMatchObject({ state: 'established', backup: false, remoteAddress: '203.0.113.10' });
      // Twice the way of 5 ms; shaping adds queues.
      expect(subflow.rttUs).toBeGreaterThan(10_000);
    }
    expect(connection!.bytesDown).toBeGreaterThan(first.connections[0]!.bytesDown);

    const text = await runWeft(client, 'status');
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/^Multipath is in use: /);
    expect(text.stdout).toMatch(/wifi0 +10\.1\.0\.2:\d+ +[\d.]+ ms/);
    expect(text.stdout).toMatch(/lte0 +10\.2\.0\.2:\d+ +[\d.]+ ms/);
    for (const line of text.stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it('says that a backup is for safety, not for speed', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client, ['--backup', 'lte0']);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    const { multipath, connections } = await statusWhere(client, ({ multipath: { inUse } }) => inUse);
    expect(multipath.explanation[0]).toMatch(/in use for safety, not for speed/);
    expect(connections[0]?.subflows.find(({ link }) => link === 'lte0')?.backup).toBe(true);
  });

  it('says that the server does not speak MPTCP, and which server', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    lab.node('server').setSysctl('mptcp/enabled', 0);
    // Node's own sockets are plain TCP.
    const server = lab
      .node('server')
      .spawn(
        [
          process.execPath,
          '-e',
          "net.createServer((c) => c.write('x')).listen(81, () => console.log('ready'))",
        ],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
    await once(server.stdout!, 'data');
    await startWeft(client);
    startDownload(client, 'http://203.0.113.10:81/', ...THROUGH_TUNNEL);
    const { multipath, connections } = await statusWhere(client, (report) => report.connections.length > 0);
    expect(multipath.inUse).toBe(false);
    expect(connections[0]?.protocol).toBe('tcp');
    expect(multipath.explanation.join('\n')).toMatch(
      /203\.0\.113\.10:81\) is plain TCP over one path: .*MPTCP/,
    );
  });
});

describe('why multipath is not in use', () => {
  it('one way out', async () => {
    const lab = await buildLab();
    lab.uplink(1).down();
    const client = lab.node('client');
    await startWeft(client);
    const { mode, multipath } = await readStatus(client);
    expect(mode).toBe('single-path');
    expect(multipath.explanation[0]).toMatch(/^Multipath is not in use: only one way out, wifi0/);
  });

  it('no rights', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client, [], UNPRIVILEGED);
    const { code, stdout } = await client.run([...UNPRIVILEGED, ...weftCommand('status')]);
    expect(code).toBe(0);
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/Multipath is not in use: without CAP_NET_ADMIN/);
  });

  it('switched off', async () => {
    const host = loneHost();
    await startWeft(host, ['--no-multipath']);
    expect((await readStatus(host)).multipath.explanation[0]).toMatch(/switched off with --no-multipath/);
  });
});

describe('the answer without a Weft', () => {
  it('is one line and exit code 1, and JSON for programs', async () => {
    const host = loneHost();
    const plain = await runWeft(host, 'status');
    expect(plain).toMatchObject({ code: 1, stdout: '' });
    expect(plain.stderr).toBe('weft: Weft is not running here — start it with "weft up"\n');
    const json = await runWeft(host, 'status', '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ code: 'NOT_RUNNING' });
  });

  it('tells a user that somebody else may run one', async () => {
    const host = loneHost();
    await startWeft(host);
    // As the folder looks to anybody but its owner.
    chmodSync('/run/weft', 0);
    closers.push(() => chmodSync('/run/weft', 0o700));
    const { code, stderr } = await host.run([...UNPRIVILEGED, ...weftCommand('status')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/"\/run\/weft" is closed to you.*sudo weft status/);
  });
});

describe('the control socket', () => {
  const socketPath = (node: LabNode) => runtimeFiles(node).find((path) => path.endsWith('.sock'))!;

  /** Sends bytes as they are and resolves with all that comes back until the server hangs up. */
  async function speak(node: LabNode, ...pieces: (string | Buffer)[]): Promise<string> {
    const socket = connect(socketPath(node));
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    // A server that has heard enough may hang up while we still talk, and then its answer may be lost.
    socket.on('error', () => {});
    for (const piece of pieces) socket.write(piece);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
    });
    return answer;
  }

  it('is for its user alone', async () => {
    const host = loneHost();
    await startWeft(host);
    expect(statSync(socketPath(host)).mode & 0o777).toBe(0o600);
    expect(statSync('/run/weft').mode & 0o777).toBe(0o700);
  });

  it('bounds what it is asked, and answers the next one all the same', async () => {
    const host = loneHost();
    await startWeft(host);
    expect(await speak(host, 'GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 404 [\s\S]*NO_SUCH_CALL/,
    );
    expect(await speak(host, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(
      await speak(host, `GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`),
    ).toMatch(/^(HTTP\/1\.1 431 |$)/);
    const big = 10_000_000;
    expect(
      await speak(
        host,
        `POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${big}\r\n\r\n`,
        Buffer.alloc(big),
      ),
    ).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    expect((await runWeft(host, 'status')).code).toBe(0);
  });
});
