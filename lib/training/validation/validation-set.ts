/** The samples that a run is examined on: encoded once, each closed question with every answer to it. */
import type { NativeTrainer } from '../../binding/native.js';
import type { SkippedRecord, TrainingRecord } from '../../data/index.js';
import type { Job } from '../../distributed/index.js';
import { prefetch } from '../../jobs/index.js';
import { sampleLosses } from '../sample-losses.js';
import { SampleSet, type SampleSetParts } from '../sample-set.js';
import { SetAside } from '../set-aside.js';
import type { ValidatedSample } from './figures.js';

/** A record with its question's answers: places of their samples. */
interface Item {
  readonly record: TrainingRecord;
  /** Of the record as it is. */
  readonly own: number;
  /** Of the question with each answer, `own` among them; empty for an open question. */
  readonly answers: readonly number[];
  readonly question: string;
}

export class ValidationSet {
  readonly samples: SampleSet;
  readonly #items: readonly Item[];
  readonly #batches: readonly (readonly number[])[];
  readonly #aside: SetAside;
  /** Records that have been told to be lost: every validation meets them again. */
  readonly #told = new Set<number>();

  private constructor(
    samples: SampleSet,
    items: readonly Item[],
    batchSize: number,
    mayLose: boolean,
  ) {
    this.samples = samples;
    this.#items = items;
    this.#batches = batchesOf(items, batchSize);
    this.#aside = new SetAside(samples, mayLose);
  }

  /** Records, questions with a fixed set of answers among them. */
  get size(): number {
    return this.#items.length;
  }

  get hasClosedQuestions(): boolean {
    return this.#items.some(({ answers }) => answers.length > 0);
  }

  /**
   * @param answersTo all answers to a record's question, if it is closed
   * @param mayLose a record whose picture cannot be decoded is left out, else it is an error
   * @throws DataError FACELLM_DATA_INVALID as SampleSet.encode
   */
  static async encode(
    records: readonly TrainingRecord[],
    answersTo: (record: TrainingRecord) => readonly string[] | undefined,
    parts: SampleSetParts,
    mayLose: boolean,
    signal: AbortSignal | undefined,
  ): Promise<ValidationSet> {
    const asked = records.map((record) => {
      const [turn] = record.turns;
      const answers = (turn === undefined ? undefined : answersTo(record)) ?? [];
      const others = answers.map((assistant): TrainingRecord =>
        assistant === turn?.assistant
          ? record
          : { ...record, turns: [{ user: turn?.user ?? '', assistant }] },
      );
      return { record, others };
    });
    const all = asked.flatMap(({ record, others }) => (others.length > 0 ? others : [record]));
    // Pictures as they are, and every sample for itself.
    const recipe = {
      ...parts.recipe,
      augmentation: null,
      balancesAnswers: false,
      balancesGroups: [],
      ...{ expectedReward: null, preference: null },
    };
    const own = { ...parts, recipe, alternativesOf: undefined };
    const samples = await SampleSet.encode(all, own, () => undefined, signal);
    const places = new Map(samples.samples.map(({ record }, place) => [record, place]));
    const items = asked.flatMap(({ record, others }): Item[] => {
      const own = places.get(record);
      const answers = others.flatMap((other) => places.get(other) ?? []);
      // Over the length limit, with the true answer or another: dropped, as the recipe allows.
      if (own === undefined || answers.length < others.length) return [];
      const question = JSON.stringify([record.system, record.turns[0]?.user]);
      return [{ record, own, answers, question }];
    });
    return new ValidationSet(samples, items, parts.recipe.batchSize, mayLose);
  }

  /**
   * Computes all samples, each rank of a job its batches; every rank gets all of them.
   *
   * @param onLost told once of each record that this rank leaves out, since its picture cannot be decoded
   * @throws the signal's reason, ImageError, what the engine fails with
   */
  async run(
    trainer: NativeTrainer,
    job: Job,
    signal: AbortSignal | undefined,
    onLost: (record: SkippedRecord) => void,
  ): Promise<ValidatedSample[]> {
    const losses = new Float64Array(this.samples.samples.length);
    const isKnown = new Float64Array(losses.length);
    const own = Array.from(
      { length: Math.ceil(this.#batches.length / job.size) },
      (_, round) => this.#batches[round * job.size + job.rank] ?? [],
    );
    const load = (places: readonly number[]) =>
      Promise.all(places.map((place) => this.#aside.load(place, 0)));
    for await (const loaded of prefetch(own, 1, load)) {
      signal?.throwIfAborted();
      for (const { index, problem } of loaded)
        if (problem !== '') this.#tell(index, problem, onLost);
      const usable = loaded.flatMap(({ index, input }) =>
        input === undefined ? [] : [{ index, input }],
      );
      const samples = usable.flatMap(({ input }) => input.samples);
      const found = await sampleLosses(trainer, samples, job, signal);
      for (const [k, { index }] of usable.entries()) {
        losses[index] = found[k] ?? 0;
        isKnown[index] = 1;
      }
    }
    const sums = await job.sum([...losses, ...isKnown]);
    return this.#outcomes(sums.slice(0, losses.length), sums.slice(losses.length));
  }

  #tell(place: number, problem: string, onLost: (record: SkippedRecord) => void): void {
    const index = this.samples.samples[place]?.record.index ?? 0;
    if (this.#told.has(index)) return;
    this.#told.add(index);
    onLost({ index, problems: [`not validated with: ${problem}`] });
  }

  #outcomes(losses: readonly number[], isKnown: readonly number[]): ValidatedSample[] {
    return this.#items.flatMap(({ record, own, answers, question }): ValidatedSample[] => {
      if ([own, ...answers].some((place) => isKnown[place] === 0)) return [];
      const best = answers.reduce(
        (least, place, k) =>
          (losses[place] ?? 0) < (losses[answers[least] ?? 0] ?? 0) ? k : least,
        0,
      );
      const closed =
        answers.length === 0 ? undefined : { truth: answers.indexOf(own), best, question };
      const learntTokens = this.samples.samples[own]?.encoded.learntTokens ?? 0;
      return [{ record, loss: losses[own] ?? 0, learntTokens, closed }];
    });
  }
}

/** Items in the order of their pictures, so many that a batch holds `size` samples, or one item alone. */
function batchesOf(items: readonly Item[], size: number): number[][] {
  const byPicture = new Map<string, Item[]>();
  for (const item of items) {
    const key = item.record.images.join('\n');
    const known = byPicture.get(key);
    if (known === undefined) byPicture.set(key, [item]);
    else known.push(item);
  }
  const batches: number[][] = [];
  for (const { own, answers } of [...byPicture.values()].flat()) {
    const places = answers.length > 0 ? answers : [own];
    const last = batches.at(-1);
    if (last === undefined || last.length + places.length > size) batches.push([...places]);
    else last.push(...places);
  }
  return batches;
}
