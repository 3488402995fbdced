/** Whether this build can train in several processes on CPUs. */
import { loadAddon } from '../../lib/binding/load.js';

function hasGloo(): boolean {
  try {
    return loadAddon().distributedBackends().includes('gloo');
  } catch {
    return true; // no addon at all: the tests themselves say so
  }
}

export const HAS_GLOO: boolean = hasGloo();
