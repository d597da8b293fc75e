/**
 * Whose the socket of a connection is, by the connection's token: user and control group. Needs no privilege.
 *
 * Reference: sock_diag(7) (one socket, INET_DIAG_CGROUP_ID).
 */
import { SocketDiag, type NetlinkSocketOptions } from '../netlink/index.ts';
import { Cgroups } from './cgroups.ts';

export interface SocketOwner {
  readonly uid?: number;
  /** Path of the control group (v2). */
  readonly cgroup?: string;
}

export class SocketOwners {
  readonly #diag: SocketDiag;
  readonly #cgroups = new Cgroups();

  constructor(options: NetlinkSocketOptions = {}) {
    this.#diag = SocketDiag.open(options);
  }

  /** `undefined` when there is no such connection (any more). */
  ownerOf(token: number): SocketOwner | undefined {
    const socket = this.#diag.mptcpSocket(token);
    if (socket === undefined) return undefined;
    const { cgroupId, inode, uid } = socket;
    // Until a program accepts it, a connection is nobody's.
    const owner = inode === 0 ? {} : { uid };
    const cgroup = cgroupId === undefined ? undefined : this.#cgroups.pathOf(cgroupId);
    return { ...owner, ...(cgroup === undefined ? {} : { cgroup }) };
  }

  close(): void {
    this.#diag.close();
  }
}
