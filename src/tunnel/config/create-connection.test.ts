import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readRecording } from '../../../test/support/mpt-recordings.ts';
import { formatConnectionConfig } from './connection-text.ts';
import { makePeerConnection, mergeAnswer, parsePeerText, peerFileName } from './create-connection.ts';
import type { ConnectionConfig } from './model.ts';

/** The texts of round 3 or 4 of a recording. */
function texts(name: string, round: 3 | 4): string[] {
  return readRecording(name)
    .filter(({ payload }) => payload[0] === 0xa3 && payload[40] === round && payload.length > 100)
    .map(({ payload }) => new TextDecoder().decode(payload.subarray(76)));
}

/** As control/create-body gives it: no throw-away characters, no unfinished line. */
const received = (text: string) => text.slice(4, text.lastIndexOf('\n') + 1);

function parse(text: string): ConnectionConfig {
  const parsed = parsePeerText(text);
  if ('reason' in parsed) throw new Error(parsed.reason);
  return parsed.connection;
}

/** The template of the recording's responder: what its answers have of its own. */
function templateOf(answer: ConnectionConfig): ConnectionConfig {
  const paths = answer.paths.map((path) =>
    Object.assign({}, path, { remoteAddress: '0.0.0.0', weightIn: 1 }),
  );
  return { ...answer, paths, networks: [], remoteAddress: '0.0.0.0', authKey: 'k'.repeat(32) };
}

it.each(['ctl-create.eth1', 'ctl-create-nets2.eth1'])('%s: makes what the original made', (name) => {
  const [asked] = texts(name, 3);
  const [answered] = texts(name, 4);
  const template = templateOf(parse(received(answered!)));
  const { file, connection } = makePeerConnection({
    template,
    request: parse(received(asked!)),
    localAddress: '10.0.0.3',
    localCommandPort: 60_456,
    localPort: 65_060,
  });
  expect(file).toBe('peer_10_0_0_2.conf');
  expect(connection.authKey).toBe(template.authKey);
  const text = formatConnectionConfig(connection, 'message');
  // The original cuts its answer by 36 bytes.
  expect(text.slice(0, -36)).toBe(answered);
});

it('takes from the answer what only the responder knew', () => {
  const own = parse(received(texts('ctl-create-nets2.eth1', 3)[0]!));
  const answer = parse(received(texts('ctl-create-nets2.eth1', 4)[0]!));
  const merged = mergeAnswer({ ...own, remotePort: 1, reorderWindow: 5 }, answer);
  expect(merged).toEqual({ ...own, remotePort: 65_060, reorderWindow: 900 });
});

it('uses the paths that both ends have, in the same version', () => {
  const request = parse(received(texts('ctl-create.eth1', 3)[0]!));
  const template = templateOf(request);
  const input = { request, localAddress: '10.0.0.3', localCommandPort: 1, localPort: 2 };
  const paths = [...template.paths, ...template.paths];
  expect(makePeerConnection({ ...input, template: { ...template, paths } }).connection.paths).toHaveLength(2);
  const [first, second] = template.paths;
  const mixed = [Object.assign({}, first!, { ipVersion: 6 as const, privateAddress: '::' }), second!];
  const made = makePeerConnection({ ...input, template: { ...template, paths: mixed } }).connection;
  expect(made.paths.map(({ interfaceName }) => interfaceName)).toEqual(['eth2']);
  expect(peerFileName('fec0::2')).toBe('peer_fec0__2.conf');
});

it('refuses hostile texts with a reason, whatever they are', () => {
  const text = received(texts('ctl-create.eth1', 3)[0]!);
  const refused = (from: string, to: string) => 'reason' in parsePeerText(text.replace(from, to));
  expect(refused('eth1', '"$(reboot) x"')).toBe(true);
  expect(refused('path_count       = 2', 'path_count = 4000')).toBe(true);
  expect(refused('weight_in        = 1', 'weight_in = 0')).toBe(true);
  expect(refused('conn4_A', 'a\u001b[31m')).toBe(true);
  expect(refused('', '')).toBe(false);
  fc.assert(
    fc.property(fc.string(), fc.nat(text.length), fc.nat(40), (junk, at, length) => {
      parsePeerText(text.slice(0, at) + junk + text.slice(at + length));
      parsePeerText(text.slice(0, at));
    }),
    { numRuns: 500 },
  );
});
