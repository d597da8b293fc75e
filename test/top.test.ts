/**
 * `weft top` on a terminal of its own (support/pseudo-terminal.ts): what its screen shows of a Weft that works, its keys, and
 * that the terminal is as it was after every kind of end.
 *
 *             wifi0 ~~~ air ~~~ lan  router0  wan ── up0
 *   client                                              server (203.0.113.10, 2001:db8:9::10 on loopback)
 *             lte0  ~~~ air ~~~ lan  router1  wan ── up1
 */
import { describe, expect, it } from 'vitest';
import type { LabNode } from '../src/lab/index.ts';
import type { ConnectionPage, Overview } from '../src/service/index.ts';
import { THROUGH_TUNNEL } from './support/download.ts';
import { PseudoTerminal, type TerminalOptions } from './support/pseudo-terminal.ts';
import { useTestLabs } from './support/test-labs.ts';
import { RunningWeft, runWeft, startWeft, UNPRIVILEGED, weftCommand } from './support/weft-program.ts';

const { buildLab, closers, loneHost, startDownload } = useTestLabs('top', {
  links: { rateBps: 50e6, delayMs: 5 },
});

const ENDLESS_BYTES = 1e12;
// eslint-disable-next-line no-control-regex
const COLOR = /\u001b\[3\dm/;

/** `weft top ARGS` on a terminal in a node. */
function top(node: LabNode, args: readonly string[] = [], options: TerminalOptions = {}): PseudoTerminal {
  const terminal = new PseudoTerminal(weftCommand('top', ...args), {
    ...options,
    start: (argv, { env }) => node.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'], env }),
  });
  closers.push(() => terminal.close());
  return terminal;
}

/** The terminal is as it was, and everything that was written is known. */
function expectRestored({ modes, modesBefore, screen }: PseudoTerminal): void {
  expect(screen.alternate).toBe(false);
  expect(screen.cursorShown).toBe(true);
  expect(screen.wraps).toBe(true);
  expect(screen.unknown).toEqual([]);
  expect(modes).toEqual(modesBefore);
}

async function quit(terminal: PseudoTerminal): Promise<void> {
  terminal.send('q');
  expect(await terminal.ended()).toBe(0);
  expectRestored(terminal);
}

describe('of a running Weft', () => {
  it('shows paths, connections and events, and obeys its keys', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    const terminal = top(client);
    await terminal.shows(/^weft top .* the running Weft, process \d+/);
    await terminal.shows(/^wifi0 10\.1\.0\.2 +active +\d+\.\dM █/m);
    await terminal.shows(/^lte0 10\.2\.0\.2 +active +\d+\.\dM █/m);
    await terminal.shows(/^> .*203\.0\.113\.10.* mptcp +2 +\d/m);
    await terminal.shows(/Multipath is in use/);

    terminal.send('\r');
    await terminal.shows(/^connection m[0-9a-f]+ .*203\.0\.113\.10/m);
    await terminal.shows(/^10\.1\.0\.2:\d+ .*active/m);
    await terminal.shows(/^10\.2\.0\.2:\d+ .*active/m);
    terminal.send('\u001b');
    await terminal.shows(/^connections 1-\d+ of \d+, by rate/m);

    terminal.send('s');
    await terminal.shows(/^connections .*, by bytes/m);
    terminal.send('/no-such-thing');
    await terminal.shows(/^search: no-such-thing_/m);
    await terminal.shows(/none is found/);
    terminal.send('\r');
    await terminal.shows(/^q quit/m);
    terminal.send('\u001b');
    await terminal.shows(/^> .*203\.0\.113\.10/m);

    terminal.send('?');
    await terminal.shows(/any key: back/);
    terminal.send('x');
    await terminal.until(({ screen }) => !/any key: back/.test(screen.text), 'the help to go');

    terminal.send('p');
    await terminal.shows(/paused: p goes on/);
    terminal.send('p');
    await terminal.until(({ screen }) => !/paused/.test(screen.text), 'the pause to end');

    await client.run(['ip', 'link', 'set', 'lte0', 'down']);
    await terminal.shows(/^lte0 10\.2\.0\.2 +down/m);
    terminal.send('3');
    await terminal.shows(/^\d\d:\d\d:\d\d path +.*lte0/m);
    await quit(terminal);
  });

  it('says that Weft has ended, and goes on with the next one', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    const first = await startWeft(client);
    const terminal = top(client);
    await terminal.shows(new RegExp(`process ${first.process.pid}\\b`));
    await first.stop();
    await terminal.shows(/lost the running Weft at \d\d:\d\d:\d\d; trying again/);
    const second = await startWeft(client);
    await terminal.shows(new RegExp(`process ${second.process.pid}\\b`));
    await terminal.until(({ screen }) => !/trying again/.test(screen.text), 'the notice to go');
    await quit(terminal);
  });
});

describe('of a Weft that does not answer', () => {
  it('says since when, goes on when it does, and ends without it', async () => {
    const host = loneHost();
    const weft = await startWeft(host, ['--no-web']);
    const terminal = top(host);
    await terminal.shows(/the running Weft, process/);
    await terminal.shows(/^connections/m);
    weft.process.kill('SIGSTOP');
    await terminal.shows(/^no reading since \d\d:\d\d:\d\d$/m);
    weft.process.kill('SIGCONT');
    await terminal.until(({ screen }) => !/no reading/.test(screen.text), 'the notice to go');
    weft.process.kill('SIGSTOP');
    // Asks for other rows, and gets no answer.
    terminal.send('s');
    await quit(terminal);
    weft.process.kill('SIGCONT');
    expect(await weft.stop()).toBe(0);
  });
});

describe('its end', () => {
  const CRASH = `--import=data:text/javascript,process.on('SIGUSR2',()=>{throw%20new%20Error('foreseen%20by%20nobody')})`;

  it.each<[string, (terminal: PseudoTerminal) => void, number]>([
    ['q', (terminal) => terminal.send('q'), 0],
    ['Ctrl-C', (terminal) => terminal.send('\u0003'), 0],
    ['SIGINT', (terminal) => terminal.signal('SIGINT'), 130],
    ['SIGTERM', (terminal) => terminal.signal('SIGTERM'), 143],
    ['SIGHUP', (terminal) => terminal.signal('SIGHUP'), 129],
    ['SIGQUIT', (terminal) => terminal.signal('SIGQUIT'), 131],
    ['an exception', (terminal) => terminal.signal('SIGUSR2'), 1],
  ])('by %s gives the terminal back', async (_name, end, code) => {
    const terminal = top(loneHost(), [], { env: { NODE_OPTIONS: CRASH } });
    await terminal.shows(/read from the kernel/);
    end(terminal);
    expect(await terminal.ended()).toBe(code);
    expectRestored(terminal);
    if (code === 1) expect(terminal.screen.plainText).toContain('foreseen by nobody');
    else expect(terminal.screen.plainText).toBe('');
  });

  it('comes when the terminal goes', async () => {
    const terminal = top(loneHost());
    await terminal.shows(/read from the kernel/);
    terminal.hangUp();
    // The end of the input and the signal come in any order; an abort is what must not come.
    expect([0, 129, 'SIGHUP']).toContain(await terminal.ended());
  });

  it.each<[string, (terminal: PseudoTerminal) => void]>([
    ['Ctrl-Z', (terminal) => terminal.send('\u001a')],
    ['SIGTSTP', (terminal) => terminal.signal('SIGTSTP')],
  ])('does not come by %s, which gives the terminal back until it goes on', async (_name, stop) => {
    const terminal = top(loneHost());
    await terminal.shows(/read from the kernel/);
    stop(terminal);
    await terminal.until(({ screen, stopped }) => stopped !== undefined && !screen.alternate, 'it to stop');
    await terminal.readModes();
    expectRestored(terminal);
    terminal.continue();
    await terminal.shows(/read from the kernel/);
    expect(await terminal.readModes()).not.toEqual(terminal.modesBefore);
    await quit(terminal);
  });
});

describe('its picture', () => {
  it('follows the size of the terminal', async () => {
    const terminal = top(loneHost());
    await terminal.shows(/^weft top .*\d\d:\d\d:\d\d$/m);
    terminal.resize(30, 120);
    await terminal.until(
      ({ screen }) => (screen.lines[29] ?? '').startsWith('q quit'),
      'the keys in the last row',
    );
    expect(terminal.screen.lines[0]).toHaveLength(119);
    terminal.resize(6, 30);
    await terminal.shows(/^too small/);
    terminal.resize(24, 80);
    await terminal.until(({ screen }) => (screen.lines[23] ?? '').startsWith('q quit'), 'the keys again');
    await quit(terminal);
  });

  it('shows names as text, whatever is in them', async () => {
    const host = loneHost();
    const name = '\u001b[2J<img>';
    await host.run(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'other']);
    await host.run(['ip', 'link', 'set', 'other', 'up']);
    await host.run(['ip', 'link', 'set', name, 'up']);
    await host.run(['ip', 'addr', 'add', '10.9.0.2/24', 'dev', name]);
    await host.run(['ip', 'route', 'add', 'default', 'via', '10.9.0.1', 'dev', name]);
    const terminal = top(host);
    await terminal.shows(/\\x1b\[2J<img/);
    await quit(terminal);
  });

  it('has no colours against the wish of the user, and nothing but ASCII where the terminal has nothing else', async () => {
    const host = loneHost();
    const colored = top(host);
    await colored.shows(/read from the kernel/);
    expect(colored.written).toMatch(COLOR);
    await quit(colored);
    const plain = top(host, [], { env: { NO_COLOR: '1', LC_ALL: 'C' } });
    await plain.shows(/read from the kernel/);
    await quit(plain);
    expect(plain.written).not.toMatch(COLOR);
    // eslint-disable-next-line no-control-regex
    expect(plain.written).toMatch(/^[\u0000-\u007f]*$/);
  });
});

describe('without a terminal', () => {
  it('prints once what there is, as text and as JSON', async () => {
    const lab = await buildLab();
    const client = lab.node('client');
    await startWeft(client);
    startDownload(client, lab.url(ENDLESS_BYTES), ...THROUGH_TUNNEL);
    for (;;) {
      const { code, stdout } = await runWeft(client, 'top', '--json');
      expect(code).toBe(0);
      const { connections, overview, source } = JSON.parse(stdout) as {
        source: string;
        overview: Overview;
        connections: ConnectionPage;
      };
      expect(source).toBe('up');
      expect(overview.paths.map(({ link }) => link)).toContain('wifi0');
      if (connections.rows.some(({ subflowCount }) => subflowCount === 2)) break;
    }
    const { stderr, stdout } = await runWeft(client, 'top', '--search', '203.0.113.10', '--rows', '5');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^wifi0 10\.1\.0\.2 +active/m);
    expect(stdout).toMatch(/203\.0\.113\.10.* mptcp/);
    expect(stdout).not.toContain('\u001b');
  });

  it('asks the daemon where that runs, and reads the kernel where nothing does, also without rights', async () => {
    const host = loneHost();
    const alone = await host.run([...UNPRIVILEGED, ...weftCommand('top', '--once')]);
    expect(alone.stdout).toMatch(/^weft top .* the kernel/);
    expect(alone.stdout).toMatch(/neither Weft nor the daemon runs here/);
    const daemon = new RunningWeft(
      host.spawn(weftCommand('daemon', '--log=stderr'), { stdio: ['ignore', 'pipe', 'pipe'] }),
    );
    await daemon.seen(/mptcpd is ready/);
    expect((await runWeft(host, 'top')).stdout).toMatch(/^weft top .* the daemon, process \d+/);
    await daemon.stop();
  });

  it('says what is wrong with an option', async () => {
    const { code, stderr } = await runWeft(loneHost(), 'top', '--sort', 'byte');
    expect(code).toBe(1);
    expect(stderr).toMatch(/There is no "byte" \(did you mean "bytes"\?\)/);
  });
});
