/**
 * `weft mptcp counters`: what the kernel counted about MPTCP since it started, grouped, each with one line of
 * meaning; those that are zero only with --all.
 */
import { WeftError } from '../../base/index.ts';
import { COUNTER_GROUPS, describeCounter, readCounters, type Counters } from '../../mptcp/index.ts';
import { outputWidth, paragraph } from '../text-layout.ts';
import { USAGE_ERROR, type OwnCommandLine } from './mptcp-own-line.ts';

const NOTHING = 'Nothing yet: no program has used MPTCP in this network namespace.\n';

/** Groups in their fixed order, the kernel's order within each. */
export function countersText(counters: Counters, all: boolean, width: number): string {
  const shown = [...counters].filter(([, value]) => all || value !== 0);
  if (shown.length === 0) return NOTHING;
  const nameWidth = Math.max(...shown.map(([name]) => name.length));
  const valueWidth = Math.max(...shown.map(([, value]) => String(value).length));
  const parts: string[] = [];
  for (const group of COUNTER_GROUPS) {
    const members = shown.filter(([name]) => describeCounter(name).group === group);
    if (members.length === 0) continue;
    const lines = members.map(([name, value]) => {
      const head = `  ${String(value).padStart(valueWidth)}  ${name.padEnd(nameWidth)}  `;
      return paragraph(describeCounter(name).meaning, width, head);
    });
    parts.push(`${group}\n${lines.join('\n')}\n`);
  }
  return parts.join('\n');
}

/** One object a line. */
export function countersJson(counters: Counters, all: boolean): string {
  return [...counters]
    .filter(([, value]) => all || value !== 0)
    .map(([name, value]) => {
      const { group, meaning, gauge } = describeCounter(name);
      return `${JSON.stringify({ name, value, group, gauge, meaning })}\n`;
    })
    .join('');
}

export function runCounters({ words, json, output }: OwnCommandLine): number {
  const unknown = words.find((word) => word !== '--all');
  if (unknown !== undefined) {
    output.error(`weft: "${unknown}" is not understood — weft mptcp counters [--all] [--json]\n`);
    return USAGE_ERROR;
  }
  try {
    const counters = readCounters();
    const all = words.includes('--all');
    output.write(
      json ? countersJson(counters, all) : countersText(counters, all, outputWidth(process.stdout)),
    );
    output.flush();
    return 0;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    output.error(`weft: ${error.message}\n`);
    return 1;
  }
}
