/**
 * `ip-mptcp` against the `ip` of this machine: the same command line in the same surroundings gives the same output,
 * error, exit code and state of the kernel. Where iproute2 7.1, which ip-mptcp follows, differs from 6.1, what 7.1
 * does stands beside the line in test/data/ip-mptcp-lines.txt.
 */
import { describe, expect, it } from 'vitest';
import { readSections, type Line, type Outcome } from './support/ip-mptcp-lines.ts';
import { OURS, OwnNamespace, PEER, peerIsSeven } from './support/ip-mptcp-program.ts';
import { UNPRIVILEGED } from './support/weft-program.ts';

const seven = peerIsSeven();
const sections = readSections();

interface Result {
  readonly outcome: Outcome;
  readonly state: string | undefined;
}

async function runLine(program: readonly string[], line: Line): Promise<Result> {
  const namespace = new OwnNamespace();
  try {
    for (const words of line.given) namespace.ip(...words);
    const outcome = await namespace.run(program, line.words, {
      input: line.input,
      environment: { COLORFGBG: '', ...line.environment },
    });
    const state = line.afterwards === undefined ? undefined : namespace.ip(...line.afterwards);
    return { outcome, state };
  } finally {
    namespace.remove();
  }
}

async function checkLine(line: Line): Promise<void> {
  const ours = await runLine(OURS, line);
  if (line.seven !== undefined) expect(ours.outcome).toEqual(line.seven);
  if (line.seven !== undefined && !seven) return;
  expect(ours).toEqual(await runLine(PEER, line));
}

it('has lines enough', () => {
  expect(sections.flatMap(({ lines }) => lines).length).toBeGreaterThan(400);
});

for (const { title, lines } of sections) {
  describe.concurrent(title, () => {
    it.each(lines)('$text', checkLine);
  });
}

describe.concurrent('without privileges', () => {
  const lines = [
    'mptcp endpoint add 10.0.0.1',
    'mptcp endpoint delete id 1',
    'mptcp endpoint change id 1 backup',
    'mptcp endpoint flush',
    'mptcp endpoint show',
    'mptcp limits set subflows 1',
    'mptcp limits set',
    'mptcp limits show',
    'mptcp monitor',
    '-j mptcp monitor',
    '-batch - -force',
  ];
  it.each(lines)('%s', async (text) => {
    const line: Line = {
      text,
      given: [['mptcp', 'endpoint', 'add', '10.0.0.1']],
      environment: {},
      words: text.split(' '),
      input: 'mptcp limits\nmptcp endpoint flush\nmptcp limits\n',
    };
    const ours = await runLine([...UNPRIVILEGED, ...OURS], line);
    expect(ours).toEqual(await runLine([...UNPRIVILEGED, ...PEER], line));
  });
});
