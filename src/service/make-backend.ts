/** Chooses the backend of a host and makes it, without starting it. */
import type { ImageFolder } from '../appliance/index.ts';
import { errorText } from '../base/index.ts';
import { ApplianceBackend } from './appliance/backend.ts';
import { ImageStore } from './appliance/image-store.ts';
import type { Backend } from './backend.ts';
import { chooseBackend, type BackendChoice, type BackendWish } from './backend-choice.ts';
import { findQemu, readHostFacts } from './backend-facts.ts';
import { NativeBackend, type NativeBackendOptions } from './native-backend.ts';
import { prepareRuntimeFolder } from './runtime-folder.ts';

export interface ChosenBackend {
  readonly backend: Backend;
  readonly choice: BackendChoice;
}

/** The image in use, or why there is none to boot. */
function findImage(): { readonly image?: ImageFolder; readonly problem?: string } {
  try {
    const image = new ImageStore().current();
    return image === undefined ? { problem: 'there is no image' } : { image };
  } catch (error) {
    return { problem: errorText(error) };
  }
}

/** @throws WeftError as `chooseBackend` */
export function makeBackend(wish: BackendWish, options: NativeBackendOptions): Promise<ChosenBackend> {
  if (!options.multipath) {
    const choice: BackendChoice = { kind: 'native', why: 'multipath was not wanted' };
    return Promise.resolve({ choice, backend: new NativeBackend(options) });
  }
  const { image, problem } = findImage();
  const choice = chooseBackend(
    wish,
    readHostFacts(() => problem),
  );
  const qemu = findQemu();
  if (choice.kind === 'native' || image === undefined || qemu === undefined) {
    return Promise.resolve({ choice, backend: new NativeBackend(options) });
  }
  const { backup, exclude, interfaces, logger, netns, stateFolder = prepareRuntimeFolder() } = options;
  const backend = new ApplianceBackend({
    image,
    qemu,
    logger,
    stateFolder,
    ...(interfaces === undefined ? {} : { interfaces }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(backup === undefined ? {} : { backup }),
    ...(netns === undefined ? {} : { netns }),
  });
  return Promise.resolve({ choice, backend });
}
