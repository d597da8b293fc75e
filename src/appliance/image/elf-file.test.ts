import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { moduleOf } from '../../../test/support/kernel-module.ts';
import { linkedLibraries, moduleInformation } from './elf-file.ts';

const node = readFileSync(process.execPath).subarray(0, 8 << 20);

describe('linkedLibraries', () => {
  it('finds what Node itself is linked with', () => {
    const whole = linkedLibraries(readFileSync(process.execPath));
    expect(whole).toMatchObject({ interpreter: expect.stringContaining('/ld-') as string });
    expect((whole as { needed: string[] }).needed.some((name) => name.startsWith('libc.'))).toBe(true);
  });

  it('says why it cannot', () => {
    expect(linkedLibraries(Buffer.from('#!/bin/sh'))).toContain('too short');
    expect(linkedLibraries(Buffer.alloc(64))).toContain('no ELF file');
    expect(linkedLibraries(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 1, 1, ...new Uint8Array(60)]))).toContain(
      '64-bit',
    );
  });

  it('survives any cut and any changed byte', () => {
    const head = node.subarray(0, 4096);
    for (let end = 0; end < 1024; end += 7) linkedLibraries(head.subarray(0, end));
    for (let at = 0; at < 1024; at++) {
      const changed = Buffer.from(head);
      changed[at] = 0xff;
      linkedLibraries(changed);
      moduleInformation(changed);
    }
  });
});

describe('moduleInformation', () => {
  it('reads keys and values', () => {
    const information = moduleInformation(
      moduleOf(['license=GPL', 'depends=virtio,virtio_ring', 'alias=a', 'alias=b', 'odd']),
    );
    expect(information).toEqual(
      new Map([
        ['license', ['GPL']],
        ['depends', ['virtio,virtio_ring']],
        ['alias', ['a', 'b']],
      ]),
    );
  });

  it('says why it cannot', () => {
    expect(moduleInformation(moduleOf([]).subarray(0, 100))).toBe('it is cut off');
    expect(moduleInformation(node)).not.toBeInstanceOf(Map);
  });
});
