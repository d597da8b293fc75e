/** `weft disable UNIT`: takes back `weft enable UNIT`. */
import { Command } from 'commander';
import { disableUnit } from '../../service/index.ts';
import { rootOption, tellUnitChange } from './enable.ts';

export function disableCommand(): Command {
  return new Command('disable')
    .summary('take back "weft enable"')
    .description('Removes the drop-in that "weft enable" has made for a unit, and nothing else.')
    .argument('<unit>', 'its name, or the path of its file')
    .addOption(rootOption())
    .action((unit: string, { root }: { readonly root?: string }) =>
      tellUnitChange('disabled', () => disableUnit(unit, { root })),
    );
}
