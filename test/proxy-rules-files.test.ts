/** The files that a policy is made of: which are believed, what is said of the others, and that no secret is told. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadPolicy, type PolicySources } from '../src/service/proxy-rules.ts';

const TOKEN = 'tKh2mQx9-very-secret-token-w7Lp3';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync('/tmp/weft-rules-');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string, mode = 0o640): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function failureOf(sources: PolicySources): string {
  try {
    loadPolicy(sources);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('this was expected to fail');
}

const FAR = '[upstream.home]\nurl = "weft://vps.example.org"\ntoken_file = "home.token"\n';

describe('what is read', () => {
  it('stands beside the rules file, tokens and passwords without their line ends', () => {
    write('home.token', `# of the laptop\n${TOKEN}\n`);
    write('shop.password', 'p ss\r\nnot this\n', 0o600);
    const shop = '[upstream.shop]\nurl = "http://ann@proxy.example.org"\npassword_file = "shop.password"\n';
    const policy = loadPolicy({ rulesFile: write('rules.toml', `default = "home"\n${FAR}${shop}`, 0o644) });
    expect(policy.upstreams.get('home')).toEqual({
      name: 'home',
      kind: 'weft',
      host: 'vps.example.org',
      port: 13_443,
      token: TOKEN,
    });
    expect(policy.upstreams.get('shop')).toMatchObject({ user: 'ann', password: 'p ss', port: 3128 });
    expect(policy.defaultWay).toEqual({ kind: 'upstream', upstream: 'home' });
  });

  it('the command line’s upstream proxy is the default, unless the file has one', () => {
    const upstream = { url: 'weft://vps.example.org', tokenFile: write('t', TOKEN) };
    expect(loadPolicy({ upstream }).defaultWay).toEqual({ kind: 'upstream', upstream: 'upstream' });
    const rulesFile = write('rules.toml', 'default = "direct"\n[[rule]]\nport = 443\nway = "upstream"\n');
    const policy = loadPolicy({ rulesFile, upstream });
    expect(policy.defaultWay).toEqual({ kind: 'direct' });
    expect(policy.rules[0]?.way).toEqual({ kind: 'upstream', upstream: 'upstream' });
    const clash = write('clash.toml', '[upstream.upstream]\nurl = "http://192.0.2.1"\n');
    expect(failureOf({ rulesFile: clash, upstream })).toContain(
      `${clash}:1: "upstream" is the name of the one`,
    );
  });

  it('nothing at all is a policy too', () => {
    expect(loadPolicy({})).toMatchObject({ rules: [], defaultWay: { kind: 'multipath' } });
  });
});

describe('what is not believed', () => {
  it('a secret that everybody may read', () => {
    const token = write('home.token', TOKEN, 0o644);
    const rulesFile = write('rules.toml', FAR);
    const text = failureOf({ rulesFile });
    expect(text).toContain(`${rulesFile}:1: "${token}" holds a secret, and its mode is 0644`);
    expect(text).toContain('chmod o=');
    chmodSync(token, 0o640);
    expect(loadPolicy({ rulesFile }).upstreams.size).toBe(1);
  });

  it('a rules file that others may write, or that belongs to somebody else', () => {
    const rulesFile = write('rules.toml', '', 0o666);
    expect(failureOf({ rulesFile })).toContain('not world writable');
    chmodSync(rulesFile, 0o640);
    try {
      chownSync(rulesFile, 12_345, 12_345);
    } catch {
      // A user namespace with one user.
      return;
    }
    expect(failureOf({ rulesFile })).toContain('not to user 12345');
    vi.stubEnv('SUDO_UID', '12346');
    expect(failureOf({ rulesFile })).toContain('not to user 12345');
    if (process.getuid?.() !== 0) return;
    // "scp … weft.token && sudo weft up --token-file weft.token": a file of who has called it.
    vi.stubEnv('SUDO_UID', '12345');
    expect(loadPolicy({ rulesFile }).rules).toEqual([]);
  });

  it('a folder, and nothing', () => {
    mkdirSync(join(folder, 'rules'));
    expect(failureOf({ rulesFile: join(folder, 'rules') })).toContain('should be a file');
    expect(failureOf({ rulesFile: join(folder, 'none') })).toMatch(
      /read the rules file ".*none": there is no such file \(ENOENT\)/,
    );
  });

  it('a token file without a proper token, whose contents are not shown', () => {
    write('home.token', 'short-secret');
    const text = failureOf({ rulesFile: write('rules.toml', FAR) });
    expect(text).toContain('too short');
    expect(text).not.toContain('short-secret');
  });

  it('passwords on the command line, and far ends without a token', () => {
    const password = failureOf({ upstream: { url: 'http://ann:hunter2@proxy.example.org' } });
    expect(password).toContain('a password does not belong on a command line');
    expect(password).not.toContain('hunter2');
    expect(failureOf({ upstream: { url: 'weft://vps.example.org' } })).toContain('add --token-file FILE');
    expect(failureOf({ upstream: { url: 'http://a', tokenFile: '/x' } })).toContain(
      'http:// knows no tokens',
    );
    expect(failureOf({ upstream: { url: 'vps.example.org' } })).toContain('--upstream: "vps.example.org"');
  });
});
