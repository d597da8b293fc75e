/** Control of the kernel's limits: how many subflows a connection gets, and how many announced addresses it takes. */
import type { LimitsAction } from '../../../service/observe/api.ts';
import type { PageContext } from '../context.ts';
import { h, setAttribute, setText } from '../dom.ts';
import { ActionPanel } from './action.ts';
import { limitsCommand } from './command-lines.ts';
import { NumberField } from './fields.ts';

export function mountLimitsControl(root: HTMLElement, { store, api }: PageContext): void {
  const subflows = new NumberField('Subflows beside the first', { min: 0, required: true });
  const accepted = new NumberField('Announced addresses accepted', { min: 0, required: true });
  const panel = new ActionPanel();
  const absent = h('p', { class: 'quiet small' }, 'There are no limits to set: this kernel has no MPTCP.');
  const maximum = h('p', { class: 'quiet small' });
  const submit = h('button', { type: 'submit' }, 'Set limits');
  const form = h(
    'form',
    { class: 'fields', 'aria-label': 'Limits' },
    subflows.element,
    accepted.element,
    submit,
    maximum,
  );
  root.append(h('h3', {}, 'Limits'), absent, form, panel.element);

  const wanted = (): LimitsAction | undefined => {
    const [one, other] = [subflows.value, accepted.value];
    return one === undefined || other === undefined ? undefined : { subflows: one, addAddrAccepted: other };
  };
  const preview = () => {
    const action = wanted();
    panel.preview(action === undefined ? undefined : limitsCommand(action));
  };
  for (const field of [subflows, accepted]) {
    field.onChange(() => {
      panel.clear();
      preview();
    });
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const action = wanted();
    if (action === undefined) panel.refuse('both limits have to be whole numbers, 0 or more');
    else {
      void panel
        .run(() => api.setLimits(action))
        .then((done) => {
          if (!done) return;
          subflows.settle();
          accepted.settle();
        });
    }
  });
  store.overview.watch((overview) => {
    const limits = overview?.limits;
    absent.hidden = overview === undefined || limits !== undefined;
    form.hidden = limits === undefined;
    panel.element.hidden = limits === undefined;
    if (limits === undefined) return;
    subflows.show(limits.subflows);
    accepted.show(limits.addAddrAccepted);
    const most = overview?.limitsMaximum;
    setText(maximum, most === undefined ? '' : `This kernel takes ${most} at most.`);
    for (const field of [subflows, accepted]) setAttribute(field.input, 'max', most);
    preview();
  });
}
