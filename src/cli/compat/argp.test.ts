import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseArgp, type OptionSpec, type Token } from './argp.ts';

const SPECS: readonly OptionSpec[] = [
  { name: 'debug', short: 'd' },
  { name: 'log', short: 'l', value: 'required' },
  { name: 'load', value: 'required' },
  { name: 'HANG', value: 'optional' },
  { name: 'help', short: '?' },
  { name: 'helper', value: 'required', whole: true },
];

const option = (name: string, value?: string): Token => ({
  kind: 'option',
  name,
  ...(value === undefined ? {} : { value }),
});
const word = (text: string): Token => ({ kind: 'word', word: text });
const error = (text: string): Token => ({ kind: 'error', text });

describe('a command line of getopt_long', () => {
  it.each<[string, readonly Token[]]>([
    ['--log=x', [option('log', 'x')]],
    ['--log x', [option('log', 'x')]],
    ['--log=', [option('log', '')]],
    ['--log --debug', [option('log', '--debug')]],
    ['--log=a=b', [option('log', 'a=b')]],
    ['--loa x', [option('load', 'x')]],
    ['--de', [option('debug')]],
    ['--hel', [option('help')]],
    ['--helper x', [option('helper', 'x')]],
    ['--helpe', [error("unrecognized option '--helpe'")]],
    ['--HANG', [option('HANG')]],
    ['--HANG 3', [option('HANG'), word('3')]],
    ['--HA=3', [option('HANG', '3')]],
    ['-dl x', [option('debug'), option('log', 'x')]],
    ['-dlx', [option('debug'), option('log', 'x')]],
    ['-ld', [option('log', 'd')]],
    ['-dd?', [option('debug'), option('debug'), option('help')]],
    ['one -d two', [option('debug'), word('one'), word('two')]],
    ['-- -d', [word('-d')]],
    ['-d -- --', [option('debug'), word('--')]],
    ['-', [word('-')]],
    ['-d one --foo', [option('debug'), error("unrecognized option '--foo'")]],
    ['--lo=x', [error("option '--lo=x' is ambiguous; possibilities: '--log' '--load'")]],
    ['--foo=x -d', [error("unrecognized option '--foo=x'")]],
    ['--debug=x', [error("option '--debug' doesn't allow an argument")]],
    ['--deb=', [error("option '--debug' doesn't allow an argument")]],
    ['--log', [error("option '--log' requires an argument")]],
    ['-dl', [option('debug'), error("option requires an argument -- 'l'")]],
    ['-dx', [option('debug'), error("invalid option -- 'x'")]],
    ['-d-x', [option('debug'), error("invalid option -- '-'")]],
    ['-DEBUG', [error("invalid option -- 'D'")]],
  ])('%s', (line, tokens) => expect(parseArgp(line.split(' '), SPECS)).toEqual(tokens));

  it('stops at the first other word where POSIX says so', () => {
    expect(parseArgp(['-d', 'one', '-d'], SPECS, true)).toEqual([option('debug'), word('one'), word('-d')]);
  });

  it('reads any spelling of the same options as the same', () => {
    const spelled = fc.oneof(
      fc.constantFrom('-d', '--d', '--debug').map((text) => ({ words: [text], token: option('debug') })),
      fc.tuple(fc.constantFrom('--log=', '-l'), fc.string({ minLength: 1 })).map(([head, value]) => ({
        words: [head + value],
        token: option('log', value),
      })),
      fc.tuple(fc.constantFrom('--log', '-l', '--loa'), fc.string()).map(([head, value]) => ({
        words: [head, value],
        token: option(head === '--loa' ? 'load' : 'log', value),
      })),
    );
    fc.assert(
      fc.property(fc.array(spelled), (list) => {
        expect(
          parseArgp(
            list.flatMap(({ words }) => words),
            SPECS,
          ),
        ).toEqual(list.map(({ token }) => token));
      }),
    );
  });

  it('takes any words, and ends at the first error', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        const tokens = parseArgp(words, SPECS);
        expect(tokens.slice(0, -1).every(({ kind }) => kind !== 'error')).toBe(true);
        expect(tokens.length).toBeLessThanOrEqual(words.join('').length + words.length);
      }),
    );
  });
});
