/**
 * Fields of forms whose value Weft may change meanwhile: what somebody is typing stays, everything else follows.
 */
import { h } from '../dom.ts';

/** BOUNDED by its use: one for each field of the page. Ids must be unique in the document. */
let fieldCount = 0;

export const fieldId = (): string => `field-${++fieldCount}`;

/** A control with its label above it. */
export function labelled(label: string, control: HTMLElement): HTMLElement {
  control.id ||= fieldId();
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control);
}

export interface NumberFieldOptions {
  readonly min: number;
  readonly max?: number;
  readonly required?: boolean;
  /** Said to those who hear the page, where the label on the screen is short. */
  readonly description?: string;
}

/** A whole number that follows Weft's until somebody changes it, and again once that is done. */
export class NumberField {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  /** Somebody has changed it, and that is not Weft's value yet. */
  #edited = false;
  #last: number | undefined;

  constructor(label: string, { min, max, required = false, description }: NumberFieldOptions) {
    this.input = h('input', {
      type: 'number',
      inputmode: 'numeric',
      step: 1,
      min,
      max,
      required,
      autocomplete: 'off',
      'aria-label': description,
    });
    this.element = labelled(label, this.input);
    this.input.addEventListener('input', () => {
      this.#edited = true;
    });
  }

  /** `undefined`: empty, or no whole number of those allowed. */
  get value(): number | undefined {
    const { value, validity } = this.input;
    if (value === '' || !validity.valid) return undefined;
    return Number(value);
  }

  get edited(): boolean {
    return this.#edited;
  }

  onChange(listener: () => void): void {
    this.input.addEventListener('input', listener);
  }

  /** What Weft says. */
  show(value: number): void {
    if (value === this.#last && !this.#edited) return;
    this.#last = value;
    if (!this.#edited) this.input.value = String(value);
    if (this.input.value === String(value)) this.#edited = false;
  }

  /** What was typed is done: Weft's value is followed again. */
  settle(): void {
    this.#edited = false;
  }
}
