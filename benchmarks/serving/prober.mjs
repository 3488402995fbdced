/**
 * A thread that asks one address every few milliseconds, so that the client's own work holds nothing up; tells how long each took. It goes
 * before all other threads where that is allowed: an asker on another machine would not wait for this one's processors.
 */
import { Agent, get } from 'node:http';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';

const { url, everyMs } = /** @type {{ url: string; everyMs: number }} */ (workerData);
let goesFirst = true;
try {
  // Of this thread alone, on Linux.
  setPriority(0, -10);
} catch {
  goesFirst = false;
}
const agent = new Agent({ keepAlive: true });
/** @type {number[]} */
const took = [];
let planned = performance.now();

function ask() {
  const at = planned;
  get(url, { agent }, (response) => {
    response.resume();
    response.once('end', () => took.push(performance.now() - at));
  }).once('error', () => took.push(Infinity));
  planned += everyMs;
  timer = setTimeout(ask, Math.max(0, planned - performance.now()));
}
let timer = setTimeout(ask, 0);

parentPort?.once('message', () => {
  clearTimeout(timer);
  agent.destroy();
  parentPort?.postMessage({ took, goesFirst });
});
