/** How ip's text output looks: line ends of -oneline and the colours of -color (pure). */
import { isIpv6 } from '../../base/index.ts';
import type { ColorChoice } from './ip-options.ts';

export interface Palette {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly device: string;
}

const ESCAPE = '\u001b[';
const RESET = `${ESCAPE}0m`;

const DARK_BACKGROUND: Palette = {
  ipv4: `${ESCAPE}1;35m`,
  ipv6: `${ESCAPE}1;94m`,
  device: `${ESCAPE}1;36m`,
};
const LIGHT_BACKGROUND: Palette = {
  ipv4: `${ESCAPE}35m`,
  ipv6: `${ESCAPE}34m`,
  device: `${ESCAPE}36m`,
};

export interface OutputStyle {
  readonly json: boolean;
  readonly pretty: boolean;
  /** What ends a record in text. */
  readonly lineEnd: '\n' | '\\';
  /** Absent: no colour. */
  readonly palette?: Palette;
}

/** The surroundings that decide about colour. */
export interface Terminal {
  readonly stdoutIsTerminal: boolean;
  /** COLORFGBG, as terminals set it: the part after the last `;` is the background's colour number. */
  readonly colorFgBg: string | undefined;
}

/** A background is light only where the terminal says so with another number than those of the dark colours. */
export function choosePalette(choice: ColorChoice, terminal: Terminal): Palette | undefined {
  if (choice === 'never' || (choice === 'auto' && !terminal.stdoutIsTerminal)) return undefined;
  const setting = terminal.colorFgBg ?? '';
  const semicolon = setting.lastIndexOf(';');
  return semicolon < 0 || /^[0-68]$/.test(setting.slice(semicolon + 1)) ? DARK_BACKGROUND : LIGHT_BACKGROUND;
}

export function colorAddress(text: string, address: string, palette: Palette | undefined): string {
  return palette === undefined ? text : `${isIpv6(address) ? palette.ipv6 : palette.ipv4}${text}${RESET}`;
}

export function colorDevice(text: string, palette: Palette | undefined): string {
  return palette === undefined ? text : `${palette.device}${text}${RESET}`;
}
