/** Gives programs and services MPTCP that know nothing of it: `weft run`, `weft enable`, `mptcpize`. */
export {
  becomeProgram,
  NOT_EXECUTABLE_EXIT,
  NOT_FOUND_EXIT,
  prepareRun,
  RunError,
  type PreparedRun,
  type RunOptions,
} from './run-program.ts';
export { findProxyUrl } from './running-proxy.ts';
export type { Via } from './run-plan.ts';
export { disableUnit, enableUnit, type UnitChange, type UnitOptions } from './units.ts';
