#!/usr/bin/env node
/**
 * `mptsrv [-d] [--conf DIR]`: the tunnel server with the command line, the output and the menu of MPT's.
 *
 * References: docs/tunnel.md; mptsrv(8).
 */
import { packageVersion } from '../version.ts';
import { runMptsrv } from './mptsrv-run.ts';

void runMptsrv(process.argv.slice(2), packageVersion());
