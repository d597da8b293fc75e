/** Chooses the backend of a host and makes it, without starting it. */
import type { Backend } from './backend.ts';
import { chooseBackend, type BackendChoice, type BackendWish } from './backend-choice.ts';
import { readHostFacts } from './backend-facts.ts';
import { NativeBackend, type NativeBackendOptions } from './native-backend.ts';

export interface ChosenBackend {
  readonly backend: Backend;
  readonly choice: BackendChoice;
}

/** @throws WeftError as `chooseBackend` */
export function makeBackend(wish: BackendWish, options: NativeBackendOptions): Promise<ChosenBackend> {
  const choice = chooseBackend(
    wish,
    readHostFacts(() => 'there is no image'),
  );
  return Promise.resolve({ choice, backend: new NativeBackend(options) });
}
