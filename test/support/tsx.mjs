// Importing tsx prepares the main thread only; tests also start the sources' own worker threads.
import { isMainThread } from 'node:worker_threads';

import 'tsx';
import { register } from 'tsx/esm/api';

if (!isMainThread) register();
