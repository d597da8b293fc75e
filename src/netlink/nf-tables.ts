/**
 * Tables of nftables that this process owns: made, replaced and removed as wholes, each in one transaction. The
 * codec is nf-tables-codec.ts; what a table is made of is said in nf-tables-types.ts.
 *
 * Invariants: the kernel never has half a table; a table of others is never touched, also not one of the same name
 * that another process owns. From Linux 5.12 on a table belongs to this object's socket (NFT_TABLE_F_OWNER): nobody
 * else can change it, `flush ruleset` passes it by, and it goes with the socket, also after kill -9. On older kernels
 * what a kill leaves stands until the next `replace` or `remove` of that name.
 *
 * References: <linux/netfilter/nf_tables.h>, nft(8).
 */
import { WeftError } from '../base/errors.ts';
import { EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, SystemError } from '../native/index.ts';
import { NetlinkConnection, type NetlinkSocketOptions } from './connection.ts';
import { NetlinkError } from './errors.ts';
import type { NetlinkRequest } from './message.ts';
import {
  emitNfQuestion,
  emitTableQuestion,
  NF_BATCH,
  NFT_MSG_GETGEN,
  NFT_MSG_GETTABLE,
  NFT_TABLE_F_OWNER,
  parseTableFlags,
  removeTable,
  replaceTable,
} from './nf-tables-codec.ts';
import type { NfTable } from './nf-tables-types.ts';

const NETLINK_NETFILTER = 12;

export interface NfTablesOptions extends NetlinkSocketOptions {
  /** `false`: as on kernels before 5.12, whatever this one has. */
  readonly usesOwnership?: boolean;
}

export class NfTables {
  readonly #connection: NetlinkConnection;
  /** BOUNDED: the tables that this process made, one for each purpose. */
  readonly #names = new Set<string>();
  #owns: boolean;
  #closed = false;

  private constructor(connection: NetlinkConnection, owns: boolean) {
    this.#connection = connection;
    this.#owns = owns;
  }

  /**
   * @throws WeftError `NO_PRIVILEGE` without CAP_NET_ADMIN, `NO_NFTABLES` where the kernel has none
   */
  static open(options: NfTablesOptions = {}): NfTables {
    let connection: NetlinkConnection | undefined;
    try {
      connection = new NetlinkConnection(NETLINK_NETFILTER, options);
      connection.get(NFT_MSG_GETGEN, 0, emitNfQuestion(), 'ask for nftables');
    } catch (error) {
      connection?.close();
      throw openError(error);
    }
    return new NfTables(connection, options.usesOwnership ?? true);
  }

  /** Whether the kernel removes the tables when this process ends, however it does. Known after the first `replace`. */
  get removedByKernel(): boolean {
    return this.#owns;
  }

  /**
   * Brings the table to exactly what is given, in one transaction: no packet meets half of it.
   * @throws NetlinkError when the kernel refuses, and nothing has changed then; WeftError `TABLE_OWNED` when another
   *   process owns a table of that name, or an error of `replaceTable`
   */
  replace(table: NfTable): void {
    if (this.#owns) {
      if (this.#flagsOf(table.name) === 0) this.remove(table.name);
      try {
        this.#commit(table.name, replaceTable(table, NFT_TABLE_F_OWNER));
        this.#names.add(table.name);
        return;
      } catch (error) {
        if (!isUnknownFlag(error, table.name)) throw error;
        this.#owns = false;
      }
    }
    this.#commit(table.name, replaceTable(table, 0));
    this.#names.add(table.name);
  }

  /** Whether there is a table of that name, whoever made it. */
  isPresent(name: string): boolean {
    return this.#flagsOf(name) !== undefined;
  }

  /** Removes a table of Weft's by its name, also one that an earlier process left. Harmless when there is none. */
  remove(name: string): void {
    this.#names.delete(name);
    try {
      this.#commit(name, [removeTable(name)]);
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== ENOENT) throw error;
    }
  }

  /** Removes what was made. Idempotent; never throws, because without its socket the kernel removes it too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const name of this.#names) {
      try {
        this.remove(name);
      } catch {
        // Somebody removed the namespace or the right to change it: closing is all that is left to do.
      }
    }
    this.#connection.close();
  }

  /** `undefined` when there is no such table. */
  #flagsOf(name: string): number | undefined {
    try {
      const answer = this.#connection.get(
        NFT_MSG_GETTABLE,
        0,
        emitTableQuestion(name),
        `look for nftables table "${name}"`,
      );
      return parseTableFlags(answer.payload);
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  #commit(name: string, messages: readonly NetlinkRequest[]): void {
    try {
      this.#connection.transaction(NF_BATCH.begin, messages, NF_BATCH.end);
    } catch (error) {
      throw commitError(name, error);
    }
  }
}

function isUnknownFlag(error: unknown, name: string): boolean {
  return (
    error instanceof NetlinkError &&
    (error.errno === EOPNOTSUPP || error.errno === EINVAL) &&
    error.operation === `make nftables table "${name}"`
  );
}

function openError(error: unknown): unknown {
  if (!(error instanceof NetlinkError) && !(error instanceof SystemError)) return error;
  if (error.errno === EPERM) {
    return new WeftError('nftables may not be used: Operation not permitted (EPERM)', {
      code: 'NO_PRIVILEGE',
      hint: 'run it as root, or with the capability CAP_NET_ADMIN',
      cause: error,
    });
  }
  // Without its module the kernel answers EINVAL; without netfilter there is no such socket.
  if ([EINVAL, EOPNOTSUPP, EPROTONOSUPPORT].includes(error.errno)) {
    return new WeftError(`this kernel has no nftables (${error.code})`, {
      code: 'NO_NFTABLES',
      hint: 'it needs CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET; "modprobe nf_tables" loads them where they are modules',
      cause: error,
    });
  }
  return error;
}

function commitError(name: string, error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error;
  if (error.errno === EPERM) {
    return new WeftError(`nftables table "inet ${name}" belongs to another process (EPERM)`, {
      code: 'TABLE_OWNED',
      hint: `"nft list table inet ${name}" shows which; stop that one first`,
      cause: error,
    });
  }
  return error;
}
