import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRulesDocument } from './proxy-rules-document.ts';

const VERIFIER = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`;

const read = (text: string) => readRulesDocument(text);
const mistakes = (text: string) => read(text).mistakes.map(({ line, text: what }) => `${line}: ${what}`);
const rules = (text: string) => {
  expect(mistakes(text)).toEqual([]);
  return read(text).document!.rules;
};

it('reads every key', () => {
  const text = `
default = "home"

[[rule]]
to = ["Example.ORG.", "*.example.net", ".bücher.example", "10.0.0.0/8", "2001:DB8::1"]
port = [443, "8000-8999"]
from = ["192.168.1.0/24", "loopback"]
user = "ann"
way = "refuse"
reason = "not at work"

[[rule]]
to = "private"
way = "direct"

[[rule]]
to = "*.video.example"
way = "shop"

[upstream.home]
url = "weft://vps.example.org"
token_file = "home.token"

[upstream."shop"]
url = "http://ann@proxy.example.org:3128"
password_file = "shop.password"
multipath = false

[user.ann]
password = "${VERIFIER}"

[limits]
connections = 100
tunnels = 50
new_per_second = 20
`;
  const { document } = read(text);
  expect(mistakes(text)).toEqual([]);
  expect(document).toMatchObject({
    rules: [
      {
        to: {
          names: [
            { name: 'example.org', subdomains: false },
            { name: 'example.net', subdomains: true },
            { name: 'xn--bcher-kva.example', subdomains: false },
            { name: 'xn--bcher-kva.example', subdomains: true },
          ],
          prefixes: [
            { address: '10.0.0.0', length: 8 },
            { address: '2001:db8::1', length: 128 },
          ],
        },
        ports: [
          { first: 443, last: 443 },
          { first: 8000, last: 8999 },
        ],
        from: [
          { address: '192.168.1.0', length: 24 },
          { address: '127.0.0.0', length: 8 },
          { address: '::1', length: 128 },
        ],
        users: ['ann'],
        way: { kind: 'refuse', reason: 'not at work' },
        place: 'line 4',
      },
      { way: { kind: 'direct' } },
      { way: { kind: 'upstream', upstream: 'shop' } },
    ],
    upstreams: [
      { name: 'home', kind: 'weft', host: 'vps.example.org', tokenFile: 'home.token', line: 20 },
      { name: 'shop', kind: 'http', user: 'ann', passwordFile: 'shop.password', multipath: false, line: 24 },
    ],
    limits: { connections: 100, tunnels: 50, newPerSecond: 20 },
    defaultWay: { kind: 'upstream', upstream: 'home' },
    hasSecrets: true,
  });
  expect(document?.users.get('ann')).toEqual({ password: VERIFIER });
});

it('takes an empty file, and a rule for everything at the end', () => {
  expect(rules('')).toEqual([]);
  expect(rules('[[rule]]\nway = "refuse"')).toEqual([{ way: { kind: 'refuse' }, place: 'line 1' }]);
  expect(read('[[rule]]\nway = "refuse"').document?.hasSecrets).toBe(false);
});

it('lets rules name the upstream proxy of the command line', () => {
  const { document } = readRulesDocument('[[rule]]\nto = "a.example"\nway = "upstream"', ['upstream']);
  expect(document?.rules[0]?.way).toEqual({ kind: 'upstream', upstream: 'upstream' });
});

describe('mistakes', () => {
  it.each([
    ['to = ', '1: not TOML: '],
    ['defualt = "direct"', '1: unknown key "defualt" — did you mean "default"?'],
    ['default = "direkt"', '1: default: there is no way "direkt" — did you mean "direct"?'],
    ['rule = 3', '1: rule: this is not a list of tables — write [[rule]] above each rule'],
    ['[[rule]]\nto = "a.example"', '1: this rule has no way — write way = '],
    ['[[rule]]\nway = "shop"', '2: way: there is no way "shop" — expected "direct", "multipath", "refuse"'],
    ['[[rule]]\nto = []\nway = "direct"', '2: to: the list is empty — leave the key out'],
    [
      '[[rule]]\nto = "10.0.0.1/8"\nway = "direct"',
      '2: to: "10.0.0.1/8" has bits beyond its length; meant is "10.0.0.0/8"',
    ],
    ['[[rule]]\nto = "10.0.0.0/33"\nway = "direct"', '2: to: "10.0.0.0/33" has no length from 0 to 32'],
    ['[[rule]]\nto = "10.1"\nway = "direct"', '2: to: "10.1" is not understood — expected "example.org"'],
    ['[[rule]]\nto = "a..example"\nway = "direct"', '2: to: "a..example" is not understood'],
    ['[[rule]]\nto = "http://a.example/"\nway = "direct"', '2: to: "http://a.example/" is not understood'],
    [
      '[[rule]]\nfrom = "a.example"\nway = "direct"',
      '2: from: "a.example" is not understood — expected an address',
    ],
    ['[[rule]]\nport = 0\nway = "direct"', '2: port: 0 is not understood — expected a port from 1'],
    ['[[rule]]\nport = "9-8"\nway = "direct"', '2: port: "9-8" is not understood'],
    [
      '[[rule]]\nuser = "an"\nway = "direct"\n[user.ann]\npassword = "x"',
      '2: user: "an" is not understood — did you mean "ann"?',
    ],
    ['[[rule]]\nway = "direct"\nreason = "x"', '3: reason: only a rule with way = "refuse" tells one'],
    [
      '[[rule]]\nway = "direct"\n[[rule]]\nto = "a"\nway = "refuse"',
      '3: this rule is never reached — the one of line 1',
    ],
    ['[upstream.a]\nurl = "ftp://b"', '2: url: "ftp://b": no proxy is spoken to by "ftp"'],
    ['[upstream.a]\n', '1: this upstream proxy has no url'],
    ['[upstream.direct]\nurl = "http://b"', '1: "direct" cannot be the name of an upstream proxy'],
    [
      '[upstream.a]\nurl = "http://b"\ntoken_file = "x"',
      '3: token_file: http:// knows no tokens; weft:// does',
    ],
    ['[upstream.a]\nurl = "weft://b"', '2: url: a far end wants to know who comes'],
    [
      '[upstream.a]\nurl = "https://b"\ncert_file = "x"',
      '3: cert_file: cert_file and key_file come together',
    ],
    ['[upstream.a]\nurl = "http://b"\n[upstream.b]\nurl = "http://c"\nport = 3', '5: unknown key "port"'],
    ['[user.ann]\npassword = "secret"', '2: password: not of the form $scrypt$'],
    ['[user.ann]\n', '1: this user has no password — "weft hash-password"'],
    ['[user."a:b"]\npassword = "x"', '1: "a:b" cannot be a user\'s name'],
    ['[limits]\ntunnels = 0', '2: tunnels: 0 is not a whole number from 1 to 1000000'],
    ['limits = 1', '1: limits: this is not a table — write [limits]'],
  ])('%j', (text, expected) => {
    expect(mistakes(text).some((mistake) => mistake.startsWith(expected))).toBe(true);
  });

  it('tell no secret', () => {
    const text = `[upstream.a]\nurl = "http://ann:hunter2@"\n[user.bob]\npassword = "hunter2"\n[user.eve]\npassword = "${VERIFIER.slice(0, -30)}"`;
    expect(mistakes(text).length).toBeGreaterThan(2);
    expect(mistakes(text).join('\n')).not.toMatch(/hunter2|AAAA|BBBB/);
    expect(mistakes('[user.bob]\npassword = "hunter2').join('\n')).not.toContain('hunter2');
  });

  it('are all told, in order', () => {
    expect(
      mistakes('x = 1\n[[rule]]\nway = "?"\n[[rule]]\nport = "x"\nway = "direct"').map((m) => m[0]),
    ).toEqual(['1', '3', '4']);
  });
});

it('survives whatever a file holds', () => {
  const piece = fc.constantFrom(
    '[[rule]]',
    'to',
    '=',
    '"',
    '[',
    ']',
    '\n',
    'way',
    '"direct"',
    '{',
    '}',
    '__proto__',
    '3',
    '.',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (parts) => {
      const result = read(parts.join(' '));
      expect((result.document === undefined) === result.mistakes.length > 0).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
