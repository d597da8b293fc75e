/** `weft appliance import FILE`: takes an image that was made elsewhere. */
import { Command } from 'commander';
import { ImageStore, importImage } from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface ImportOptions {
  readonly trial?: boolean;
  readonly qemu?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runImport(file: string, { json, qemu, trial, verbose }: ImportOptions): Promise<void> {
  await reportingFailures({ json, verbose }, async () => {
    const image = await importImage(new ImageStore(), file, {
      trial: trial === true,
      ...(qemu === undefined ? {} : { qemu }),
    });
    writeOutput(
      json === true ? `${JSON.stringify(imageJson(image))}\n` : `taken into use: ${describeImage(image)}\n`,
    );
  });
}

const HELP = `
FILE is an OVA, as "weft appliance export" writes it, or the folder that "weft
appliance build --output" makes. An OVA with one VMDK disk is taken too, when
what is on it is a Weft guest: qemu-img makes a qcow2 of the disk, and it is
booted once before it is used. Every file is compared with the SHA-256 that the
image says; what is not right changes nothing. The image used until now is kept.

Exit codes: 0 taken, 1 not; then nothing has changed.

Examples:
  sudo weft appliance import weft-appliance.ova
  sudo weft appliance import --trial ./image
`;

export function applianceImportCommand(): Command {
  return new Command('import')
    .summary('take an image that was made elsewhere')
    .description('Takes an image into use that was made elsewhere, after checking it.')
    .argument('<file>', 'an OVA file or the folder of an image')
    .option('--trial', 'boot it once before it is used')
    .option('--qemu <program>', 'the QEMU to boot it with; else qemu-system-* in the PATH')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runImport);
}
