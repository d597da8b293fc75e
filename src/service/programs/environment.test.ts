import { describe, expect, it } from 'vitest';
import { extended, preloadAdditions, quoteNodeOption } from './environment.ts';

const [library, go, node] = preloadAdditions({
  registerPath: '/opt/weft/register.cjs',
  libraryPath: '/usr/lib/libmptcpwrap.so.0',
});

describe('a value that is there stays, and ours comes behind', () => {
  it.each([
    [library, undefined, '/usr/lib/libmptcpwrap.so.0'],
    [library, '', '/usr/lib/libmptcpwrap.so.0'],
    [library, '/a.so', '/a.so:/usr/lib/libmptcpwrap.so.0'],
    [library, '/a.so /b.so', '/a.so /b.so:/usr/lib/libmptcpwrap.so.0'],
    [go, undefined, 'multipathtcp=1'],
    [go, 'gctrace=1', 'gctrace=1,multipathtcp=1'],
    [go, 'multipathtcp=0', 'multipathtcp=0,multipathtcp=1'],
    [go, 'multipathtcp=1,multipathtcp=0', 'multipathtcp=1,multipathtcp=0,multipathtcp=1'],
    [node, undefined, '--require /opt/weft/register.cjs'],
    [node, '--max-old-space-size=99', '--max-old-space-size=99 --require /opt/weft/register.cjs'],
  ])('%#', (addition, current, expected) => {
    const value = extended(current, addition!);
    expect(value).toBe(expected);
    expect(extended(value, addition!)).toBe(expected);
  });
});

it.each(['/usr/lib/libmptcpwrap.so.0', '/x.so:/usr/lib/mptcp/libmptcpwrap.so.0.0.1', 'libmptcpwrap.so'])(
  'the library is the same under any of its names: %s',
  (current) => expect(extended(current, library!)).toBe(current),
);

it('leaves out what is not installed', () => {
  expect(preloadAdditions({})).toEqual([{ name: 'GODEBUG', value: 'multipathtcp=1', separator: ',' }]);
});

it.each([
  ['/plain/path', '/plain/path'],
  ['/with space/x', '"/with space/x"'],
  [String.raw`/a"b\c`, String.raw`"/a\"b\\c"`],
])('quotes %s for NODE_OPTIONS', (word, quoted) => expect(quoteNodeOption(word)).toBe(quoted));
