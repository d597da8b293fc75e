import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMf, formatOvf, parseMf, parseOvf } from './ovf.ts';

const NS =
  'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"';
const envelope = (inner: string) => `<?xml version="1.0"?><Envelope ${NS}>${inner}</Envelope>`;
const references = (inner: string) => envelope(`<References>${inner}</References>`);

/** As VirtualBox writes it, cut to what matters. */
const VIRTUALBOX = envelope(`
  <References><File ovf:id="file1" ovf:href="MPTCPProxy-disk001.vmdk"/></References>
  <DiskSection><Info>List of the virtual disks used in the package</Info>
    <Disk ovf:capacity="8589934592" ovf:diskId="vmdisk1" ovf:fileRef="file1"
      ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" vbox:uuid="x"
      xmlns:vbox="http://www.virtualbox.org/ovf/machine"/></DiskSection>
  <VirtualSystem ovf:id="MPTCPProxy"><ProductSection><Info>x</Info><Version>1.2 &amp; 3</Version></ProductSection></VirtualSystem>`);

describe('parseOvf', () => {
  it('reads what it writes', () => {
    const text = formatOvf(
      [
        { name: 'manifest.json', bytes: 3 },
        { name: 'vmlinuz', bytes: 4 },
      ],
      { version: '0.1.0 <"&>', memoryMiB: 512 },
    );
    expect(parseOvf(text)).toEqual({
      files: [
        { id: 'file1', name: 'manifest.json' },
        { id: 'file2', name: 'vmlinuz' },
      ],
      disks: [],
      version: '0.1.0 <"&>',
    });
  });

  it('finds the disk of an envelope of VirtualBox', () => {
    expect(parseOvf(VIRTUALBOX)).toEqual({
      files: [{ id: 'file1', name: 'MPTCPProxy-disk001.vmdk' }],
      disks: ['MPTCPProxy-disk001.vmdk'],
      version: '1.2 & 3',
    });
  });

  it.each([
    ['<a/>', 'no OVF envelope'],
    ['<Envelope/>', 'no OVF envelope'],
    ['not xml', 'no proper XML'],
    [envelope('<References>'), 'no proper XML'],
    [`<!DOCTYPE x [<!ENTITY a "b">]>${envelope('&a;')}`, 'document type'],
    [envelope('&unknown;'), 'no proper XML'],
    [references('<File ovf:id="1" ovf:href="../../etc/passwd"/>'), 'no plain name'],
    [references('<File ovf:id="1" ovf:href="/etc/passwd"/>'), 'no plain name'],
    [references('<File ovf:id="1" ovf:href="http://example.org/x"/>'), 'no plain name'],
    [references('<File ovf:id="1"/>'), 'no plain name'],
    [references('<File ovf:id="1" ovf:href="a" ovf:compression="gzip"/>'), 'compressed'],
    [references('<File ovf:id="1" ovf:href="a" ovf:chunkSize="7"/>'), 'in pieces'],
    [references('<File ovf:id="1" ovf:href="a"/><File ovf:id="2" ovf:href="a"/>'), 'twice'],
    [references('<File ovf:id="1" ovf:href="a"/>'.repeat(2)), 'twice'],
    [
      references(Array.from({ length: 40 }, (_, i) => `<File ovf:id="${i}" ovf:href="f${i}"/>`).join('')),
      'more than 32',
    ],
    [envelope('<DiskSection><Disk ovf:fileRef="file9"/></DiskSection>'), 'not there'],
  ])('%#: refuses %.60s', (text, why) => {
    expect(parseOvf(text)).toContain(why);
  });

  it('survives any text', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseOvf(text)));
    fc.assert(
      fc.property(fc.nat(VIRTUALBOX.length - 1), fc.string({ maxLength: 3 }), (at, text) => {
        parseOvf(VIRTUALBOX.slice(0, at) + text + VIRTUALBOX.slice(at + 1));
      }),
    );
  });
});

describe('parseMf', () => {
  const sha256 = 'ab'.repeat(32);

  it('reads what it writes, and what others write', () => {
    expect(parseMf(formatMf([{ name: 'a', bytes: 1, sha256 }]))).toEqual(
      new Map([['a', { algorithm: 'sha256', value: sha256 }]]),
    );
    const text = `SHA256 (a.ovf) = ${sha256.toUpperCase()}\r\nSHA512(b) = ${'0'.repeat(128)}\r\n`;
    expect(parseMf(text)).toEqual(
      new Map([
        ['a.ovf', { algorithm: 'sha256', value: sha256 }],
        ['b', { algorithm: 'sha512', value: '0'.repeat(128) }],
      ]),
    );
  });

  it.each([
    ['hello', 'no digest'],
    [`SHA256(a)= ${sha256.slice(2)}`, 'no digest'],
    [`MD5(a)= ${sha256}`, 'no digest'],
    [`SHA1(a)= ${'0'.repeat(40)}`, 'SHA-1'],
    [formatMf([1, 2].map(() => ({ name: 'a', bytes: 1, sha256 }))), 'two digests'],
    [formatMf(Array.from({ length: 40 }, (_, i) => ({ name: `f${i}`, bytes: 1, sha256 }))), 'more than 32'],
  ])('%#: refuses %.40s', (text, why) => {
    expect(parseMf(text)).toContain(why);
  });
});
