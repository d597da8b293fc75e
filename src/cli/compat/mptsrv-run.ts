/** Runs `mptsrv`. */
export async function runMptsrv(_argv: readonly string[], _version: string): Promise<never> {
  await Promise.resolve();
  return process.exit(1);
}
