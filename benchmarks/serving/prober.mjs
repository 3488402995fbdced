/** A thread that asks one address every few milliseconds, so that the client's own work holds nothing up; tells how long each took. */
import { Agent, get } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

const { url, everyMs } = /** @type {{ url: string; everyMs: number }} */ (workerData);
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
  parentPort?.postMessage(took);
});
