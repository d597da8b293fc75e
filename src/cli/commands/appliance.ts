/** `weft appliance VERB`: the virtual machine for hosts whose kernel has no MPTCP, and its images. */
import { Command } from 'commander';
import { applianceBuildCommand } from './appliance-build.ts';
import { applianceExportCommand } from './appliance-export.ts';
import { applianceImportCommand } from './appliance-import.ts';
import { applianceListCommand } from './appliance-list.ts';
import { applianceUpgradeCommand } from './appliance-upgrade.ts';

export function applianceCommand(): Command {
  return new Command('appliance')
    .summary('build, take and give images of the virtual machine for hosts without MPTCP')
    .description(
      'The appliance is a small virtual machine whose kernel speaks MPTCP, for hosts whose kernel does not; "weft up --backend appliance" runs it.',
    )
    .addCommand(applianceBuildCommand())
    .addCommand(applianceListCommand())
    .addCommand(applianceImportCommand())
    .addCommand(applianceExportCommand())
    .addCommand(applianceUpgradeCommand());
}
