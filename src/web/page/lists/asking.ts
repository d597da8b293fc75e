/**
 * When the lists ask Weft for something: never twice at once, and not for what nobody can see. No list and no element
 * is known here.
 */
import { Cell } from '../store.ts';

/**
 * Runs `task` at most once at a time: a call while it runs leads to exactly one more run after it, however many calls
 * there were. What fails is the task's to tell.
 */
export function oneAtATime(task: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const run = async () => {
    running = true;
    do {
      again = false;
      await task().catch((error: unknown) => {
        // A mistake of the page, which the console is to show; the next call tries again.
        queueMicrotask(() => {
          throw error;
        });
      });
    } while (again);
    running = false;
  };
  return () => {
    if (running) again = true;
    else void run();
  };
}

/** Calls `task` no more often than each `intervalMs`, by the clock that is given; for what is asked "while it is seen". */
export function atMostEach(intervalMs: number, task: (nowMs: number) => void): (nowMs: number) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (nowMs) => {
    if (nowMs - lastMs < intervalMs) return;
    lastMs = nowMs;
    task(nowMs);
  };
}

/**
 * A function that may be called at any rate: `task` runs at once, then at most each `intervalMs`, and after the last
 * call once more.
 */
export function calmed(intervalMs: number, task: () => void): () => void {
  let resting = false;
  let again = false;
  const run = () => {
    resting = true;
    again = false;
    setTimeout(() => {
      resting = false;
      if (again) run();
    }, intervalMs);
    task();
  };
  return () => {
    if (resting) again = true;
    else run();
  };
}

/** So near to the screen that it is drawn already when it is scrolled to. */
const NEARBY = '200px';

/** True while somebody may see `element`: the tab is shown, and the element is on the screen or nearly. */
export function onScreen(element: Element, tabVisible: Cell<boolean>): Cell<boolean> {
  const shown = new Cell(false);
  let intersects = false;
  const update = () => shown.set(intersects && tabVisible.value);
  new IntersectionObserver(
    (entries) => {
      intersects = entries.at(-1)?.isIntersecting ?? false;
      update();
    },
    { rootMargin: NEARBY },
  ).observe(element);
  tabVisible.watch(update);
  return shown;
}
