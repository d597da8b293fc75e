import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPolicy } from './policy-file.ts';
import { tomlLines } from '../../base/toml-lines.ts';

const USERS = new Map([
  ['root', 0],
  ['backup', 34],
  ['www-data', 33],
]);

const read = (text: string) => readPolicy(text, USERS);
const mistakes = (text: string) => read(text).mistakes.map(({ line, text: what }) => `${line}: ${what}`);

it('reads every key', () => {
  const text = `
[retry]
first = 0.5
longest = 30

[[rule]]
name = "backup program"
to = ["192.0.2.0/24", "2001:DB8::/32", "198.51.100.7"]
port = [443, "8000-8999"]
uid = ["backup", 1001]
cgroup = "/system.slice/backup.service/"
side = "client"
interfaces = ["wlan*", "!wlan9"]
backup = "wlan1"
subflows = 2
maximum = 4
reestablish = false
announce = true
create = false

[[rule]]
`;
  expect(read(text)).toEqual({
    mistakes: [],
    policy: {
      firstRetryMs: 500,
      longestRetryMs: 30_000,
      rules: [
        {
          name: 'backup program',
          line: 6,
          to: [
            { address: '192.0.2.0', length: 24 },
            { address: '2001:db8::', length: 32 },
            { address: '198.51.100.7', length: 32 },
          ],
          port: [
            { first: 443, last: 443 },
            { first: 8000, last: 8999 },
          ],
          uid: [34, 1001],
          cgroup: ['/system.slice/backup.service'],
          side: 'client',
          interfaces: ['wlan*', '!wlan9'],
          backup: ['wlan1'],
          subflows: 2,
          maximum: 4,
          reestablish: false,
          announce: true,
          create: false,
        },
        {
          name: 'rule 2',
          line: 21,
          backup: [],
          subflows: 1,
          maximum: 8,
          reestablish: true,
          announce: false,
        },
      ],
    },
  });
});

describe('mistakes', () => {
  it.each([
    ['[[rule]]\nto = [', '2: not TOML: '],
    ['[[rule]]\n\ninterface = "eth0"', '3: unknown key "interface" — did you mean "interfaces"?'],
    [
      '[[rule]]\nzzz = 1',
      '2: unknown key "zzz" — there are name, to, port, uid, cgroup, side, interfaces, backup, subflows, maximum, reestablish, announce, create',
    ],
    ['# a\n[[rules]]\nto = "::/0"', '2: unknown key "rules" — did you mean "rule"?'],
    ['[[rule]]\n[retry]\nfrist = 1', '3: unknown key "frist" — did you mean "first"?'],
    ['[[rule]]\n[retry]\nfirst = 0', '3: first: 0 is not a number of seconds, above 0 and at most a day'],
    ['retry = 5\n[[rule]]', '1: retry: this is not a table — write [retry]'],
    ['\n[rule]\nto = "::/0"', '2: rule: this is not a list of tables — write [[rule]] above each rule'],
    ['', '1: there is no rule — write [[rule]] above each rule'],
    [
      '[[rule]]\nto = [\n  "192.0.2.0/24",\n  "192.0.2.0/33",\n]',
      '2: to: "192.0.2.0/33" is not understood — an address or a prefix such as "192.0.2.0/24"',
    ],
    ['[[rule]]\nto = []', '2: to: the list is empty — leave the key out'],
    ['[[rule]]\nport = 0', '2: port: 0 is not understood — a port, or a range such as "8000-8999"'],
    ['[[rule]]\nport = "9-8"', '2: port: "9-8" is not understood — a port, or a range such as "8000-8999"'],
    ['[[rule]]\nuid = "bakcup"', '2: uid: "bakcup" is not understood — did you mean "backup"?'],
    [
      '[[rule]]\nuid = [0, -1]',
      '2: uid: -1 is not understood — a user id, or the name of a user of this host',
    ],
    [
      '[[rule]]\ncgroup = "system.slice"',
      '2: cgroup: "system.slice" is not understood — a path or a pattern that begins with "/", such as "/system.slice/*"',
    ],
    ['[[rule]]\nside = "clinet"', '2: side: "clinet" is neither "client" nor "server"'],
    ['[[rule]]\nsubflows = 1.5', '2: subflows: 1.5 is not a whole number from 0 to 255'],
    ['[[rule]]\nmaximum = "4"', '2: maximum: "4" is not a whole number from 1 to 255'],
    ['[[rule]]\nannounce = "yes"', '2: announce: "yes" is neither true nor false'],
    ['[[rule]]\nname = 1979-05-27', '2: name: "1979-05-27" is not a text'],
    [
      '[[rule]]\nname = "all"\n[[rule]]\nto = "::/0"',
      '3: rule "rule 2" is never reached — rule "all" (line 1) is for every connection',
    ],
  ])('%j', (text, expected) => {
    const found = mistakes(text);
    expect(found).toHaveLength(1);
    expect(found[0]!.startsWith(expected)).toBe(true);
    expect(read(text).policy).toBeUndefined();
  });

  it('are told all at once, in the order of the lines', () => {
    const text = '[[rule]]\nmaximum = 0\nside = 1\nnam = "x"\nto = "x"\n[retry]\nlongest = "a"';
    expect(mistakes(text).map((mistake) => mistake[0])).toEqual(['2', '3', '4', '5', '7']);
  });

  it('whatever the text is, one is named or there is a policy', () => {
    const word = fc.constantFrom(
      '[[rule]]',
      '[retry]',
      'to = ',
      'first = ',
      '"::/0"',
      '1',
      '[',
      ']',
      '"""',
      '\n',
      '{',
      '__proto__ = 1',
      'constructor.x = 1',
      '#',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), (words) => {
        const result = read(words.join(' '));
        expect(result.policy === undefined).toBe(result.mistakes.length > 0);
        for (const { line } of result.mistakes) expect(line).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 1000 },
    );
  });
});

it('finds the lines of keys behind values of several lines', () => {
  const text = `a = """
b = 1
[[x]]
"""  # ] }
list = [
  # ]
  "]",
  1,
]
b = 2
[[x]]
k = 'it''s'
[x.y]
k = 1
[[x]]
"k" = "\\"["
last.one = 1
`;
  const lines = tomlLines(text);
  expect(lines.lineOf('', 0, 'list')).toBe(5);
  expect(lines.lineOf('', 0, 'b')).toBe(10);
  expect(lines.lineOf('x', 0, 'k')).toBe(12);
  expect(lines.lineOf('x', 1, 'k')).toBe(16);
  expect(lines.lineOf('x', 1, 'last')).toBe(17);
  expect(lines.lineOf('x', 1, 'none')).toBe(15);
  expect(lines.lineOf('y', 0, 'none')).toBe(1);
});
