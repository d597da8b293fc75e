/**
 * Brings connections to the proxy's transparent front: the nftables table, from the start of Weft to its end. What the
 * table says is proxy/transparent; how it is owned is netlink's NfTables.
 *
 * Invariant: nothing of others is touched, and without this object the table is gone, also after kill -9.
 */
import { release } from 'node:os';
import { errorText, WeftError, type Prefix } from '../base/index.ts';
import { NfTables } from '../netlink/index.ts';
import { redirectTable, type RedirectPort } from '../proxy/index.ts';

export interface TransparentOptions {
  /** Links whose incoming connections are redirected too; none: only this host's own. */
  readonly fromLinks: readonly string[];
  /** Refuse UDP to port 443, so that browsers use TCP. */
  readonly rejectQuic: boolean;
}

/** Older kernels do not mark the later subflows of an MPTCP connection, which would then be redirected themselves. */
const OLDEST_KERNEL = { major: 5, minor: 13 } as const;

function isTooOld(kernelRelease: string): boolean {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(kernelRelease) ?? [];
  const { major: oldestMajor, minor: oldestMinor } = OLDEST_KERNEL;
  return Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor);
}

export class TransparentRedirect {
  readonly #tables: NfTables;
  readonly #options: TransparentOptions;

  private constructor(tables: NfTables, options: TransparentOptions) {
    this.#tables = tables;
    this.#options = options;
  }

  /**
   * Opens what is needed and changes nothing, so that what cannot work is known before anything is started.
   * @throws WeftError NO_PRIVILEGE without CAP_NET_ADMIN, NO_NFTABLES, OLD_KERNEL
   */
  static open(options: TransparentOptions, kernelRelease = release()): TransparentRedirect {
    if (isTooOld(kernelRelease)) {
      const { major, minor } = OLDEST_KERNEL;
      throw new WeftError(
        `transparent mode: it needs Linux ${major}.${minor}, and this is ${kernelRelease}`,
        {
          code: 'OLD_KERNEL',
          hint: 'leave --transparent out, and name the proxy in programs ("weft env" tells how)',
        },
      );
    }
    try {
      return new TransparentRedirect(NfTables.open(), options);
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      throw new WeftError(`transparent mode: ${errorText(error)}`, { code: error.code, cause: error });
    }
  }

  /**
   * From now on connections come to these ports.
   * @param leftAlone where connections of this host go by themselves all the same
   * @throws WeftError TABLE_OWNED when another Weft does the same here, or what the kernel refuses; nothing has changed
   */
  install(ports: readonly RedirectPort[], leftAlone: readonly Prefix[] = []): void {
    try {
      this.#tables.replace(redirectTable({ ports, leftAlone, ...this.#options }));
    } catch (error) {
      const code = error instanceof WeftError ? error.code : 'TRANSPARENT';
      // What an expression's module is missing for, the kernel calls "No such file or directory".
      const hint =
        code === 'ENOENT'
          ? 'the kernel lacks a part of nftables that this needs: nft_redir, nft_fib_inet, nft_ct, nft_reject_inet'
          : undefined;
      throw new WeftError(`transparent mode: ${errorText(error)}`, {
        code,
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }

  /** Connections go where they go again; those that came here are not touched. Never throws. */
  close(): void {
    this.#tables.close();
  }
}
