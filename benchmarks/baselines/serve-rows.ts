/** A process of OtherBuild: the names of its rows, then a line of milliseconds for each name that comes. */
import { createInterface } from 'node:readline';

import type { WeightForm } from '../../lib/model/index.js';
import { openRows } from '../inference/open-rows.js';

const [model = '', dtype = '', device = '', threads = '', weights = 'stored'] =
  process.argv.slice(2);
const { parts, rows } = await openRows({
  ...{ model, dtype, device, threads },
  weights: weights as WeightForm,
});
console.log(rows.map(({ name }) => name).join('\t'));
for await (const line of createInterface({ input: process.stdin })) {
  const name: unknown = JSON.parse(line);
  const ms = await rows.find((row) => row.name === name)?.run();
  console.log(JSON.stringify({ ms }));
}
await Promise.all([parts.native.dispose().promise, parts.tokenizer.dispose()]);
