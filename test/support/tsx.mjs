// Importing tsx prepares the main thread only; tests and benchmarks also start the sources' own worker
// threads.
import { isMainThread } from 'node:worker_threads';

import 'tsx';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
