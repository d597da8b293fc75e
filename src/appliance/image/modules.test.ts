import { describe, expect, it } from 'vitest';
import { moduleOf } from '../../../test/support/kernel-module.ts';
import { moduleName, orderModules, type ModuleFile } from './modules.ts';

const file = (name: string, depends = ''): ModuleFile => ({
  path: `kernel/drivers/${name}.ko`,
  data: moduleOf(['license=GPL', `depends=${depends}`]),
});
const names = (files: readonly ModuleFile[]) => files.map(({ path }) => moduleName(path));

describe('orderModules', () => {
  it('puts each behind what it needs, and leaves out what nobody wants', () => {
    const files = [
      file('net', 'core,ring'),
      file('virtio-rng', 'ring'),
      file('ring'),
      file('core', 'ring'),
      file('sound'),
    ];
    expect(names(orderModules(files, ['net', 'virtio_rng', 'built_in']))).toEqual([
      'ring',
      'core',
      'net',
      'virtio_rng',
    ]);
  });

  it('is the same however the files are listed', () => {
    const files = [file('a', 'b,c'), file('b', 'c'), file('c')];
    expect(names(orderModules(files.toReversed(), ['a']))).toEqual(names(orderModules(files, ['a'])));
  });

  it('ends on a circle', () => {
    expect(names(orderModules([file('a', 'b'), file('b', 'a')], ['a']))).toEqual(['b', 'a']);
  });

  it('says which is missing, and which cannot be read', () => {
    expect(() => orderModules([file('a', 'gone')], ['a'])).toThrow('module a needs gone');
    const broken = { path: 'kernel/a.ko', data: new Uint8Array(100) };
    expect(() => orderModules([broken], ['a'])).toThrow('"kernel/a.ko" cannot be read: it is no ELF file');
  });
});
