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
  // Until it is killed.
  setInterval(() => {}, 60_000);
} catch (error) {
  console.log((error as { code?: string }).code, (error as Error).message);
}
