/**
 * Light or dark: the system's choice unless the reader has made one, which the browser remembers. The colours are in
 * styles/tokens.css; this sets `data-theme` and tells the store what is shown, for what is drawn on a canvas.
 */
import { h } from './dom.ts';
import type { PageContext } from './context.ts';

const CHOICES = ['auto', 'light', 'dark'] as const;
type Choice = (typeof CHOICES)[number];

const LABELS: Readonly<Record<Choice, string>> = { auto: 'Auto', light: 'Light', dark: 'Dark' };
const KEY = 'weft-theme';

/** A browser may forbid storage; the choice then lasts as long as the page. */
function readChoice(): Choice {
  try {
    const stored = localStorage.getItem(KEY);
    return CHOICES.find((choice) => choice === stored) ?? 'auto';
  } catch {
    return 'auto';
  }
}

function storeChoice(choice: Choice): void {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // As above.
  }
}

/** @returns the switch */
export function mountTheme({ store }: PageContext): HTMLElement {
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  let choice = readChoice();
  const group = h('div', { class: 'segmented', role: 'group', 'aria-label': 'Colours' });
  const buttons = CHOICES.map((name) => {
    const element = h('button', { type: 'button' }, LABELS[name]);
    element.addEventListener('click', () => {
      choice = name;
      storeChoice(name);
      apply();
    });
    group.append(element);
    return element;
  });

  function apply(): void {
    const root = document.documentElement;
    if (choice === 'auto') delete root.dataset['theme'];
    else root.dataset['theme'] = choice;
    for (const [index, element] of buttons.entries()) {
      element.setAttribute('aria-pressed', String(CHOICES[index] === choice));
    }
    store.theme.set(choice === 'auto' ? (system.matches ? 'dark' : 'light') : choice);
  }

  system.addEventListener('change', apply);
  apply();
  return group;
}
