/** The pages in docs/ show each command's help as the command prints it. WEFT_UPDATE_DOCS=1 writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import { applianceBuildCommand } from '../src/cli/commands/appliance-build.ts';
import { applianceExportCommand } from '../src/cli/commands/appliance-export.ts';
import { applianceImportCommand } from '../src/cli/commands/appliance-import.ts';
import { applianceListCommand } from '../src/cli/commands/appliance-list.ts';
import { applianceUpgradeCommand } from '../src/cli/commands/appliance-upgrade.ts';
import { disableCommand } from '../src/cli/commands/disable.ts';
import { downCommand } from '../src/cli/commands/down.ts';
import { doctorCommand } from '../src/cli/commands/doctor.ts';
import { envCommand } from '../src/cli/commands/env.ts';
import { explainCommand } from '../src/cli/commands/explain.ts';
import { hashPasswordCommand } from '../src/cli/commands/hash-password.ts';
import { enableCommand } from '../src/cli/commands/enable.ts';
import { eventsCommand } from '../src/cli/commands/events.ts';
import { pathCommand } from '../src/cli/commands/path.ts';
import { reloadCommand } from '../src/cli/commands/reload.ts';
import { runCommand } from '../src/cli/commands/run.ts';
import { serveCommand } from '../src/cli/commands/serve.ts';
import { statusCommand } from '../src/cli/commands/status.ts';
import { tunnelInitCommand } from '../src/cli/commands/tunnel-init.ts';
import { tunnelKeygenCommand } from '../src/cli/commands/tunnel-keygen.ts';
import { tunnelPathCommand } from '../src/cli/commands/tunnel-path.ts';
import { tunnelServeCommand } from '../src/cli/commands/tunnel-serve.ts';
import { tunnelStatusCommand } from '../src/cli/commands/tunnel-status.ts';
import { topCommand } from '../src/cli/commands/top.ts';
import { upCommand } from '../src/cli/commands/up.ts';
import { webCommand } from '../src/cli/commands/web.ts';
import { EVENT_KINDS, FINDING_IDS, TUNNEL_EVENT_KINDS, type StreamEvent } from '../src/service/index.ts';

const pageAt = (name: string) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const COMMANDS = [
  [topCommand, 'top.md'],
  [webCommand, 'web.md'],
  [upCommand, 'commands.md'],
  [downCommand, 'commands.md'],
  [reloadCommand, 'proxy.md'],
  [statusCommand, 'commands.md'],
  [pathCommand, 'commands.md'],
  [doctorCommand, 'commands.md'],
  [explainCommand, 'why.md'],
  [eventsCommand, 'events.md'],
  [runCommand, 'run.md'],
  [enableCommand, 'run.md'],
  [disableCommand, 'run.md'],
  [envCommand, 'proxy-clients.md'],
  [hashPasswordCommand, 'proxy-clients.md'],
  [serveCommand, 'serve.md'],
] as const;
/** Those of `weft appliance`. */
const APPLIANCE_COMMANDS = [
  applianceBuildCommand,
  applianceListCommand,
  applianceImportCommand,
  applianceExportCommand,
  applianceUpgradeCommand,
];
/** Those of `weft tunnel`. */
const TUNNEL_COMMANDS = [
  tunnelServeCommand,
  tunnelStatusCommand,
  tunnelPathCommand,
  tunnelInitCommand,
  tunnelKeygenCommand,
];
const PAGES = [
  ...COMMANDS.map(([make, page]) => ({ make, page, parents: [] })),
  ...APPLIANCE_COMMANDS.map((make) => ({ make, page: 'appliance.md', parents: ['appliance'] })),
  ...TUNNEL_COMMANDS.map((make) => ({ make, page: 'tunnel-commands.md', parents: ['tunnel'] })),
].map(({ make, page, parents }) => ({
  verb: [...parents, make().name()].join(' '),
  path: pageAt(page),
  help: () => helpOf(make(), parents),
}));
const COLUMNS = 80;

function helpOf(command: Command, parents: readonly string[]): string {
  let text = '';
  let parent = new Command('weft').enablePositionalOptions();
  for (const name of parents) parent = parent.command(name);
  parent.addCommand(command);
  command.configureOutput({ getOutHelpWidth: () => COLUMNS, writeOut: (piece) => (text += piece) });
  command.outputHelp();
  return text.trimEnd();
}

/** The block behind the line `<!-- help of weft VERB -->`. */
const blockOf = (verb: string) =>
  new RegExp(`(?<=<!-- help of weft ${verb} -->\n\n\`\`\`\n)[\\s\\S]*?(?=\n\`\`\`)`);

it.each(PAGES)('the help of weft $verb', ({ help: makeHelp, path, verb }) => {
  const help = makeHelp();
  const page = readFileSync(path, 'utf8');
  if (process.env['WEFT_UPDATE_DOCS'] === '1')
    writeFileSync(
      path,
      page.replace(blockOf(verb), () => help),
    );
  else expect(blockOf(verb).exec(page)?.[0]).toBe(help);
});

it('no line of theirs is longer than 80 columns', () => {
  for (const { help } of PAGES) {
    for (const line of help().split('\n')) expect(line.length, line).toBeLessThanOrEqual(COLUMNS);
  }
});

it('the page about tunnels has every kind of their events', () => {
  const page = readFileSync(pageAt('tunnel-commands.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([\w-]+)` \| /gm)].map(([, kind]) => kind);
  expect(rows).toEqual(expect.arrayContaining([...TUNNEL_EVENT_KINDS]));
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

it('the page about why has every finding, with its meaning', () => {
  const page = readFileSync(pageAt('why.md'), 'utf8');
  const [, ofHost = '', ofConnection = ''] = page.split(/^## Of .*$/m);
  const rows = (part: string) =>
    Object.fromEntries(
      [...part.matchAll(/^\| `([\w-]+)` \| (.*) \|$/gm)].map(([, id, meaning]) => [id, meaning]),
    );
  expect(rows(ofHost)).toEqual(FINDING_IDS.host);
  expect(rows(ofConnection)).toEqual(FINDING_IDS.connection);
});
