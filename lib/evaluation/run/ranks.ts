/** Which share of the questions this process has: as launchers such as torchrun and SLURM tell it. */
import { createError } from '../../errors.js';

export interface Rank {
  /** From 0. */
  readonly rank: number;
  readonly worldSize: number;
}

const SOURCES = [
  ['RANK', 'WORLD_SIZE'],
  ['SLURM_PROCID', 'SLURM_NTASKS'],
] as const;

/**
 * RANK and WORLD_SIZE, else SLURM_PROCID and SLURM_NTASKS; without them all questions are this process's.
 *
 * @throws InvalidArgumentError FACELLM_INVALID_ARGUMENT for one without the other, or values that do not fit
 */
export function rankFromEnvironment(environment: NodeJS.ProcessEnv = process.env): Rank {
  for (const [rankName, sizeName] of SOURCES) {
    const [rankText, sizeText] = [environment[rankName], environment[sizeName]];
    if (rankText === undefined && sizeText === undefined) continue;
    const [rank, worldSize] = [Number(rankText ?? NaN), Number(sizeText ?? NaN)];
    const fits = Number.isSafeInteger(rank) && Number.isSafeInteger(worldSize);
    if (fits && rank >= 0 && rank < worldSize) return { rank, worldSize };
    throw createError(
      'FACELLM_INVALID_ARGUMENT',
      `${rankName} and ${sizeName}: expected a number from 0 and a larger one, got ` +
        `${rankText ?? 'nothing'} and ${sizeText ?? 'nothing'}; set both or neither`,
    );
  }
  return { rank: 0, worldSize: 1 };
}
