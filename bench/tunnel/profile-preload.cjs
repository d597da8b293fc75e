'use strict';
/**
 * `node --require profile-preload.cjs …` with `--cpu-prof`: threads are profiled too, although Weft starts them without
 * Node's options.
 */
const { syncBuiltinESMExports } = require('node:module');
const threads = require('node:worker_threads');

const { Worker } = threads;
const wanted = process.execArgv.filter((option, i, all) => `${all[i - 1]} ${option}`.includes('--cpu-prof'));

threads.Worker = class extends Worker {
  constructor(url, options) {
    super(url, { ...options, execArgv: wanted });
  }
};
syncBuiltinESMExports();
