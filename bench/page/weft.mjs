/** The built `weft up` in the client of a lab, and the address of its page. */
import { fileURLToPath } from 'node:url';
import { Program } from './place.mjs';
import { rest } from './measure.mjs';

const WEFT = fileURLToPath(new URL('../../dist/bin/weft.js', import.meta.url));
/** The last line of a Weft that has started. */
const STARTED = 'to stop it';
const ADDRESS_TRIES = 100;

/** @param profile a file for a CPU profile, written while one is asked for by SIGUSR2 (profile-preload.cjs) */
export async function startWeft(lab, { cpus, profile } = {}) {
  const preload = fileURLToPath(new URL('profile-preload.cjs', import.meta.url));
  const profiling = profile === undefined ? [] : ['--require', preload];
  const weft = new Program(lab.node('client'), [process.execPath, ...profiling, WEFT, 'up'], {
    cpus,
    env: profile === undefined ? {} : { WEFT_BENCH_PROFILE: profile },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await weft.says(STARTED);
  if (profile !== undefined) {
    weft.beginProfile = () => weft.child.kill('SIGUSR2');
    weft.endProfile = () => weft.child.kill('SIGUSR2');
  }
  return weft;
}

/** With its token, as `weft web` prints it. */
export async function pageAddress(lab) {
  for (let n = 0; n < ADDRESS_TRIES; n++) {
    const { stdout } = await lab.node('client').run([process.execPath, WEFT, 'web']);
    const [url] = /http:\/\/\S+/.exec(stdout) ?? [];
    if (url !== undefined) return url;
    await rest(100);
  }
  throw new Error('weft web tells no address');
}
