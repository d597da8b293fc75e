/**
 * The section `[plugin NAME]` of the configuration file, read with types (pure). What is mistyped is an error.
 */
import { nearestWord, WeftError } from '../../base/index.ts';

export type SettingType =
  | { readonly kind: 'boolean'; readonly default: boolean }
  | {
      readonly kind: 'integer';
      readonly default: number;
      readonly least: number;
      readonly most: number;
    }
  /** Seconds in the file, milliseconds here. */
  | { readonly kind: 'duration'; readonly default: number }
  | { readonly kind: 'text'; readonly default: string };

type ValueOf<Type extends SettingType> = Type['default'] extends boolean
  ? boolean
  : Type['default'] extends number
    ? number
    : string;

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['yes', true],
  ['no', false],
  ['true', true],
  ['false', false],
  ['on', true],
  ['off', false],
  ['1', true],
  ['0', false],
]);

const DAY_SECONDS = 86_400;

function fail(plugin: string, what: string, hint: string): never {
  throw new WeftError(`[plugin ${plugin}]: ${what}`, { code: 'BAD_SETTING', hint });
}

function readValue(plugin: string, name: string, text: string, type: SettingType): boolean | number | string {
  const wrong = (hint: string) => fail(plugin, `${name} = "${text}" is not understood`, hint);
  switch (type.kind) {
    case 'text':
      return text;
    case 'boolean':
      return BOOLEANS.get(text.toLowerCase()) ?? wrong('"yes" or "no"');
    case 'integer': {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
      const { least, most } = type;
      return value >= least && value <= most ? value : wrong(`a whole number from ${least} to ${most}`);
    }
    default: {
      const seconds = /^\d{1,9}(\.\d+)?$/.test(text) ? Number(text) : NaN;
      const allowed = seconds > 0 && seconds <= DAY_SECONDS;
      return allowed ? seconds * 1000 : wrong('seconds, such as 1 or 0.5, at most a day');
    }
  }
}

/** @throws WeftError BAD_SETTING that names the plugin, the key and what is allowed */
export function readSettings<Types extends Readonly<Record<string, SettingType>>>(
  plugin: string,
  settings: Readonly<Record<string, string>>,
  types: Types,
): { readonly [Name in keyof Types]: ValueOf<Types[Name]> } {
  const names = Object.keys(types);
  for (const name of Object.keys(settings)) {
    if (names.includes(name)) continue;
    const near = nearestWord(name, names);
    const hint = near === undefined ? `there are ${names.join(', ')}` : `did you mean "${near}"?`;
    fail(plugin, `there is no setting "${name}"`, hint);
  }
  const values = names.map((name) => {
    const type = types[name]!;
    const text = settings[name];
    return [name, text === undefined ? type.default : readValue(plugin, name, text.trim(), type)];
  });
  return Object.fromEntries(values) as { readonly [Name in keyof Types]: ValueOf<Types[Name]> };
}

/** How dead subflows are tried again; for every plugin that makes some. */
export const RETRY_SETTINGS = {
  'first-retry': { kind: 'duration', default: 1000 },
  'longest-retry': { kind: 'duration', default: 60_000 },
} as const satisfies Record<string, SettingType>;
