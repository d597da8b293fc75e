/**
 * appliance: a small virtual machine whose kernel speaks MPTCP, for hosts whose kernel does not. The image and how
 * it is kept (image), what runs inside (guest), and what the host does for it (host).
 */
export { emitLine, LineReader } from './guest/agent-lines.ts';
export { AgentPort, findPort, type AgentPortHandlers } from './guest/agent-port.ts';
export { GuestAgent, type GuestFace } from './guest/agent.ts';
export { bootGuest, endGuest } from './guest/boot.ts';
export { GuestLinks, type GuestLinksOptions } from './guest/guest-links.ts';
export * from './guest/protocol.ts';
export { buildImage, describeFile, type BuildOptions } from './image/build.ts';
export {
  brokenImage,
  copyImageFolder,
  readImageFolder,
  verifyImageFolder,
  type ImageFolder,
} from './image/image-folder.ts';
export {
  fetchKernelPackage,
  findKernelPackage,
  readKernelPackage,
  type KernelFiles,
} from './image/kernel-package.ts';
export * from './image/manifest.ts';
export { orderModules, type ModuleFile } from './image/modules.ts';
export { convertVmdk, type ProgramUser } from './image/disk.ts';
export { unpackOva } from './image/ova-read.ts';
export { writeOva } from './image/ova-write.ts';
export type { OvfEnvelope } from './image/ovf.ts';
export { tryImage, type TrialOptions } from './image/trial.ts';
export { guestText } from './host/agent-client.ts';
export {
  Appliance,
  type ApplianceOptions,
  type ApplianceState,
  type HostSituation,
  type LinkState,
} from './host/appliance.ts';
export { guestAddresses, hostAddresses } from './host/guest-links.ts';
export {
  EMPTY_APPLIANCE_RECORD,
  parseApplianceRecord,
  type ApplianceJournal,
  type ApplianceRecord,
} from './host/journal.ts';
export { removeApplianceLeftovers, type ApplianceLeftovers } from './host/leftovers.ts';
export { isApplianceRoute, isApplianceRule, tableOf, TAP_NAMES } from './host/numbers.ts';
export type { BootSource } from './host/qemu-command.ts';
export { chooseUser, readUserFacts, type QemuUser } from './host/qemu-user.ts';
export type { HostUplink } from './host/types.ts';
export * from './mac/index.ts';
