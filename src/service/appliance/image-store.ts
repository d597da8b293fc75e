/**
 * Where a host keeps its appliance images: the one in use and the one before, so that a bad one can be taken back.
 *
 *   FOLDER/images/DIGEST/   manifest.json and its files
 *   FOLDER/current          link to the image in use
 *   FOLDER/previous         link to the one before
 *   FOLDER/packages/        kernel packages that were fetched for building
 *   FOLDER/store.lock       held by who changes anything
 *
 * Invariants: `current` leads to a whole image at every moment, or there is none; an image is checked before it is
 * taken, and one that fails its check changes nothing.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import {
  copyImageFolder,
  readImageFolder,
  verifyImageFolder,
  type ImageFolder,
} from '../../appliance/index.ts';
import { WeftError } from '../../base/index.ts';
import { FileLock } from '../../native/index.ts';

export interface StoreUser {
  readonly uid: number;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const thisUser = (): StoreUser => ({
  uid: process.getuid?.() ?? -1,
  home: homedir(),
  env: process.env,
});

/** The folder of a user's images. Pure. */
export function storeFolder({ env, home, uid }: StoreUser = thisUser()): string {
  const own = env['WEFT_APPLIANCE_DIR'];
  if (own !== undefined && own !== '') return own;
  if (uid === 0) return '/var/lib/weft/appliance';
  const data = env['XDG_DATA_HOME'];
  return join(
    data !== undefined && isAbsolute(data) ? data : join(home, '.local', 'share'),
    'weft',
    'appliance',
  );
}

/** The image in a folder; `undefined` when there is none, or not all of it is as its manifest says. */
async function readSound(folder: string): Promise<ImageFolder | undefined> {
  if (!existsSync(folder)) return undefined;
  try {
    const image = readImageFolder(folder);
    await verifyImageFolder(image);
    return image;
  } catch (error) {
    if (error instanceof WeftError && error.code === 'BROKEN_IMAGE') return undefined;
    throw error;
  }
}

type Place = 'current' | 'previous';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export class ImageStore {
  readonly folder: string;

  constructor(folder: string = storeFolder()) {
    this.folder = folder;
  }

  /** For kernel packages; made when something is put into it. */
  get packagesFolder(): string {
    return join(this.folder, 'packages');
  }

  /** Which image is in use, sound or not; `undefined` when there is none. */
  get currentDigest(): string | undefined {
    return this.#digestAt('current');
  }

  /** The image in use; `undefined` when there is none. @throws WeftError BROKEN_IMAGE */
  current(): ImageFolder | undefined {
    return this.#read('current');
  }

  /** The image before that. @throws WeftError BROKEN_IMAGE */
  previous(): ImageFolder | undefined {
    return this.#read('previous');
  }

  #digestAt(place: Place): string | undefined {
    try {
      return basename(readlinkSync(join(this.folder, place)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  #read(place: Place): ImageFolder | undefined {
    const digest = this.#digestAt(place);
    return digest === undefined ? undefined : readImageFolder(this.#imageFolder(digest));
  }

  #imageFolder(digest: string): string {
    return join(this.folder, 'images', digest);
  }

  /**
   * Does work with the store's lock held.
   * @throws WeftError STORE_BUSY when another process changes it
   */
  async #locked<T>(work: () => Promise<T> | T): Promise<T> {
    mkdirSync(join(this.folder, 'images'), { recursive: true, mode: 0o755 });
    const lock = FileLock.tryTake(join(this.folder, 'store.lock'));
    if (lock === undefined) {
      throw new WeftError(`another process changes the images in "${this.folder}"`, {
        code: 'STORE_BUSY',
        hint: 'wait until it has ended, and try again',
      });
    }
    try {
      this.#sweep();
      return await work();
    } finally {
      lock.release();
    }
  }

  /** Removes what a killed process left, and images that are neither in use nor the one before. */
  #sweep(): void {
    const kept = new Set([this.#digestAt('current'), this.#digestAt('previous')]);
    const images = join(this.folder, 'images');
    for (const name of readdirSync(images)) {
      if (!kept.has(name)) rmSync(join(images, name), { recursive: true, force: true });
    }
    for (const name of readdirSync(this.folder)) {
      const owner = /^\.work-(\d+)-/.exec(name)?.[1];
      const abandoned = owner !== undefined && !isAlive(Number(owner));
      if (abandoned || name.startsWith('.new-')) {
        rmSync(join(this.folder, name), { recursive: true, force: true });
      }
    }
  }

  #point(place: Place, digest: string): void {
    const temporary = join(this.folder, `.new-${place}`);
    rmSync(temporary, { force: true });
    symlinkSync(join('images', digest), temporary);
    renameSync(temporary, join(this.folder, place));
  }

  /** Makes an image that is in the store the one in use, and the one in use until now the one before. */
  #use(digest: string): void {
    const former = this.#digestAt('current');
    if (former === digest) return;
    if (former !== undefined) this.#point('previous', former);
    this.#point('current', digest);
    this.#sweep();
  }

  /**
   * A private, empty folder in the store, for images that are being made; `work` gets it, and it is gone afterwards.
   */
  async withWorkFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 });
    const folder = mkdtempSync(join(this.folder, `.work-${process.pid}-`));
    try {
      return await work(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /**
   * Checks an image and takes a copy of it into use.
   * @param check a last check, of the copy; throws when the image is not to be used
   * @throws WeftError BROKEN_IMAGE, WRONG_MACHINE, STORE_BUSY, and what `check` throws; the image in use stays then
   */
  async adopt(
    folder: string,
    check: (image: ImageFolder) => Promise<void> = () => Promise.resolve(),
  ): Promise<ImageFolder> {
    const image = readImageFolder(folder);
    if (image.manifest.architecture !== process.arch) {
      throw new WeftError(
        `the image is for ${image.manifest.architecture}, and this machine is ${process.arch}`,
        { code: 'WRONG_MACHINE', hint: 'build or fetch one for this machine' },
      );
    }
    return this.#locked(async () => {
      const place = this.#imageFolder(image.digest);
      // One that is here already may have been damaged since, and is made good then.
      const present = await readSound(place);
      if (present === undefined) await this.#copyIn(image, place, check);
      else await check(present);
      this.#use(image.digest);
      return { ...image, folder: place };
    });
  }

  async #copyIn(
    image: ImageFolder,
    place: string,
    check: (image: ImageFolder) => Promise<void>,
  ): Promise<void> {
    const temporary = mkdtempSync(join(this.folder, 'images', '.new-'));
    try {
      await check(await copyImageFolder(image, temporary));
      // Who runs the machine need not be who keeps the images.
      chmodSync(temporary, 0o755);
      rmSync(place, { recursive: true, force: true });
      renameSync(temporary, place);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Takes the image before into use again; the one in use until now becomes the one before.
   * @throws WeftError NO_PREVIOUS, BROKEN_IMAGE, STORE_BUSY
   */
  rollBack(): Promise<ImageFolder> {
    return this.#locked(async () => {
      const previous = this.previous();
      if (previous === undefined) {
        throw new WeftError('there is no image before this one', { code: 'NO_PREVIOUS' });
      }
      await verifyImageFolder(previous);
      this.#use(previous.digest);
      return previous;
    });
  }
}
