/** `weft appliance export FILE`: writes the image in use as one file. */
import { Command } from 'commander';
import { exportImage, ImageStore } from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface ExportOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runExport(file: string, { json, verbose }: ExportOptions): Promise<void> {
  await reportingFailures({ json, verbose }, async () => {
    const image = await exportImage(new ImageStore(), file);
    writeOutput(
      json === true
        ? `${JSON.stringify({ file, ...imageJson(image) })}\n`
        : `written to "${file}": ${describeImage(image)}\n`,
    );
  });
}

const HELP = `
FILE becomes an OVA: a tar archive with an OVF envelope, SHA-256 digests, and
the image's files. "weft appliance import" reads it on any machine of the same
kind of processor. A file of that name is replaced, when all is written.

Exit codes: 0 written, 1 not.

Example:
  weft appliance export weft-appliance.ova
`;

export function applianceExportCommand(): Command {
  return new Command('export')
    .summary('write the image in use as one file')
    .description('Writes the image in use as one file (OVA).')
    .argument('<file>', 'the file to write')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runExport);
}
