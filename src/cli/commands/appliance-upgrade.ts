/** `weft appliance upgrade [FILE]`: a newer image, if it comes up. */
import { Command } from 'commander';
import { ImageStore, upgradeImage } from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import { packageVersion } from '../version.ts';

interface UpgradeOptions {
  readonly kernel?: string;
  readonly qemu?: string;
  readonly back?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runUpgrade(file: string | undefined, options: UpgradeOptions): Promise<void> {
  const { back, json, kernel, qemu, verbose } = options;
  await reportingFailures({ json, verbose }, async () => {
    const store = new ImageStore();
    const before = store.currentDigest;
    const image =
      back === true
        ? await store.rollBack()
        : await upgradeImage(store, {
            version: packageVersion(),
            ...(file === undefined ? {} : { file }),
            ...(kernel === undefined ? {} : { kernel }),
            ...(qemu === undefined ? {} : { qemu }),
          });
    const changed = image.digest !== before;
    const done = changed ? 'taken into use' : 'in use already';
    writeOutput(
      json === true
        ? `${JSON.stringify({ changed, ...imageJson(image) })}\n`
        : `${done}: ${describeImage(image)}\n`,
    );
  });
}

const HELP = `
Takes FILE, or builds an image of the newest kernel package and this Weft, boots
it once, and takes it into use when its guest comes up with MPTCP. Otherwise the
image used until now stays. A Weft that runs uses the new image from its next
start on.

Exit codes: 0 in use, 1 not; then nothing has changed.

Examples:
  sudo weft appliance upgrade
  sudo weft appliance upgrade weft-appliance.ova
  sudo weft appliance upgrade --back        the image before this one
`;

export function applianceUpgradeCommand(): Command {
  return new Command('upgrade')
    .summary('take a newer image, if it comes up')
    .description('Builds or takes a newer image, boots it once, and uses it when it comes up.')
    .argument('[file]', 'an OVA file or the folder of an image; else one is built')
    .option('--kernel <file>', 'to build: a kernel package (.deb) or a folder with one')
    .option('--qemu <program>', 'the QEMU to boot it with; else qemu-system-* in the PATH')
    .option('--back', 'use the image before this one again')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runUpgrade);
}
