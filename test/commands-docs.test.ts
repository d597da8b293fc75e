/** docs/commands.md shows each command's help as the command prints it. WEFT_UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { doctorCommand } from '../src/cli/commands/doctor.ts';
import { statusCommand } from '../src/cli/commands/status.ts';
import { upCommand } from '../src/cli/commands/up.ts';

const PAGE = fileURLToPath(new URL('../docs/commands.md', import.meta.url));
const COLUMNS = 80;

function helpOf(command: Command): string {
  let text = '';
  new Command('weft').addCommand(command);
  command.configureOutput({ getOutHelpWidth: () => COLUMNS, writeOut: (piece) => (text += piece) });
  command.outputHelp();
  return text.trimEnd();
}

/** The block behind the line `<!-- help of weft VERB -->`. */
const blockOf = (verb: string) =>
  new RegExp(`(?<=<!-- help of weft ${verb} -->\n\n\`\`\`\n)[\\s\\S]*?(?=\n\`\`\`)`);

it.each([upCommand, statusCommand, doctorCommand].map((make) => [make().name(), make] as const))(
  'the help of weft %s',
  (verb, make) => {
    const help = helpOf(make());
    const page = readFileSync(PAGE, 'utf8');
    if (process.env['WEFT_UPDATE_DOCS'] === '1')
      writeFileSync(
        PAGE,
        page.replace(blockOf(verb), () => help),
      );
    else expect(blockOf(verb).exec(page)?.[0]).toBe(help);
  },
);

it('no line of theirs is longer than 80 columns', () => {
  for (const make of [upCommand, statusCommand, doctorCommand]) {
    for (const line of helpOf(make()).split('\n')) expect(line.length, line).toBeLessThanOrEqual(COLUMNS);
  }
});
