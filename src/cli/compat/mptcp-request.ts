/** What a command line of the object mptcp asks for, once it is understood. Plain data. */
import type { EndpointSpec, Limits } from '../../mptcp/index.ts';

export type MptcpRequest =
  | { readonly kind: 'add-endpoint'; readonly spec: EndpointSpec }
  | { readonly kind: 'delete-endpoint'; readonly spec: EndpointSpec }
  | { readonly kind: 'change-endpoint'; readonly spec: EndpointSpec }
  /** One endpoint; whatever else the spec names goes to the kernel too, which looks at the id only. */
  | { readonly kind: 'show-endpoint'; readonly spec: EndpointSpec }
  | { readonly kind: 'show-endpoints' }
  | { readonly kind: 'flush-endpoints' }
  | { readonly kind: 'set-limits'; readonly limits: Partial<Limits> }
  | { readonly kind: 'show-limits' }
  | { readonly kind: 'monitor' };
