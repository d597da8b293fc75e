/** `weft tunnel VERB`: one interface over several paths (MPT), run, shown and set up. */
import { Command } from 'commander';
import { tunnelInitCommand } from './tunnel-init.ts';
import { tunnelKeygenCommand } from './tunnel-keygen.ts';
import { tunnelPathCommand } from './tunnel-path.ts';
import { tunnelServeCommand } from './tunnel-serve.ts';
import { tunnelStatusCommand } from './tunnel-status.ts';

export function tunnelCommand(): Command {
  return new Command('tunnel')
    .summary('join hosts or networks by a tunnel over several paths (MPT); see mptsrv(8) and mpt(8)')
    .description('Joins two hosts, or the networks behind them, by one interface over several paths (MPT).')
    .addCommand(tunnelServeCommand())
    .addCommand(tunnelStatusCommand())
    .addCommand(tunnelPathCommand())
    .addCommand(tunnelInitCommand())
    .addCommand(tunnelKeygenCommand());
}
