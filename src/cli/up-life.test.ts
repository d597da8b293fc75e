import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';
import { silentLogger } from '../base/index.ts';
import { UpLife } from './up-life.ts';

const EVENTS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'] as const;
let before: Map<string, Set<unknown>>;
let exit: MockInstance<typeof process.exit>;

beforeEach(() => {
  before = new Map(EVENTS.map((name) => [name, new Set(process.listeners(name as 'SIGINT'))]));
  exit = vi.spyOn(process, 'exit').mockImplementation((() => {}) as never);
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const name of EVENTS) {
    for (const listener of process.listeners(name as 'SIGINT')) {
      if (before.get(name)?.has(listener) !== true) process.off(name, listener);
    }
  }
});

function begin(): UpLife {
  const life = new UpLife(silentLogger);
  life.handleSignals();
  return life;
}

describe('the end of weft up', () => {
  it('a second signal ends it at once', async () => {
    const life = begin();
    process.emit('SIGTERM');
    expect(await life.ended).toEqual({ kind: 'signal', signal: 'SIGTERM' });
    expect(exit).not.toHaveBeenCalled();
    process.emit('SIGINT');
    expect(exit).toHaveBeenCalledWith(1);
  });

  it('is not cut short when two ask at the same time, one of them by a signal', async () => {
    const life = begin();
    life.handleStopRequest();
    process.emit('SIGTERM');
    expect(await life.ended).toEqual({ kind: 'asked' });
    expect(exit).not.toHaveBeenCalled();
    process.emit('SIGTERM');
    expect(exit).toHaveBeenCalledWith(1);
  });
});
