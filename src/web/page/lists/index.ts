/** lists: the sections of the page that are lists and forms. */
export { mountConnections } from './connections.ts';
export { mountControl } from './control.ts';
export { mountEvents } from './events.ts';
export { mountWhy } from './why.ts';
