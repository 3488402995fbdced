/** `facellm card DIR`: what was measured after training, onto the card of the weights. */
import { type ModelCardOptions, updateModelCard } from '../evaluation/index.js';
import type { OutputFlags } from './options.js';
import type { Console } from './output.js';

export type CardFlags = OutputFlags & Omit<ModelCardOptions, 'directory'>;

export async function runCard(
  directory: string,
  { json, scores, calibration, license, model }: CardFlags,
  streams: Console,
): Promise<void> {
  const card = await updateModelCard({ directory, scores, calibration, license, model });
  if (json === true) {
    streams.stdout.write(`${JSON.stringify(card)}\n`);
    return;
  }
  if (card.keptReadme) streams.stderr.write('README.md is your own and stays as it is\n');
  streams.stdout.write(`${card.path}\n`);
}
