/** `weft appliance build`: makes an image of the appliance on this machine. */
import { Command } from 'commander';
import { buildApplianceImage, ImageStore } from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { reportingFailures, reportNotice, writeOutput } from '../command-result.ts';
import { packageVersion } from '../version.ts';

interface BuildOptions {
  readonly output?: string;
  readonly kernel?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

async function runBuild({ json, kernel, output, verbose }: BuildOptions): Promise<void> {
  await reportingFailures({ json, verbose }, async () => {
    const image = await buildApplianceImage(new ImageStore(), {
      version: packageVersion(),
      ...(kernel === undefined ? {} : { kernel }),
      ...(output === undefined ? {} : { output }),
    });
    const { kernelRelease = '' } = image.manifest;
    // Newer ones corrupt their memory under the emulation of QEMU 7.2 (docs/appliance.md).
    if (!/^(5\.|6\.[01]\.)/.test(kernelRelease)) {
      reportNotice(`kernel ${kernelRelease} needs QEMU 10 or newer where there is no KVM`);
    }
    const done = output === undefined ? 'built and taken into use' : `built in "${output}"`;
    writeOutput(
      json === true ? `${JSON.stringify(imageJson(image))}\n` : `${done}: ${describeImage(image)}\n`,
    );
  });
}

const HELP = `
Puts together Debian's cloud kernel, which apt-get fetches and nobody installs,
and a first file system with this machine's Node and this Weft. Takes some ten
seconds and 55 MB. The same kernel package, Node and Weft make the same image,
byte for byte.

Exit codes: 0 built, 1 not; then nothing has changed.

Examples:
  sudo weft appliance build                 build, and use it from now on
  weft appliance build --output ./image     only build
  weft appliance build --kernel ./packages  of a package that is here already
`;

export function applianceBuildCommand(): Command {
  return new Command('build')
    .summary('make an image on this machine (Debian)')
    .description("Makes an image of the appliance from Debian's kernel, this machine's Node and this Weft.")
    .option('--output <dir>', 'a new folder for the image; else it is taken into use')
    .option('--kernel <file>', 'a kernel package (.deb) or a folder with one; else apt-get fetches it')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runBuild);
}
