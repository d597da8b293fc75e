/** An image of the appliance as `weft appliance` shows it: for people, and as JSON. */
import { filesOf, type ImageFolder } from '../appliance/index.ts';
import { formatBytes } from '../base/index.ts';

/** Some of the digest is enough to tell two images apart by eye. */
const DIGEST_SHOWN = 12;

const sizeOf = ({ manifest }: ImageFolder) => filesOf(manifest).reduce((sum, { bytes }) => sum + bytes, 0);

/** `Weft 0.1.0, kernel 6.1.0-56-cloud-amd64, 51.5 MiB, digest 0123456789ab` */
export function describeImage(image: ImageFolder): string {
  const { kernelRelease = 'of a disk', version } = image.manifest;
  const size = formatBytes(sizeOf(image));
  return `Weft ${version}, kernel ${kernelRelease}, ${size}, digest ${image.digest.slice(0, DIGEST_SHOWN)}`;
}

export interface ImageJson {
  readonly digest: string;
  readonly folder: string;
  readonly bytes: number;
  readonly manifest: ImageFolder['manifest'];
}

export const imageJson = (image: ImageFolder): ImageJson => ({
  digest: image.digest,
  folder: image.folder,
  bytes: sizeOf(image),
  manifest: image.manifest,
});
