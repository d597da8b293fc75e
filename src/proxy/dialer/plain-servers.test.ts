import { describe, expect, it } from 'vitest';
import { PLAIN_FOR_MS, PlainServers } from './plain-servers.ts';

const server = { localAddress: '10.0.0.1', address: '192.0.2.1', port: 443 };

describe('PlainServers', () => {
  it('remembers a server for a while, from the last time it answered', () => {
    const servers = new PlainServers();
    expect(servers.has(server, 0)).toBe(false);
    servers.add(server, 0);
    servers.add(server, 1000);
    expect(servers.has(server, PLAIN_FOR_MS + 999)).toBe(true);
    expect(servers.has(server, PLAIN_FOR_MS + 1000)).toBe(false);
    expect(servers.size).toBe(0);
  });

  it('knows nothing of another uplink, address or port', () => {
    const servers = new PlainServers();
    servers.add(server, 0);
    expect(servers.has({ ...server, localAddress: '10.1.0.1' }, 1)).toBe(false);
    expect(servers.has({ ...server, address: '192.0.2.2' }, 1)).toBe(false);
    expect(servers.has({ ...server, port: 80 }, 1)).toBe(false);
    expect(servers.has(server, 1)).toBe(true);
  });

  it('forgets the oldest when there are too many', () => {
    const servers = new PlainServers();
    for (let port = 0; port <= 4096; port++) servers.add({ ...server, port }, 0);
    expect(servers.size).toBe(4096);
    expect(servers.has({ ...server, port: 0 }, 1)).toBe(false);
    expect(servers.has({ ...server, port: 1 }, 1)).toBe(true);
    expect(servers.has({ ...server, port: 4096 }, 1)).toBe(true);
  });
});
