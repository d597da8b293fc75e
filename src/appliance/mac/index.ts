/** mac: the appliance on macOS, as far as it can be written without one. */
export {
  EMPTY_MAC_RECORD,
  MacHost,
  parseMacRecord,
  type MacChoice,
  type MacJournal,
  type MacRecord,
  type RunMacCommand,
} from './mac-host.ts';
export { RunningMacMachine, type MacMachineOptions } from './mac-machine.ts';
export { planMacUplinks, type MacCommand, type MacUplink } from './mac-plan.ts';
export { macQemuProgram, type MacMachine } from './mac-qemu.ts';
