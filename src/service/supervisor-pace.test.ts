import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_OWN_TURNS, OWN_MS, Pace, QUIET_MS } from './supervisor-pace.ts';

describe('Pace', () => {
  it('looks at once after silence, and once more after a burst', () => {
    const pace = new Pace();
    expect(pace.dueMs).toBeUndefined();
    pace.handleEvent('host', 100);
    expect(pace.dueMs).toBe(100);
    pace.handleLook(100, 103, true);
    expect(pace.dueMs).toBe(103 + OWN_MS);
    pace.handleEvent('host', 104);
    pace.handleEvent('host', 105);
    expect(pace.dueMs).toBe(103 + QUIET_MS);
    pace.handleLook(123, 125, true);
    expect(pace.dueMs).toBe(125 + OWN_MS);
    pace.handleLook(185, 187, false);
    expect(pace.dueMs).toBeUndefined();
  });

  it('has no interest in messages without bearing', () => {
    const pace = new Pace();
    pace.handleEvent('none', 1);
    expect(pace.dueMs).toBeUndefined();
  });

  it('lets Weft’s own messages wait, but not those of the host that come with them', () => {
    const pace = new Pace();
    pace.handleEvent('own', 100);
    expect(pace.dueMs).toBe(100 + OWN_MS);
    pace.handleEvent('host', 110);
    expect(pace.dueMs).toBe(110);
  });

  it('gives long looks a rest', () => {
    const pace = new Pace();
    pace.handleEvent('host', 0);
    pace.handleLook(0, 1000, true);
    pace.handleEvent('host', 1000);
    expect(pace.dueMs).toBe(5000);
  });

  it('stops answering its own echo when somebody keeps undoing its work, until the host speaks', () => {
    const pace = new Pace();
    let nowMs = 0;
    let looks = 0;
    pace.handleEvent('host', nowMs);
    while (pace.dueMs !== undefined && looks < 1000) {
      nowMs = pace.dueMs;
      looks++;
      pace.handleLook(nowMs, nowMs + 1, true);
      pace.handleEvent('own', nowMs + 2);
    }
    expect(looks).toBe(1 + MAX_OWN_TURNS);
    expect(pace.contested).toBe(true);
    pace.handleEvent('host', nowMs + 5000);
    expect(pace.dueMs).toBe(nowMs + 5000);
    pace.handleLook(nowMs + 5000, nowMs + 5001, false);
    expect(pace.contested).toBe(false);
  });

  it('answers every message of the host within the quiet time and one look, whatever comes', () => {
    const message = fc.record({
      gapMs: fc.integer({ min: 0, max: 50 }),
      bearing: fc.constantFrom('host', 'own', 'none'),
      lookMs: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 100 }), (messages) => {
        const pace = new Pace();
        let nowMs = 0;
        let oldestMs: number | undefined;
        const lookUntil = (limitMs: number, lookMs: number) => {
          while (pace.dueMs !== undefined && pace.dueMs <= limitMs) {
            nowMs = Math.max(nowMs, pace.dueMs);
            // A look sees what was said before it began.
            if (oldestMs !== undefined) expect(nowMs - oldestMs).toBeLessThanOrEqual(QUIET_MS + 5);
            oldestMs = undefined;
            nowMs += lookMs;
            pace.handleLook(nowMs - lookMs, nowMs, false);
          }
        };
        for (const { bearing, gapMs, lookMs } of messages) {
          lookUntil(nowMs + gapMs, lookMs);
          nowMs += gapMs;
          pace.handleEvent(bearing, nowMs);
          if (bearing === 'host') oldestMs ??= nowMs;
        }
        lookUntil(Infinity, 0);
        expect(oldestMs).toBeUndefined();
      }),
    );
  });
});
