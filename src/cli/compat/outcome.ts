/**
 * How a command line of the compat commands ends before or without asking the kernel: texts and exit codes of
 * iproute2 7.1 (pure). An argument error ends the program at once, even a batch with -force; a failed command ends
 * only itself.
 */

/** Ends the program. */
export interface Exit {
  readonly kind: 'exit';
  readonly exitCode: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** Ends this command; a batch with -force goes on with the next line. */
export interface CommandFailure {
  readonly kind: 'failure';
  readonly exitCode: number;
  readonly stderr: string;
}

/** ip ends argument errors with exit(-1). */
export const ARGUMENT_ERROR = 255;
/** ip's status for what the kernel refused. */
export const KERNEL_ERROR = 2;
const GENERAL_ERROR = 1;

const exit = (exitCode: number, stderr: string): Exit => ({ kind: 'exit', exitCode, stderr });

/** `text` is what follows "is wrong: "; some of ip's texts end in a line end of their own. */
export const wrongArgument = (argument: string, text: string): Exit =>
  exit(ARGUMENT_ERROR, `Error: argument "${argument}" is wrong: ${text}\n`);

export const missingArgument = (name: string): Exit =>
  exit(ARGUMENT_ERROR, `Error: argument "${name}" is required\n`);

export const incompleteCommand = (): Exit =>
  exit(ARGUMENT_ERROR, 'Command line is not complete. Try option "help"\n');

export const unknownCommand = (word: string): Exit =>
  exit(ARGUMENT_ERROR, `Command "${word}" is unknown, try "ip mptcp help".\n`);

export const unknownOption = (option: string): Exit =>
  exit(ARGUMENT_ERROR, `Option "${option}" is unknown, try "ip -help".\n`);

export const badAddress = (word: string): Exit =>
  exit(GENERAL_ERROR, `Error: any valid address is expected rather than "${word}".\n`);

export const usageExit = (usage: string): Exit => exit(ARGUMENT_ERROR, usage);

export const generalExit = (stderr: string): Exit => exit(GENERAL_ERROR, stderr);

export const unknownObject = (word: string): CommandFailure => ({
  kind: 'failure',
  exitCode: GENERAL_ERROR,
  stderr: `Object "${word}" is unknown, try "ip help".\n`,
});

export const foreignObject = (word: string): CommandFailure => ({
  kind: 'failure',
  exitCode: GENERAL_ERROR,
  stderr: `Object "${word}" is not here: ip-mptcp has only "mptcp", ip(8) has the others.\n`,
});

/** What the kernel refused: its own words from the extended ACK, else the text of the errno. */
export function kernelRefusal(kernelText: string | undefined, errnoText: string): string {
  if (kernelText === undefined || kernelText === '') return `RTNETLINK answers: ${errnoText}\n`;
  return `Error: ${kernelText}${kernelText.endsWith('.') ? '' : '.'}\n`;
}
