/** `weft env` and `weft hash-password`, as a person uses them in a shell. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { LabNode } from '../src/lab/index.ts';
import { parseVerifier } from '../src/proxy/index.ts';
import { isPassword } from '../src/proxy/users-verifier.ts';
import { runWeft, startWeft, WEFT } from './support/weft-program.ts';

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function makeNode(): LabNode {
  const node = new LabNode('host', 'proxy-env-host');
  closers.push(() => node.close());
  return node;
}

describe('weft env', () => {
  it('lets curl use the running Weft, and takes it back', async () => {
    const node = makeNode();
    const weft = await startWeft(node, ['--no-multipath']);
    // Weft answers for the name itself: there is no such host.
    const script = `
      eval "$("$0" "$1" env --shell sh)"
      curl -sS http://nothing.invalid/; printf '%s\\n' "$all_proxy"
      eval "$("$0" "$1" env --shell sh --unset)"
      env | grep -ic _proxy=; true`;
    const { stdout, code } = await node.run(['sh', '-c', script, process.execPath, WEFT]);
    expect(stdout).toMatch(
      /^weft: could not reach nothing\.invalid port 80: .+\nsocks5h:\/\/127\.0\.0\.1:13128\n0\n$/,
    );
    expect(code).toBe(0);
    expect(await weft.stop()).toBe(0);
  });

  it('says nothing to the shell when no Weft runs', async () => {
    const node = makeNode();
    const { stdout, stderr, code } = await runWeft(node, 'env');
    expect({ stdout, code }).toEqual({ stdout: '', code: 1 });
    expect(stderr).toBe('weft: no proxy to name: Weft does not run here — start it with "weft up"\n');
  });
});

describe('weft hash-password', () => {
  async function hash(
    input: string,
  ): Promise<{ readonly stdout: string; readonly stderr: string; readonly code: unknown }> {
    const child = spawn(process.execPath, [WEFT, 'hash-password']);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [code] = await once(child, 'close');
    return { stdout, stderr, code };
  }

  it('prints what the rules file takes', async () => {
    const { stdout, stderr, code } = await hash('correct horse\nnot this\n');
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    const verifier = parseVerifier(stdout.trimEnd());
    if ('reason' in verifier) throw new Error(verifier.reason);
    expect(await isPassword(verifier, 'correct horse')).toBe(true);
  });

  it.each([
    ['', 'weft: nothing came on standard input\n'],
    ['short\n', 'weft: the password has 5 characters, and must have 8 — take a longer one\n'],
  ])('refuses %j', async (input, text) => {
    expect(await hash(input)).toEqual({ stdout: '', stderr: text, code: 1 });
  });
});
