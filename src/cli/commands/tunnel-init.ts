/** `weft tunnel init`: writes the configuration of both ends of a new tunnel, from flags or from answers. */
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError, Option } from 'commander';
import { WeftError, type Prefix } from '../../base/index.ts';
import { makeTunnelKey, planPair, writePair, type PairPath, type PairRequest } from '../../service/index.ts';
import { SCHEDULERS, type SchedulerName } from '../../tunnel/index.ts';
import { reportingFailures, writeOutput } from '../command-result.ts';
import {
  askForPair,
  DEFAULT_TUNNEL,
  describeOwnLinks,
  type Ask,
  type PairAnswers,
} from '../tunnel-pair-questions.ts';
import { parseAddressPair, parseNetwork, parsePath, type Parsed } from '../tunnel-pair-words.ts';

interface InitOptions {
  readonly out: string;
  readonly ends: readonly [string, string];
  readonly tunnel?: readonly (readonly [Prefix, Prefix])[];
  readonly path?: readonly PairPath[];
  readonly network?: readonly string[];
  readonly interface: string;
  readonly mtu?: number;
  readonly port: number;
  readonly commandPort: number;
  readonly scheduler: SchedulerName;
  readonly reorder: number;
  readonly delay: number;
  readonly keepalive: number;
  readonly dead: number;
  readonly auth: keyof typeof AUTH_TYPES;
  readonly ask?: boolean;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

const AUTH_TYPES = { none: 0, token: 1, sha256: 2 } as const;

function unwrap<T>(parsed: Parsed<T>): T {
  if ('problem' in parsed) throw new InvalidArgumentError(`${parsed.problem}.`);
  return parsed.value;
}

const collect =
  <T>(parse: (text: string) => Parsed<T>) =>
  (text: string, before: readonly T[] = []): readonly T[] => [...before, unwrap(parse(text))];

function parseEnds(text: string): readonly [string, string] {
  const [left, right, ...more] = text.split(',').map((name) => name.trim());
  if (left === undefined || right === undefined || more.length > 0) {
    throw new InvalidArgumentError('Two names with a comma between them are wanted.');
  }
  return [left, right];
}

const wholeNumber = (min: number, max: number) => (text: string) => {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (value < min || value > max) throw new InvalidArgumentError(`A number from ${min} to ${max} is wanted.`);
  return value;
};

/** Questions on the terminal, answers line by line; the end of input answers nothing any more. */
function openQuestions(): { readonly ask: Ask; readonly close: () => void } {
  const lines = createInterface({ input: process.stdin, terminal: false });
  const answers = lines[Symbol.asyncIterator]();
  const ask: Ask = async (question) => {
    writeOutput(question);
    const { done, value } = await answers.next();
    return done === true ? undefined : value;
  };
  return { ask, close: () => lines.close() };
}

async function completeAnswers(options: InitOptions): Promise<PairAnswers> {
  const given: PairAnswers = {
    tunnel: options.tunnel ?? [],
    paths: options.path ?? [],
    networks: (options.network ?? []).map((text) => {
      const parsed = parseNetwork(text, options.ends);
      if ('problem' in parsed) throw new WeftError(`--network: ${parsed.problem}`, { code: 'BAD_ARGUMENT' });
      return parsed.value;
    }),
  };
  const isComplete = given.tunnel.length > 0 && given.paths.length > 0;
  if (isComplete || (options.ask !== true && !process.stdin.isTTY)) {
    return given.tunnel.length > 0 ? given : { ...given, tunnel: [DEFAULT_TUNNEL] };
  }
  const { ask, close } = openQuestions();
  try {
    return await askForPair(ask, options.ends, given, describeOwnLinks());
  } finally {
    close();
  }
}

function requestOf(options: InitOptions, { networks, paths, tunnel }: PairAnswers): PairRequest {
  const ofSide = (side: 0 | 1) => networks.filter(([own]) => own === side).map(([, prefix]) => prefix);
  return {
    names: options.ends,
    tunnel,
    paths,
    networks: [ofSide(0), ofSide(1)],
    interfaceName: options.interface,
    ...(options.mtu !== undefined && { mtu: options.mtu }),
    port: options.port,
    commandPort: options.commandPort,
    scheduler: options.scheduler,
    reorderWindow: options.reorder,
    maxDelayMs: options.delay,
    keepaliveS: options.keepalive,
    deadS: options.dead,
    authType: AUTH_TYPES[options.auth],
    key: makeTunnelKey(),
  };
}

function tellNext(folders: readonly string[], [left, right]: readonly [string, string]): string {
  const [leftFolder = '', rightFolder = ''] = folders;
  return `Written, with a new key that both ends share and nobody else may read:
  ${left}: ${leftFolder}
  ${right}: ${rightFolder}
Copy each folder to its host, and start there, as root:
  weft tunnel serve --conf ${leftFolder}
  weft tunnel serve --conf ${rightFolder}
`;
}

async function runInit(options: InitOptions): Promise<void> {
  await reportingFailures(options, async () => {
    const ends = planPair(requestOf(options, await completeAnswers(options)));
    const folders = writePair(options.out, ends);
    writeOutput(
      options.json === true
        ? `${JSON.stringify({ ends: ends.map(({ files, name }, side) => ({ name, folder: folders[side], files: [...files.keys()] })) })}\n`
        : tellNext(folders, options.ends),
    );
  });
}

const HELP = `
A path is LINK=ADDRESS of the first end, LINK=ADDRESS of the second, and what
else is to be said of it: weight=N (its share), public1=ADDRESS or public2=
(how the other end reaches it, behind NAT; "auto": it is learned), via1=ADDRESS
or via2= (the gateway; else it is found out).

What the flags do not say is asked for on a terminal. Each end gets a folder of
its name with the folder conf that mptsrv reads, too. Nothing is overwritten.

Exit codes: 0 written, 1 not.

Examples:
  weft tunnel init --ends home,office \\
    --path eth0=192.0.2.1,eth0=203.0.113.9 \\
    --path lte0=10.64.3.2,eth1=198.51.100.7,public1=auto,weight=3 \\
    --network home=192.168.1.0/24
  weft tunnel init --tunnel fd00:1::1/64,fd00:1::2/64 \\
    --path eth0=192.0.2.1,eth0=203.0.113.9
`;

const choice = (flags: string, text: string, choices: readonly string[], standard: string): Option =>
  new Option(flags, text).choices(choices).default(standard);

export function tunnelInitCommand(): Command {
  return new Command('init')
    .summary('write the configuration of both ends of a new tunnel')
    .description('Writes the configuration of both ends of a new tunnel, with a key of their own.')
    .option('--out <dir>', 'where the folders of the ends are made', '.')
    .addOption(
      new Option('--ends <names>', 'what the ends are called')
        .argParser(parseEnds)
        .default(['left', 'right'], 'left,right'),
    )
    .option(
      '--tunnel <addresses>',
      'tunnel addresses of both, ADDRESS/LENGTH,ADDRESS/LENGTH; once for IPv4, once for IPv6 (default: 10.200.0.1/30,10.200.0.2/30)',
      collect(parseAddressPair),
    )
    .option('--path <path>', 'a path; may be given more than once, see below', collect(parsePath))
    .option(
      '--network <network>',
      'a network behind an end, END=ADDRESS/LENGTH; may be given more than once',
      collect((text) => ({ value: text })),
    )
    .option('--interface <name>', "name of the tunnel's link", 'tun0')
    .option('--mtu <bytes>', 'else what the paths carry on Ethernet', wholeNumber(68, 65_521))
    .option('--port <port>', 'data port of both ends', wholeNumber(1, 65_000), 4754)
    .option('--command-port <port>', 'command port of both ends', wholeNumber(1, 65_535), 65_050)
    .addOption(choice('--scheduler <name>', 'how packets are dealt to the paths', SCHEDULERS, 'weights'))
    .option('--reorder <packets>', 'how many packets wait for order, 0 none', wholeNumber(0, 10_000), 1000)
    .option('--delay <ms>', 'how long a packet waits for order at most', wholeNumber(1, 60_000), 100)
    .option('--keepalive <s>', 'how often a silent path is asked, 0 never', wholeNumber(0, 255), 1)
    .option('--dead <s>', 'how long a path may be silent, 0 for ever', wholeNumber(0, 65_535), 3)
    .addOption(
      choice('--auth <type>', 'how control messages are authenticated', Object.keys(AUTH_TYPES), 'sha256'),
    )
    .option('--ask', 'ask for what is missing even if standard input is no terminal')
    .option('--json', 'one JSON object on standard output')
    .option('--verbose', 'say more when something fails')
    .addHelpText('after', HELP)
    .action(runInit);
}
