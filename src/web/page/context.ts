/**
 * What each section of the page is given. A section is a function `mountX(root, context)` that fills its root once and
 * then keeps it true by watching the store; sections know nothing of one another. main.ts mounts those of picture/ and
 * charts/, and from lists/index.ts `mountConnections`, `mountControl`, `mountWhy` and `mountEvents`.
 */
import type { Api } from './api.ts';
import type { PathMarks } from './path-marks.ts';
import type { PageStore } from './store.ts';

export interface PageContext {
  readonly store: PageStore;
  readonly api: Api;
  /** Which colour a path has, the same in picture, charts and lists. */
  readonly marks: PathMarks;
}

/** `root` is the body of a card whose heading stands already; what is in it is the section's alone. */
export type MountSection = (root: HTMLElement, context: PageContext) => void;
