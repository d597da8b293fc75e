/**
 * Compiles src/tunnel/data/checksum.as.ts (AssemblyScript) and writes it as base64 into checksum-code.ts beside it, which
 * is checked in, so that neither running nor building Weft needs the compiler. `--print` shows the text instead.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { root } from './setup.mjs';

const folder = join('src', 'tunnel', 'data');

const OPTIONS = '--runtime stub --importMemory --noExportMemory --enable simd --noAssert -O3 --converge';

async function compile() {
  let binary;
  const { error } = await asc.main(
    [join(folder, 'checksum.as.ts'), '--outFile', 'checksum.wasm', '--baseDir', root].concat(
      OPTIONS.split(' '),
    ),
    {
      stderr: process.stderr,
      writeFile: (_name, contents) => {
        binary = contents;
      },
    },
  );
  if (error) throw new Error(`checksum.as.ts does not compile: ${error.message}`);
  return Buffer.from(binary);
}

const lines = (await compile()).toString('base64').match(/.{1,96}/g);
const text = `/** Made from checksum.as.ts by \`node scripts/build-checksum.mjs\`; not to be edited. */
export const CHECKSUM_CODE_BASE64 = [
${lines.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
if (process.argv.includes('--print')) process.stdout.write(text);
else writeFileSync(join(root, folder, 'checksum-code.ts'), text);
