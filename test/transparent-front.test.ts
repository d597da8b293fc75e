/** The transparent front by itself, on loopback of the namespace that the tests run in: who comes to it uninvited. */
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { NfTables } from '../src/netlink/index.ts';
import { redirectTable } from '../src/proxy/index.ts';
import { cleanUp, onCleanup, startProxy, until } from './proxy-support.ts';

afterEach(cleanUp);

/** How a connection ends that says something: the code of its error, or what came. */
function outcomeOf(port: number, host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host });
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('close', () => resolve(text));
    socket.write('CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n');
  });
}

it('resets whoever was not redirected to it, whether the kernel tracks connections or not', async () => {
  for (const tracks of [false, true]) {
    const { server } = await startProxy({}, { transparent: { servesLinks: false } });
    if (tracks) {
      // Something that needs connection tracking, and has nothing to do with the front.
      const tables = NfTables.open();
      onCleanup(() => tables.close());
      tables.replace({
        name: 'tracks',
        chains: [
          {
            name: 'c',
            type: 'filter',
            hook: 'input',
            priority: 0,
            rules: [{ when: [{ match: 'connectionState', in: ['invalid'] }], verdict: { action: 'drop' } }],
          },
        ],
      });
    }
    const ports = server.transparentPorts;
    expect(ports.map(({ family }) => family)).toEqual(['ipv4', 'ipv6']);
    for (const { family, port } of ports) {
      expect(await outcomeOf(port, family === 'ipv4' ? '127.0.0.1' : '::1')).toMatch(/^(ECONNRESET|EPIPE)$/);
    }
    await until(() => server.counters().refused === 2, 'both to be counted');
    if (tracks) expect(server.counters().refusedByReason).toEqual({ loop: 2 });
    expect(server.counters().tunnelsOpened).toBe(0);
    await server.stop();
    expect(await outcomeOf(ports[0]!.port, '127.0.0.1')).toBe('ECONNREFUSED');
  }
});

it('is closed to whoever was not redirected, once the table is there', async () => {
  const { server } = await startProxy({}, { transparent: { servesLinks: true } });
  const tables = NfTables.open();
  onCleanup(() => tables.close());
  tables.replace(redirectTable({ ports: server.transparentPorts, fromLinks: [], rejectQuic: false }));
  for (const { family, port } of server.transparentPorts) {
    expect(await outcomeOf(port, family === 'ipv4' ? '127.0.0.1' : '::1')).toBe('ECONNREFUSED');
  }
  expect(server.counters().refused).toBe(0);
});

it('is not there unless it is asked for', async () => {
  const { server } = await startProxy();
  expect(server.transparentPorts).toEqual([]);
});
