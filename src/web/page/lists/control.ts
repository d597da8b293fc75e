/**
 * The section "Control": paths, tunnel paths, limits, endpoints. When Weft may change nothing, all of it is switched
 * off and the reason stands above.
 */
import type { Overview } from '../../../service/observe/model.ts';
import type { PageContext } from '../context.ts';
import { h, setText } from '../dom.ts';
import { mountEndpointAdd } from './control-endpoint-add.ts';
import { mountEndpointControl } from './control-endpoints.ts';
import { mountLimitsControl } from './control-limits.ts';
import { mountPathControl } from './control-paths.ts';
import { mountTunnelControl } from './control-tunnels.ts';

const PARTS: readonly ((root: HTMLElement, context: PageContext) => void)[] = [
  mountPathControl,
  mountTunnelControl,
  mountLimitsControl,
  mountEndpointControl,
  mountEndpointAdd,
];

function whyNot({ mayChange, program }: Overview): string {
  if (mayChange) return '';
  const how = program === 'daemon' ? 'sudo mptcpd' : 'sudo weft up';
  return `This Weft may not change the host's network (it lacks CAP_NET_ADMIN), so nothing here can be changed. Started as root it may: ${how}`;
}

export function mountControl(root: HTMLElement, context: PageContext): void {
  const reason = h('p', { class: 'message', id: 'control-reason' });
  // A fieldset switches off all that is in it, now and later.
  const controls = h('fieldset', {
    class: 'controls',
    'aria-labelledby': 'control-heading',
    'aria-describedby': 'control-reason',
  });
  root.append(reason, controls);
  for (const mount of PARTS) {
    const part = h('div', { class: 'control-part' });
    controls.append(part);
    mount(part, context);
  }
  context.store.overview.watch((overview) => {
    const why = overview === undefined ? 'Waiting for Weft …' : whyNot(overview);
    setText(reason, why);
    reason.hidden = why === '';
    controls.disabled = why !== '';
  });
}
