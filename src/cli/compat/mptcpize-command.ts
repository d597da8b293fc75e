/** Carries out what a command line of mptcpize asks for, and ends as mptcpize does. */
import { errorText, printable } from '../../base/index.ts';
import { becomeProgram, disableUnit, enableUnit, prepareRun } from '../../service/index.ts';
import { packageVersion } from '../version.ts';
import { COMMAND_ERROR, parseMptcpize, type MptcpizeRequest } from './mptcpize-grammar.ts';
import { MPTCPIZE_COMMANDS } from './mptcpize-texts.ts';
import type { Output } from './output.ts';

const UNIT_ERROR = 1;

const tell = (output: Output, text: string): void => output.error(`mptcpize: ${printable(text)}\n`);

async function run(
  request: Extract<MptcpizeRequest, { readonly kind: 'run' }>,
  output: Output,
): Promise<number> {
  try {
    const prepared = await prepareRun(request.command, request);
    if (prepared.notice !== undefined) tell(output, prepared.notice);
    return becomeProgram(prepared);
  } catch (error) {
    tell(output, errorText(error));
    return COMMAND_ERROR;
  }
}

function changeUnit(kind: 'enable' | 'disable', unit: string, output: Output): number {
  const root = process.env['WEFT_ROOT'];
  try {
    const { unitPath, warnings } = (kind === 'enable' ? enableUnit : disableUnit)(unit, { root });
    for (const warning of warnings) tell(output, warning);
    output.write(`mptcp successfully ${kind}d on unit ${printable(unitPath)}\n`);
    output.flush();
    return 0;
  } catch (error) {
    tell(output, errorText(error));
    return UNIT_ERROR;
  }
}

/** @returns the exit code; does not return when another program takes the process over */
export function runMptcpize(argv: readonly string[], output: Output): number | Promise<number> {
  const request = parseMptcpize(argv, packageVersion());
  switch (request.kind) {
    case 'print':
      output.write(request.text);
      output.flush();
      return 0;
    case 'help':
      output.error(MPTCPIZE_COMMANDS);
      return 0;
    case 'refuse':
      output.error(request.text);
      return request.exitCode;
    case 'run':
      return run(request, output);
    default:
      return changeUnit(request.kind, request.unit, output);
  }
}
