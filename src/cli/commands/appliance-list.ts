/** `weft appliance list`: which images this machine has. */
import { Command } from 'commander';
import { ImageStore } from '../../service/index.ts';
import { describeImage, imageJson } from '../appliance-text.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';

interface ListOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

function runList({ json, verbose }: ListOptions): Promise<void> {
  return reportingFailures({ json, verbose }, () => {
    const store = new ImageStore();
    const images = { current: store.current(), previous: store.previous() };
    if (json === true) {
      const shown = Object.entries(images).map(
        ([place, image]) => [place, image && imageJson(image)] as const,
      );
      writeOutput(`${JSON.stringify({ folder: store.folder, ...Object.fromEntries(shown) })}\n`);
      return;
    }
    const none = `none in "${store.folder}" — make one with "weft appliance build", or take one with "weft appliance import FILE"`;
    const { current, previous } = images;
    const before = previous === undefined ? '' : `before   ${describeImage(previous)}\n`;
    writeOutput(`in use   ${current === undefined ? none : describeImage(current)}\n${before}`);
  });
}

const HELP = `
With --json: {"folder": …, "current": {"digest", "folder", "bytes", "manifest"},
"previous": …}; what is not there is left out.

Exit codes: 0 shown, 1 an image is damaged or could not be read.
`;

export function applianceListCommand(): Command {
  return new Command('list')
    .summary('show the images that this machine has')
    .description('Shows the image in use and the one before it.')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runList);
}
