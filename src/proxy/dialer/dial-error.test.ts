import { expect, it } from 'vitest';
import { connectFailed, dialTimedOut, resolveFailed } from './dial-error.ts';

const failure = (code: string) => Object.assign(new Error(`some text ${code}`), { code });

it.each([
  [['ECONNREFUSED'], 'connection refused (ECONNREFUSED)', 502, 'refused'],
  [['ECONNREFUSED', 'ECONNREFUSED'], 'connection refused on all 2 addresses (ECONNREFUSED)', 502, 'refused'],
  // A refusal tells more than a missing IPv6 route.
  [['ENETUNREACH', 'ECONNREFUSED'], 'connection refused on 1 of 2 addresses (ECONNREFUSED)', 502, 'refused'],
  [['ENETUNREACH', 'ETIMEDOUT'], 'no answer in time on 1 of 2 addresses (ETIMEDOUT)', 504, 'timeout'],
  [['EMFILE'], 'the proxy has no file descriptors left (EMFILE)', 503, 'no-resources'],
  [['EWHAT'], 'some text EWHAT (EWHAT)', 502, 'other'],
  [[], 'the name has no address', 502, 'not-found'],
])('%j', (codes, text, status, kind) => {
  const error = connectFailed('example.org', 443, codes.map(failure));
  expect(error.message).toBe(`could not reach example.org port 443: ${text}`);
  expect(error).toMatchObject({ status, failure: kind });
});

it('says which names do not exist and which servers do not answer', () => {
  expect(resolveFailed('no.such', 80, failure('ENOTFOUND'))).toMatchObject({
    message: 'could not reach no.such port 80: there is no such name (ENOTFOUND)',
    failure: 'not-found',
    code: 'DIAL_NOT_FOUND',
  });
  expect(resolveFailed('a', 80, failure('EAI_AGAIN')).message).toContain('name servers do not answer');
  expect(dialTimedOut('a', 80, 20_000, undefined).message).toBe(
    'could not reach a port 80: the name servers did not answer within 20 s (ETIMEDOUT)',
  );
});
