import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIpOptions } from './ip-options.ts';

const parse = (line: string) => parseIpOptions(line.split(' ').filter((word) => word !== ''));
const optionsOf = (line: string) => {
  const { outcome } = parse(line);
  return outcome.kind === 'run' ? outcome.options : outcome;
};

describe('options before the object', () => {
  it.each([
    ['-j', { json: true }],
    ['--json', { json: true }],
    ['-js -p -o', { json: true, pretty: true, oneline: true }],
    ['-t', { timestamp: 'long' }],
    ['-ti', { timestamp: 'long' }],
    ['-ts', { timestamp: 'short' }],
    ['-t -ts', { timestamp: 'short' }],
    ['-ts -t', { timestamp: 'short' }],
    ['-c', { color: 'always' }],
    ['-c=', { color: 'always' }],
    ['-col=auto', { color: 'auto' }],
    ['-=never', { color: 'never' }],
    ['-c -c=never', { color: 'never' }],
    ['-fo', { force: true }],
    ['-b x', { batch: 'x' }],
    ['-bat - -force', { batch: '-', force: true }],
    ['-rc 0x1000', { receiveBufferBytes: 4096 }],
    ['-s -d -r -4 -6 -0 -M -B -a -N -h -i -br -echo -l 5 -f inet', {}],
  ])('%s', (line, expected) => expect(optionsOf(`${line} mptcp`)).toMatchObject(expected));

  it.each(['-e', '-F', '-v', '-4x', '-colour', '-cx', '-c=foo', '-js=on', '-netnsx', '-numeric', '---j'])(
    '%s is unknown',
    (option) => {
      const shown = option.replace(/^--/, '-');
      expect(optionsOf(`${option} mptcp`)).toEqual({
        kind: 'exit',
        exitCode: 255,
        stderr: `Option "${shown}" is unknown, try "ip -help".\n`,
      });
    },
  );

  it('keeps the namespaces that were named before an error', () => {
    expect(parse('-n a -n b -bogus -n c')).toMatchObject({
      namespaces: ['a', 'b'],
      outcome: { kind: 'exit' },
    });
    expect(parse('-n').namespaces).toEqual([undefined]);
  });

  it('leaves the words as they are', () => {
    expect(parse('-j -- -n x').outcome).toMatchObject({ words: ['-n', 'x'] });
    expect(parse('mptcp -j').outcome).toMatchObject({ words: ['mptcp', '-j'] });
    expect(parse('').outcome).toMatchObject({ words: [] });
  });

  it('ends in one of its two ways, whatever the words', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.string().map((text) => `-${text}`),
          ),
        ),
        (argv) => {
          expect(['run', 'exit']).toContain(parseIpOptions(argv).outcome.kind);
        },
      ),
    );
  });
});
