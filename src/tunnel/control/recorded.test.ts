/**
 * The control protocol against packets recorded from the original: every message decoded and written again, and every
 * exchange gone through on both sides with the recorded tokens and answers.
 */
import { describe, expect, it } from 'vitest';
import { createRequest, DEFAULT_KEY, hex, pathRequest } from '../../../test/support/mpt-model.ts';
import { RECORDINGS, readRecording, type RecordedDatagram } from '../../../test/support/mpt-recordings.ts';
import { isSealedWith, keyOf, sealMessage, ZERO_KEY } from './authentication.ts';
import { classifyCommandDatagram } from './command-port.ts';
import { emitCreateBody, parseCreateBody } from './create-body.ts';
import { Initiator } from './initiator.ts';
import { LocalCall } from './local-call.ts';
import { emitLocalEnd, emitLocalReply, parseLocalAnswer, parseLocalRequest } from './local-protocol.ts';
import {
  emitControlMessage,
  formatControlMessage,
  parseControlMessage,
  type ControlMessage,
} from './message.ts';
import { nodeSha256 } from './node-crypto.ts';
import { emitPathChange, parsePathChange } from './path-status.ts';
import { Responder } from './responder.ts';

const CUSTOM_KEY = keyOf('00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF');

interface Recorded extends RecordedDatagram {
  readonly message: ControlMessage;
}

/** Messages between the two command ports. */
function controlOf(name: string): Recorded[] {
  return readRecording(name)
    .filter((each) => each.from.endsWith(':60456') && each.to.endsWith(':60456'))
    .map((each) => Object.assign(each, { message: parseControlMessage(each.payload) as ControlMessage }));
}

/** Exchanges as four messages each; answers that the original sent twice are left out. */
function exchangesOf(name: string): Recorded[][] {
  const found: Recorded[][] = [];
  for (const each of controlOf(name)) {
    if (each.message.round === 1) found.push([]);
    const current = found.at(-1)!;
    if (current.length < 4) current.push(each);
  }
  return found;
}

const exchangeFiles = RECORDINGS.filter((name) => /^ctl-.*eth/.test(name) && name !== 'ctl-create.eth2');
const keyFor = (name: string) => (name.includes('customkey') ? CUSTOM_KEY : DEFAULT_KEY);

describe('recorded control messages', () => {
  it.each(exchangeFiles)('%s: written again to the same bytes, with the hash', (name) => {
    const messages = controlOf(name);
    expect(messages.length).toBeGreaterThanOrEqual(5);
    for (const { payload, message } of messages) {
      expect(classifyCommandDatagram(payload, false)).toBe(message.round % 2 === 0 ? 'answer' : 'request');
      const again = emitControlMessage(message);
      if (message.authType === 2) {
        // The original answers a create for a connection that it has with that connection's key, here 32 zero bytes.
        const key = isSealedWith(payload, keyFor(name), nodeSha256) ? keyFor(name) : ZERO_KEY;
        expect(key === ZERO_KEY).toBe(name === 'ctl-create.eth1' && message.token !== 0);
        sealMessage(again, key, nodeSha256);
      }
      expect(hex(again)).toBe(hex(payload));
      expect(formatControlMessage(payload)).toMatch(/^(path status|create) round [1-4]/);
    }
  });

  it('carry a path change as two addresses', () => {
    const [, , third] = exchangesOf('ctl-auth0-path.eth2')[0]!;
    const change = parsePathChange(third!.message.body)!;
    expect(hex(change.publicAddress)).toBe('00000000000000000000ffff0a010102');
    expect(hex(emitPathChange(change))).toBe(hex(third!.message.body));
  });

  it('carry a connection as the text of its file', () => {
    const [, , third, fourth] = exchangesOf('ctl-create.eth1')[0]!;
    const text = parseCreateBody(third!.message.body);
    expect(text).toMatch(/^;;;#+ Multipath Connection Information: #+\n\n\[connection\]\nname /);
    expect(hex(emitCreateBody(`;;;;${text}`))).toBe(hex(third!.message.body));
    // The answer is cut in its last line, which a reader must not see.
    expect(parseCreateBody(fourth!.message.body)).toMatch(/\nstatus {10} = 0\n\n$/);
  });
});

describe('recorded exchanges', () => {
  it.each(exchangeFiles)('%s: the initiator sends what the original sent', (name) => {
    for (const [first, second, third, fourth] of exchangesOf(name)) {
      const { message } = first!;
      const body = third!.message.body;
      const request =
        message.command === 0xa2
          ? { ...pathRequest(message.authType, message.status), body }
          : { ...createRequest(body), withholdToken: true };
      const initiator = new Initiator(
        { request, key: keyFor(name), refusalKeys: [ZERO_KEY], sha256: nodeSha256 },
        0,
      );
      expect(hex(initiator.datagram)).toBe(hex(first!.payload));
      expect(hex(initiator.handleDatagram(second!.payload, 10)!)).toBe(hex(third!.payload));
      // The original's second copy of an answer is no trouble.
      expect(initiator.handleDatagram(second!.payload, 11)).toBeUndefined();
      expect(initiator.handleDatagram(fourth!.payload, 12)).toBeUndefined();
      expect(initiator.outcome).toEqual({
        code: fourth!.message.status,
        answered: true,
        round: 4,
        body: new Uint8Array(fourth!.message.body),
        peerIsWeft: false,
      });
    }
  });

  it.each(exchangeFiles)('%s: the responder answers what the original answered', (name) => {
    const tokens: number[] = [];
    let has = false;
    const responder = new Responder<string>({
      resolve: (message, from) => ({
        kind: 'known',
        connection: from,
        owner: 'conn',
        authType: message.authType,
        key: keyFor(name),
        ...(has && message.command === 0xa3 ? { answerKey: ZERO_KEY } : {}),
      }),
      randomToken: () => tokens.shift()!,
      sha256: nodeSha256,
    });
    let nowMs = 0;
    for (const [first, second, third, fourth] of exchangesOf(name)) {
      nowMs = first!.atUs / 1000;
      tokens.push(second!.message.token);
      const opened = responder.handleDatagram(first!.payload, first!.from, nowMs);
      expect(opened.kind === 'send' && hex(opened.datagram)).toBe(hex(second!.payload));
      const action = responder.handleDatagram(third!.payload, third!.from, nowMs);
      expect(action.kind).toBe('execute');
      if (action.kind !== 'execute') return;
      expect(hex(action.message.body)).toBe(hex(third!.message.body));
      const { status, body } = fourth!.message;
      const answer = responder.complete(action.ticket, status, body, nowMs)!;
      expect(answer.to).toBe(first!.from);
      expect(hex(answer.datagram)).toBe(hex(fourth!.payload));
      has = true;
    }
    expect(tokens).toEqual([]);
  });
});

describe('recorded local commands', () => {
  const names = RECORDINGS.filter((name) => name.endsWith('.lo'));

  it.each(names)('%s: each is known, and written again to the same bytes', (name) => {
    const datagrams = readRecording(name);
    expect(datagrams).toHaveLength(9);
    for (let i = 0; i < datagrams.length; i += 3) {
      const [request, reply, end] = datagrams.slice(i, i + 3).map((each) => each.payload);
      expect(classifyCommandDatagram(request!, true)).toBe('local');
      expect(classifyCommandDatagram(request!, false)).toBe('other');
      const command = parseLocalRequest(request!)!;
      const call = new LocalCall(command, 25_000, 0);
      expect(hex(call.request)).toBe(hex(request!));
      const answer = parseLocalAnswer(reply!)!;
      expect(answer.kind).toBe('reply');
      if (answer.kind !== 'reply') return;
      expect(hex(emitLocalReply(answer.ok, answer.text))).toBe(hex(reply!));
      expect(hex(emitLocalEnd())).toBe(hex(end!));
      expect(call.handleDatagram(reply!, 5)).toBeUndefined();
      expect(call.handleDatagram(end!, 10)).toEqual({ ...answer, ended: true });
    }
  });
});
