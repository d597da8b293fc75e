/** base: what every layer may use; imports nothing of Weft and nothing of Node. */
export * from './elf-segments.ts';
export * from './errors.ts';
export * from './ip.ts';
export * from './log.ts';
export * from './nearest.ts';
export * from './shell-word.ts';
export * from './text.ts';
export * from './toml-lines.ts';
export * from './toml-table.ts';
export * from './units.ts';
