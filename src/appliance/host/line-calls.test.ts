import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../../base/index.ts';
import { guestText } from './agent-client.ts';
import { LineCalls } from './line-calls.ts';

interface Asked {
  readonly id: number;
  readonly do: string;
}

/** Both ends of a conversation in memory. */
function open(answer: (question: Asked, say: (message: object) => void) => void) {
  const events: object[] = [];
  const ends: string[] = [];
  const say = (message: object) => stream.push(`${JSON.stringify(message)}\n`);
  const stream: Duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().trim().split('\n')) answer(JSON.parse(line) as Asked, say);
      done();
    },
  });
  const calls = new LineCalls(stream, {
    who: 'the guest',
    formatCall: (id, call) => JSON.stringify({ id, ...call }),
    readAnswer: ({ fails, id }) =>
      fails === true ? { error: new WeftError('no', { code: 'NO' }) } : { result: id },
    onEvent: (event) => events.push(event),
    onEnd: (why) => ends.push(why),
  });
  return { calls, stream, events, ends, say };
}

describe('questions', () => {
  it('get their own answers, in whatever order these come', async () => {
    const asked: Asked[] = [];
    const { calls, say } = open((question) => asked.push(question));
    const first = calls.call({ do: 'a' }, 1000);
    const second = calls.call({ do: 'b' }, 1000);
    for (const { id } of asked.toReversed()) say({ id });
    expect(await Promise.all([first, second])).toEqual(asked.map(({ id }) => id));
  });

  it('are refused, and late, each by itself', async () => {
    const { calls } = open(({ do: what, id }, say) => {
      if (what === 'refused') say({ id, fails: true });
    });
    await expect(calls.call({ do: 'refused' }, 1000)).rejects.toMatchObject({ code: 'NO' });
    await expect(calls.call({ do: 'unheard' }, 1)).rejects.toThrow('the guest did not answer within 1 ms');
  });

  it('all end with the conversation, and none can be asked afterwards', async () => {
    const { calls, ends, stream } = open(() => {});
    const waiting = calls.call({ do: 'a' }, 60_000);
    stream.destroy();
    await expect(waiting).rejects.toMatchObject({ code: 'ENDED' });
    await expect(calls.call({ do: 'b' }, 1000)).rejects.toMatchObject({ code: 'ENDED' });
    expect(ends).toHaveLength(1);
  });

  it('end when the other side talks nonsense', async () => {
    const { calls, events, stream, say } = open(() => {});
    say({ event: 'hello' });
    const waiting = calls.call({ do: 'a' }, 60_000);
    stream.push('nonsense\n');
    await expect(waiting).rejects.toThrow(/no JSON object/);
    expect(events).toEqual([{ event: 'hello' }]);
  });

  it('are bounded', async () => {
    const { calls } = open(() => {});
    const asked = Array.from({ length: 101 }, () => calls.call({ do: 'a' }, 60_000));
    await expect(asked[100]).rejects.toMatchObject({ code: 'BUSY' });
    calls.close();
    await Promise.allSettled(asked);
  });
});

it('a text of the guest is one line without tricks', () => {
  expect(guestText('a\n\u001b[31mb\u0007')).toBe('a  [31mb ');
  expect(guestText('x'.repeat(2000))).toHaveLength(500);
});
