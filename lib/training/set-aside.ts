/**
 * Records that turn out unusable in the middle of a run: a picture whose header is sound and whose pixels cannot be
 * decoded, or in which a recipe of chips finds no face. Such a sample is left out of its update, of its loss as of its gradient, wherever it comes up; the order
 * of all others stays. That follows from the file alone, and checkpoints remember it, so a resumed run, and every
 * rank of a job, leaves out the same.
 */
import type { SkippedRecord } from '../data/index.js';
import { createError, FaceLlmError } from '../errors.js';
import type { UpdatePlan } from './order.js';
import type { LoadedRecord, Sample, SampleSet } from './sample-set.js';

/** A sample as the engine takes it, or why there is none. */
export interface LoadedSample {
  readonly index: number;
  readonly input: LoadedRecord | undefined;
  readonly problem: string;
}

/** What no repetition changes: a file that cannot be read may be there again tomorrow. */
const LASTING = ['FACELLM_IMAGE_INVALID', 'FACELLM_IMAGE_TOO_LARGE', 'FACELLM_NO_FACE'];

export class SetAside {
  readonly #samples: SampleSet;
  readonly #isAllowed: boolean;
  readonly #problems = new Map<number, readonly string[]>();

  /** @param isAllowed else a picture that cannot be decoded is an error */
  constructor(samples: SampleSet, isAllowed: boolean) {
    this.#samples = samples;
    this.#isAllowed = isAllowed;
  }

  /** In the order of the data file. */
  get records(): readonly SkippedRecord[] {
    return [...this.#problems]
      .map(([index, problems]) => ({ index, problems }))
      .sort((a, b) => a.index - b.index);
  }

  /** Takes over what a checkpoint remembers. */
  restore(records: readonly SkippedRecord[]): void {
    for (const { index, problems } of records) this.#problems.set(index, problems);
  }

  /** @param index of a sample */
  isUsed(index: number): boolean {
    return !this.#problems.has(this.#recordOf(index));
  }

  /**
   * Loads a sample as `SampleSet.load`; one that was set aside is not looked at again.
   *
   * @throws ImageError naming the record, unless such records may be set aside
   */
  async load(index: number, pass: number | undefined): Promise<LoadedSample> {
    if (!this.isUsed(index)) return { index, input: undefined, problem: '' };
    try {
      return { index, input: await this.#samples.load(index, pass), problem: '' };
    } catch (error) {
      if (!(error instanceof FaceLlmError)) throw error;
      if (this.#isAllowed && LASTING.includes(error.code)) {
        return { index, input: undefined, problem: error.message };
      }
      const { code, summary, details } = error;
      const remedy = "mend it, or set such records aside with onInvalid: 'skip' (--skip-invalid)";
      throw createError(code, `record ${this.#recordOf(index)}: ${summary}; ${remedy}`, {
        details,
        cause: error,
      });
    }
  }

  /**
   * Sets the samples of an update aside that could not be loaded, on this rank or on another.
   *
   * @param hasFailed of each sample of the update, in its order
   * @param loaded this rank's own
   * @returns the records that are new
   * @throws DataError FACELLM_DATA_INVALID if none is left
   */
  add(
    plan: UpdatePlan,
    hasFailed: readonly number[],
    loaded: readonly LoadedSample[],
  ): readonly SkippedRecord[] {
    const added = plan.microBatches.flat().flatMap((index, k): SkippedRecord[] => {
      if ((hasFailed[k] ?? 0) === 0 || !this.isUsed(index)) return [];
      const own = loaded.find((sample) => sample.index === index && sample.problem !== '');
      const problem = own?.problem ?? 'a picture could not be decoded by another process';
      const record = { index: this.#recordOf(index), problems: [problem] };
      this.restore([record]);
      return [record];
    });
    if (added.length > 0 && this.#samples.samples.every((_, index) => !this.isUsed(index))) {
      throw createError('FACELLM_DATA_INVALID', 'no record is left: no picture can be decoded', {
        details: this.records.map(
          ({ index, problems }) => `record ${index}: ${problems.join('; ')}`,
        ),
      });
    }
    return added;
  }

  #recordOf(index: number): number {
    return (this.#samples.samples[index] as Sample).record.index;
  }
}
