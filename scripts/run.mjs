/**
 * `npm start` and `npm run demo`: sets the checkout up if needed, then runs `weft ARGS` in this same process,
 * so that signals and the exit code are those of Weft itself.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, setUp } from './setup.mjs';

try {
  setUp();
} catch (error) {
  console.error(`weft: ${error.message}`);
  process.exit(1);
}
const entry = join(root, 'dist', 'bin', 'weft.js');
process.argv[1] = entry;
await import(pathToFileURL(entry).href);
