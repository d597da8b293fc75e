/** The service behind `weft serve`. */
export { FarService, type FarServiceOptions } from './far-service.ts';
export type { FarFiles } from './far-files.ts';
