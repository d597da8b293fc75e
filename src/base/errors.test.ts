import { describe, expect, it } from 'vitest';
import { fileError, systemReason, WeftError } from './errors.ts';

const systemError = (message: string) => Object.assign(new Error(message), { code: message.split(':')[0] });

describe('what the system refuses', () => {
  it.each([
    ['ENOSPC: no space left on device, write', 'no space left on device (ENOSPC)'],
    [
      "EISDIR: illegal operation on a directory, rename 'a' -> 'b'",
      'illegal operation on a directory (EISDIR)',
    ],
    ['something else, of no system', 'something else, of no system'],
  ])('%s', (message, reason) => {
    expect(systemReason(new Error(message))).toBe(reason);
  });

  it('says what was attempted, keeps the code, and names a next step', () => {
    const error = fileError('write "x"', systemError('ENOSPC: no space left on device, write'), 'make room');
    expect(error).toBeInstanceOf(WeftError);
    expect(error).toMatchObject({
      message: 'write "x": no space left on device (ENOSPC) — make room',
      code: 'ENOSPC',
    });
  });

  it('names the file unless that has been said', () => {
    const of = (what: string, message: string) => (fileError(what, systemError(message)) as Error).message;
    expect(of('import "a.ova"', "EACCES: permission denied, mkdir '/var/lib/weft'")).toBe(
      'import "a.ova": permission denied (EACCES), "/var/lib/weft"',
    );
    expect(of('write "/tmp"', "EISDIR: illegal operation on a directory, rename '/tmp/.x/a' -> '/tmp'")).toBe(
      'write "/tmp": illegal operation on a directory (EISDIR)',
    );
  });

  it('is told from what Weft says itself, and from what nobody foresaw', () => {
    const ours = new WeftError('broken', { code: 'BROKEN_IMAGE' });
    const unforeseen = new TypeError('x is not a function');
    expect(fileError('write', ours)).toBe(ours);
    expect(fileError('write', unforeseen)).toBe(unforeseen);
  });
});
