// Loaded into the service with --require: SIGUSR2 begins a CPU profile, the next one writes it to WEFT_BENCH_PROFILE.
'use strict';
const { Session } = require('node:inspector');
const { writeFileSync } = require('node:fs');

const file = process.env.WEFT_BENCH_PROFILE;
if (file !== undefined && require('node:worker_threads').isMainThread) {
  let session;
  process.on('SIGUSR2', () => {
    if (session === undefined) {
      session = new Session();
      session.connect();
      session.post('Profiler.enable');
      session.post('Profiler.start');
      return;
    }
    session.post('Profiler.stop', (_error, { profile }) => writeFileSync(file, JSON.stringify(profile)));
    session.disconnect();
    session = undefined;
  });
}
