/**
 * A program that makes an nftables table and stays: `nf-tables-child.mjs NAME`. Prints `made`, or the code and text of
 * the error.
 */
import { NfTables } from '../../src/netlink/index.ts';

const [, , name = ''] = process.argv;

try {
  const tables = NfTables.open();
  tables.replace({ name, chains: [] });
  console.log('made');
  // The tables live as long as their owner is referenced.
  setInterval(() => void tables, 60_000);
} catch (error) {
  console.log((error as { code?: string }).code, (error as Error).message);
}
