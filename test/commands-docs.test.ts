/** The pages in docs/ show each command's help as the command prints it. WEFT_UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { disableCommand } from '../src/cli/commands/disable.ts';
import { doctorCommand } from '../src/cli/commands/doctor.ts';
import { enableCommand } from '../src/cli/commands/enable.ts';
import { runCommand } from '../src/cli/commands/run.ts';
import { statusCommand } from '../src/cli/commands/status.ts';
import { upCommand } from '../src/cli/commands/up.ts';

const pageAt = (name: string) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const COMMANDS = [
  [upCommand, 'commands.md'],
  [statusCommand, 'commands.md'],
  [doctorCommand, 'commands.md'],
  [runCommand, 'run.md'],
  [enableCommand, 'run.md'],
  [disableCommand, 'run.md'],
] as const;
const COLUMNS = 80;

function helpOf(command: Command): string {
  let text = '';
  new Command('weft').enablePositionalOptions().addCommand(command);
  command.configureOutput({ getOutHelpWidth: () => COLUMNS, writeOut: (piece) => (text += piece) });
  command.outputHelp();
  return text.trimEnd();
}

/** The block behind the line `<!-- help of weft VERB -->`. */
const blockOf = (verb: string) =>
  new RegExp(`(?<=<!-- help of weft ${verb} -->\n\n\`\`\`\n)[\\s\\S]*?(?=\n\`\`\`)`);

it.each(COMMANDS.map(([make, page]) => [make().name(), make, pageAt(page)] as const))(
  'the help of weft %s',
  (verb, make, path) => {
    const help = helpOf(make());
    const page = readFileSync(path, 'utf8');
    if (process.env['WEFT_UPDATE_DOCS'] === '1')
      writeFileSync(
        path,
        page.replace(blockOf(verb), () => help),
      );
    else expect(blockOf(verb).exec(page)?.[0]).toBe(help);
  },
);

it('no line of theirs is longer than 80 columns', () => {
  for (const [make] of COMMANDS) {
    for (const line of helpOf(make()).split('\n')) expect(line.length, line).toBeLessThanOrEqual(COLUMNS);
  }
});
