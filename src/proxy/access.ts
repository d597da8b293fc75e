/**
 * Who may use the proxy, and how much of it: the users and the limits of the policy in force, for every protocol of
 * the front door.
 */
import type { Socket } from 'node:net';
import { LimitedClients } from './client-limits.ts';
import { clientOf, type Client } from './client.ts';
import type { ProxyPolicy } from './policy/types.ts';
import { Users, type UserVerdict } from './users.ts';

const nowMs = () => performance.now();

export class Access {
  readonly users: Users;
  readonly clients: LimitedClients;

  /** @param policy the one in force now */
  constructor(policy: () => Pick<ProxyPolicy, 'users' | 'limits'>) {
    this.users = new Users({ users: () => policy().users, nowMs });
    this.clients = new LimitedClients(() => policy().limits, nowMs);
  }

  /** The client behind a connection, once it has named itself. */
  check(socket: Socket, user: string, password: string): UserVerdict | Promise<UserVerdict> {
    return this.users.check(clientOf(socket).address, user, password);
  }
}

export function asUser(client: Client, user: string): Client {
  return { ...client, user };
}
