import { describe, expect, it } from 'vitest';
import { clientKey, LimitedClients, type Entry } from './client-limits.ts';
import type { ClientLimits } from './policy/types.ts';

function leave(entry: Entry): void {
  if ('over' in entry) throw new Error(entry.over.reason);
  entry.leave();
}

describe('LimitedClients', () => {
  const client = { address: '10.0.0.1', remote: true };
  const make = (limits: ClientLimits, nowMs = () => 0) => new LimitedClients(() => limits, nowMs);

  it('lets so many in at once', () => {
    const clients = make({ connections: 2 });
    const entries = [1, 2, 3].map(() => clients.enterConnection('10.0.0.1'));
    expect(entries[2]).toEqual({
      over: { status: 503, reason: '10.0.0.1 has 2 connections open, which is all it may' },
    });
    expect(clients.enterConnection('10.0.0.2')).toHaveProperty('leave');
    leave(entries[0]!);
    leave(entries[0]!);
    expect(clients.enterConnection('10.0.0.1')).toHaveProperty('leave');
    expect(clients.enterConnection('10.0.0.1')).toHaveProperty('over');
  });

  it('counts a user wherever it comes from', () => {
    const clients = make({ tunnels: 1 });
    expect(clients.enterTunnel({ ...client, user: 'ann' })).toHaveProperty('leave');
    expect(clients.enterTunnel({ address: '10.0.0.9', remote: true, user: 'ann' })).toEqual({
      over: { status: 503, reason: 'user "ann" has 1 tunnels open, which is all it may' },
    });
    expect(clients.enterTunnel({ address: '10.0.0.9', remote: true, user: 'bob' })).toHaveProperty('leave');
  });

  it('lets so many begin in a second', () => {
    let nowMs = 0;
    const clients = make({ newPerSecond: 2 }, () => nowMs);
    expect([1, 2, 3].map(() => clients.takeNew(client)?.status)).toEqual([undefined, undefined, 429]);
    expect(clients.enterTunnel(client)).toMatchObject({ over: { status: 429 } });
    nowMs = 500;
    leave(clients.enterTunnel(client));
  });

  it('follows a new policy, and lets those inside stay', () => {
    let limits: ClientLimits = {};
    const clients = new LimitedClients(
      () => limits,
      () => 0,
    );
    const first = clients.enterTunnel(client);
    clients.enterTunnel(client);
    limits = { tunnels: 1 };
    expect(clients.enterTunnel(client)).toHaveProperty('over');
    leave(first);
    expect(clients.enterTunnel(client)).toHaveProperty('over');
  });
});

it('an IPv6 network is one client', () => {
  expect(clientKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
  expect(clientKey('192.0.2.1')).toBe('192.0.2.1');
});
