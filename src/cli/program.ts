/**
 * The command line `weft VERB …`, except for the verbs that weft.ts hands to the compat commands before it comes here.
 * A verb's module is loaded only when that verb is used; the others are known by name and summary, for the help and
 * for "did you mean".
 */
import { Command, CommanderError } from 'commander';
import { reportFailure, writeOutput } from './command-result.ts';
import { packageVersion } from './version.ts';

interface Verb {
  readonly name: string;
  readonly summary: string;
  /** Absent: another program part carries it out before this one is asked. */
  readonly load?: () => Promise<Command>;
}

const VERBS: readonly Verb[] = [
  {
    name: 'up',
    summary: 'carry programs over every path of this machine, until stopped',
    load: async () => (await import('./commands/up.ts')).upCommand(),
  },
  {
    name: 'down',
    summary: 'stop the running Weft, and undo what a killed one left',
    load: async () => (await import('./commands/down.ts')).downCommand(),
  },
  {
    name: 'reload',
    summary: 'read the rules again, without ending what is open',
    load: async () => (await import('./commands/reload.ts')).reloadCommand(),
  },
  {
    name: 'env',
    summary: "print shell exports of the running Weft's proxy",
    load: async () => (await import('./commands/env.ts')).envCommand(),
  },
  {
    name: 'serve',
    summary: 'be the far end for Wefts elsewhere (on a server)',
    load: async () => (await import('./commands/serve.ts')).serveCommand(),
  },
  {
    name: 'hash-password',
    summary: "make the rules file's form of a user's password",
    load: async () => (await import('./commands/hash-password.ts')).hashPasswordCommand(),
  },
  {
    name: 'status',
    summary: 'say whether multipath is in use, and show paths and connections',
    load: async () => (await import('./commands/status.ts')).statusCommand(),
  },
  {
    name: 'top',
    summary: 'show paths and connections as they are now, in place',
    load: async () => (await import('./commands/top.ts')).topCommand(),
  },
  {
    name: 'web',
    summary: "print the address of the running Weft's page",
    load: async () => (await import('./commands/web.ts')).webCommand(),
  },
  {
    name: 'path',
    summary: "make a link's paths backup, or normal again, while Weft runs",
    load: async () => (await import('./commands/path.ts')).pathCommand(),
  },
  {
    name: 'doctor',
    summary: 'check this host for multipath and say what to do',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  },
  {
    name: 'explain',
    summary: 'say why a connection, or this host, is on one path or on several',
    load: async () => (await import('./commands/explain.ts')).explainCommand(),
  },
  {
    name: 'run',
    summary: 'run a program with MPTCP sockets',
    load: async () => (await import('./commands/run.ts')).runCommand(),
  },
  {
    name: 'enable',
    summary: 'give a systemd unit MPTCP sockets',
    load: async () => (await import('./commands/enable.ts')).enableCommand(),
  },
  {
    name: 'disable',
    summary: 'take back "weft enable"',
    load: async () => (await import('./commands/disable.ts')).disableCommand(),
  },
  {
    name: 'lab',
    summary: 'try it in an internet in a box, on this machine, without root',
    load: async () => (await import('./commands/lab.ts')).labCommand(),
  },
  {
    name: 'daemon',
    summary: "keep MPTCP endpoints in step with this machine's addresses (mptcpd(8)); see weft daemon --help",
    load: async () => (await import('./commands/daemon-control.ts')).daemonControlCommand(),
  },
  {
    name: 'events',
    summary: 'follow what the daemon, or Weft, sees and does',
    load: async () => (await import('./commands/events.ts')).eventsCommand(),
  },
  {
    name: 'tunnel',
    summary: 'join hosts or networks by a tunnel over several paths (MPT); see mptsrv(8) and mpt(8)',
    load: async () => (await import('./commands/tunnel.ts')).tunnelCommand(),
  },
  {
    name: 'appliance',
    summary: 'build, take and give images of the virtual machine for hosts without MPTCP',
    load: async () => (await import('./commands/appliance.ts')).applianceCommand(),
  },
  {
    name: 'mptcp',
    summary: "the kernel's endpoints, limits, connections and counters (ip-mptcp(8)); see weft mptcp help",
  },
];

const HELP = `
Examples:
  sudo weft up                     use all uplinks; then, in another terminal:
  export http_proxy=http://127.0.0.1:13128 https_proxy=http://127.0.0.1:13128
  weft status                      is multipath in use, and if not, why not
  sudo weft doctor                 what is wrong with this host, and what to do
  weft mptcp endpoint show         as "ip mptcp endpoint show"
  weft lab                         two uplinks and a server, all in this machine

"weft VERB --help" tells more about each.
`;

async function commandFor(verb: Verb, wanted: boolean): Promise<Command> {
  if (wanted && verb.load !== undefined) return verb.load();
  return new Command(verb.name).summary(verb.summary).description(verb.summary).allowUnknownOption();
}

/** The verb that the arguments name: the first word, or the second after `help`. */
function namedVerb(argv: readonly string[]): string | undefined {
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command('weft')
    .description('Weft makes one connection use every path a machine has (Multipath TCP).')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [VERB]', 'print the help of a verb')
    .showSuggestionAfterError()
    .showHelpAfterError('("weft --help" lists what there is)')
    .addHelpText('after', HELP);
  const wanted = namedVerb(argv);
  // What stands behind the program that is to be run is the program's.
  if (wanted === 'run') program.enablePositionalOptions();
  for (const verb of VERBS) program.addCommand(await commandFor(verb, verb.name === wanted));
  adopt(program);
  return program;
}

/** Our way to end and to speak, for a command and all below it. */
function adopt(command: Command): void {
  command.exitOverride().configureOutput({
    writeOut: writeOutput,
    outputError: (text, write) => write(text.replace(/^error: /, 'weft: ')),
  });
  command.commands.forEach(adopt);
}

/**
 * Runs a command line and sets `process.exitCode`. Never throws for a user's mistake.
 * @param argv the words after the program's name
 */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    const program = await buildProgram(argv);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    reportFailure(error, argv.includes('--verbose'));
    process.exitCode = 1;
  }
}
