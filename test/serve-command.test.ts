/**
 * `weft serve` at a server and `weft up --upstream` at a laptop, both as built, with two uplinks between them. The web
 * page is fetched from the server itself, which is why that is opened.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10: weft serve, web page)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { contentSha256, diffSnapshots, Lab, LabNode } from '../src/lab/index.ts';
import { makeToken } from '../src/proxy/index.ts';
import { download } from './support/download.ts';
import { hostState, useTestLabs } from './support/test-labs.ts';
import {
  readStatus,
  RunningWeft,
  runWeft,
  startWeft,
  UNPRIVILEGED,
  weftCommand,
} from './support/weft-program.ts';

const { closers, loneHost } = useTestLabs('serve');

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-serve-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function startServe(node: LabNode, args: readonly string[], prefix: readonly string[] = []) {
  const serve = new RunningWeft(
    node.spawn([...prefix, ...weftCommand('serve', ...args)], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  closers.push(async () => void (serve.process.exitCode === null && (await serve.stop())));
  await serve.seen(/at the laptop/);
  return serve;
}

describe('laptop and server', () => {
  it('every byte, over both uplinks, also when one is cut', async () => {
    const lab = await Lab.twoUplinks({ rateBps: 40e6, delayMs: 5 });
    closers.push(() => lab.close());
    const folder = makeFolder();
    const tokenFile = join(folder, 'serve.token');
    const [client, server] = [lab.node('client'), lab.node('server')];
    const serverBefore = hostState(server);
    const serve = await startServe(server, ['--token-file', tokenFile, '--allow', lab.serverAddress]);
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    const token = readFileSync(tokenFile, 'utf8').trim();
    expect(serve.stderr).toMatch(
      /at the laptop: scp \S+ weft\.token && sudo weft up --upstream weft:\/\/\S+:13443 /,
    );
    expect(serve.stderr + serve.stdout).not.toContain(token);
    const url = `weft://${lab.serverAddress}:13443`;
    const weft = await startWeft(client, ['--upstream', url, '--token-file', tokenFile]);
    closers.push(async () => void (weft.process.exitCode === null && (await weft.stop())));
    const before = lab.linkBytes();
    expect(await download(client, lab.url(12_000_000, 5), '--proxytunnel')).toBe(
      contentSha256(12_000_000, 5),
    );
    const carried = lab.linkBytes().map(({ receivedBytes }, i) => receivedBytes - before[i]!.receivedBytes);
    for (const bytes of carried) expect(bytes).toBeGreaterThan(1_000_000);
    const status = await readStatus(client);
    expect(JSON.stringify(status)).not.toContain(token);
    expect(JSON.stringify(status)).toContain('weft');
    // In the middle of a download the first uplink falls silent.
    const underWay = download(client, lab.url(12_000_000, 6), '--proxytunnel');
    const cutAt = lab.linkBytes()[0]!.receivedBytes + 1_000_000;
    while (lab.linkBytes()[0]!.receivedBytes < cutAt) await new Promise((resolve) => setTimeout(resolve, 2));
    lab.uplink(0).cut();
    expect(await underWay).toBe(contentSha256(12_000_000, 6));
    lab.uplink(0).restore();
    expect(await weft.stop()).toBe(0);
    expect(weft.stderr + weft.stdout).not.toContain(token);
    expect(await serve.stop()).toBe(0);
    expect(diffSnapshots(serverBefore, hostState(server))).toEqual([]);
  });
});

describe('the command', () => {
  it('serves an ordinary user; another token by SIGHUP; a bad file changes nothing', async () => {
    const host = loneHost();
    const tokenFile = join(makeFolder(), 'serve.token');
    const args = ['--listen', '127.0.0.1:0', '--token-file', tokenFile];
    const serve = await startServe(host, args, UNPRIVILEGED);
    writeFileSync(tokenFile, `laptop ${makeToken()}\nphone ${makeToken()}\n`);
    serve.process.kill('SIGHUP');
    await serve.seen(/tokens and certificates were read again/);
    writeFileSync(tokenFile, 'short\n');
    serve.process.kill('SIGHUP');
    await serve.seen(/nothing was changed: .*line 1: the token is too short/);
    expect(await serve.stop('SIGINT')).toBe(0);
    // What is there is not made anew.
    expect(readFileSync(tokenFile, 'utf8')).toBe('short\n');
  });

  it('the folder of the token file is made too; a second far end finds the port taken', async () => {
    const host = loneHost();
    const home = makeFolder();
    const tokenFile = join(home, 'sub', 'serve.token');
    const args = ['--listen', '127.0.0.1:13443', '--token-file', tokenFile];
    const serve = await startServe(host, args);
    expect(statSync(join(home, 'sub')).mode & 0o777).toBe(0o700);
    const second = await runWeft(host, 'serve', ...args);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/listen on 127\.0\.0\.1:13443: .*EADDRINUSE/);
    expect(await serve.stop()).toBe(0);
  });

  it('mistakes: exit code 1, and nothing runs', async () => {
    const host = loneHost();
    const folder = makeFolder();
    const tokenFile = join(folder, 'serve.token');
    writeFileSync(tokenFile, `${makeToken()}\n`);
    chmodSync(tokenFile, 0o644);
    const open = await runWeft(host, 'serve', '--token-file', tokenFile);
    expect(open.code).toBe(1);
    expect(open.stderr).toMatch(/holds a secret, and its mode is 0644/);
    chmodSync(tokenFile, 0o600);
    for (const [args, why] of [
      [['--tls-cert', 'x'], /--tls-cert and --tls-key together/],
      [
        ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'],
        /the certificate "\/nowhere": there is no such file/,
      ],
      [['--tls-cert', tokenFile, '--tls-key', tokenFile], /PEM|certificate|start line/i],
      [['--allow', '10.0.0.0/40'], /prefix such as/],
      [['--listen', '224.0.0.1:1'], /groups of hosts/],
    ] as const) {
      const result = await runWeft(host, 'serve', '--token-file', tokenFile, ...args);
      expect(result.code, args.join(' ')).toBe(1);
      expect(result.stderr).toMatch(why);
    }
  });
});
