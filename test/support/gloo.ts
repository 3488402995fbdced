/** Whether this build can train in several processes on CPUs, and the name of what is skipped where it cannot. */
import { loadAddon } from '../../lib/binding/load.js';

function hasGloo(): boolean {
  try {
    return loadAddon().distributedBackends().includes('gloo');
  } catch {
    return true; // no addon at all: the tests themselves say so
  }
}

export const HAS_GLOO: boolean = hasGloo();
/** For the title of a suite. */
export const GLOO_NOTE: string = HAS_GLOO
  ? ''
  : ' (skipped: this build has no Gloo, Debian: apt-get install libgloo-dev)';
