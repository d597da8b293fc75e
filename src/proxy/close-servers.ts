/** How a listening side ends: nobody comes in any more, and who is in is put out. */
import type { Server, Socket } from 'node:net';

/** Stops the servers and destroys the sockets that came in by them; resolves when all are closed. */
export async function closeServers(servers: readonly Server[], sockets: Iterable<Socket>): Promise<void> {
  const closed = servers.map(
    (server) =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  );
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
}
