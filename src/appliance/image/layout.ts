/**
 * Where things are in the guest's file system (plain names), for who puts them there and who finds them there.
 *
 *   /init                      #!/usr/bin/node, which starts GUEST_PROGRAM
 *   /usr/bin/node              and the libraries it needs, at the places where this machine has them
 *   /weft/dist/appliance/…     the guest's program; /weft/dist/workers/…, its threads
 *   /weft/node_modules/…       koffi's native half
 *   /lib/modules/RELEASE/…     kernel modules; MODULE_LIST names them in the order of loading
 */

export const NODE_PROGRAM = '/usr/bin/node';
export const WEFT_FOLDER = '/weft';
export const GUEST_PROGRAM = '/weft/dist/appliance/guest.cjs';
/** One absolute path a line. */
export const MODULE_LIST = '/weft/modules';
