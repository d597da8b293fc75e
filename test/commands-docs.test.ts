/** The pages in docs/ show each command's help as the command prints it. WEFT_UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { disableCommand } from '../src/cli/commands/disable.ts';
import { doctorCommand } from '../src/cli/commands/doctor.ts';
import { enableCommand } from '../src/cli/commands/enable.ts';
import { eventsCommand } from '../src/cli/commands/events.ts';
import { runCommand } from '../src/cli/commands/run.ts';
import { statusCommand } from '../src/cli/commands/status.ts';
import { upCommand } from '../src/cli/commands/up.ts';
import { EVENT_KINDS, type StreamEvent } from '../src/service/index.ts';

const pageAt = (name: string) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const COMMANDS = [
  [upCommand, 'commands.md'],
  [statusCommand, 'commands.md'],
  [doctorCommand, 'commands.md'],
  [eventsCommand, 'events.md'],
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

it('the page about events has every kind of them, and lines that can be read', () => {
  const page = readFileSync(pageAt('events.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+)` \| /gm)].map(([, kind]) => kind);
  expect(rows).toEqual(expect.arrayContaining([...EVENT_KINDS]));
  const lines = page.match(/^\{.*\}$/gm) ?? [];
  expect(lines.length).toBeGreaterThan(2);
  for (const line of lines) {
    const { kind, time } = JSON.parse(line) as StreamEvent;
    expect(EVENT_KINDS).toContain(kind);
    expect(time).toBeGreaterThan(0);
  }
});
