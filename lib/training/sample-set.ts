/** All samples of a run, encoded once: lengths decide order and packing, ids are expanded when used. */
import type { NativeAddon, NativeAnswerSet, NativeTrainSample } from '../binding/native.js';
import type { CheckpointConfig } from '../checkpoint/index.js';
import type { TrainingRecord } from '../data/index.js';
import { createError } from '../errors.js';
import { resolvePictureFaces } from '../faces/index.js';
import { type ImageSize, planTiles, readImageSize } from '../image/index.js';
import { mapBounded } from '../jobs/index.js';
import type { TextCoder } from '../tokenizer/index.js';
import type { Alternatives, AlternativesOf } from './answers/answers.js';
import { balancedWeights } from './balance.js';
import { encodeAnswers, type EncodedRecord, expandRecord, SourceCache } from './encode-record.js';
import { ImageTiles, tilingOf } from './image-tiles.js';
import type { TrainingRecipe } from './recipe.js';

export interface Sample {
  readonly record: TrainingRecord;
  readonly encoded: EncodedRecord;
  /** Of each picture, without `<img>` and `</img>`. */
  readonly imageTokens: readonly number[];
  /** Of its losses in the sum. */
  readonly weight: number;
  /** The record with each of the other answers; empty where it is learnt from by its own alone. */
  readonly others: readonly EncodedRecord[];
  readonly alternatives: Alternatives | undefined;
}

/** A record as the engine takes it. */
export interface LoadedRecord {
  /** With its own answer, then with each other one. */
  readonly samples: readonly NativeTrainSample[];
  /** What is learnt from their probabilities. */
  readonly answers: Omit<NativeAnswerSet, 'first'> | undefined;
}

export interface SampleSetParts {
  readonly addon: NativeAddon;
  readonly config: CheckpointConfig;
  readonly coder: TextCoder;
  readonly recipe: TrainingRecipe;
  readonly alternativesOf?: AlternativesOf | undefined;
}

export class SampleSet {
  readonly samples: readonly Sample[];
  readonly dropped: number;
  /** In tokens, every picture expanded. */
  readonly lengths: Int32Array;
  /** Equal for samples of the same pictures. */
  readonly pictures: Int32Array;
  readonly #parts: SampleSetParts;
  readonly #images: ImageTiles;
  /** Numbers of pictures by their paths. */
  readonly #numbers: ReadonlyMap<string, number>;
  #startLogProbs: readonly Float64Array[] = [];

  private constructor(samples: readonly Sample[], dropped: number, parts: SampleSetParts) {
    this.samples = samples;
    this.dropped = dropped;
    this.lengths = Int32Array.from(samples, (one) => lengthOf(one, parts.recipe));
    this.pictures = numbered(samples.map(({ record }) => record.images.join('\n')));
    const paths = [...new Set(samples.flatMap(({ record }) => record.images))];
    this.#numbers = new Map(paths.map((path, number) => [path, number]));
    this.#parts = parts;
    this.#images = new ImageTiles(parts.addon, parts.config, parts.recipe);
  }

  /**
   * @throws DataError FACELLM_DATA_INVALID listing samples over the length limit, unless they may be dropped
   */
  static async encode(
    records: readonly TrainingRecord[],
    parts: SampleSetParts,
    onProgress: (done: number) => void,
    signal?: AbortSignal,
  ): Promise<SampleSet> {
    const tokensOfImage = imageTokenCounter(parts);
    const sources = new SourceCache();
    let done = 0;
    const encoded = await mapBounded(records, 64, async (record) => {
      signal?.throwIfAborted();
      const imageTokens: readonly number[] = await Promise.all(record.images.map(tokensOfImage));
      const alternatives = parts.alternativesOf?.(record);
      const answers = alternatives?.others ?? [];
      const [own, ...others] = await encodeAnswers(
        ...([parts.coder, record, answers, imageTokens, parts.recipe, sources] as const),
      );
      onProgress(++done);
      return { record, encoded: own, imageTokens, others, alternatives };
    });
    const usable = encoded.flatMap((sample) => usableOf(sample) ?? []);
    const { balancesAnswers, balancesGroups } = parts.recipe;
    const isBalanced = balancesAnswers || balancesGroups.length > 0;
    const weights = isBalanced
      ? balancedWeights(
          usable.map(({ record }) => record),
          parts.recipe,
        )
      : usable.map(() => 1);
    const kept = usable.map((sample, i) => ({ ...sample, weight: weights[i] ?? 1 }));
    const tooLong = encoded.filter((sample) => usableOf(sample) === undefined);
    if (kept.length === 0 || (tooLong.length > 0 && parts.recipe.onTooLong === 'error')) {
      throw createError(
        'FACELLM_DATA_INVALID',
        `${tooLong.length} of ${records.length} record(s) do not fit ${parts.recipe.cutoffLength} tokens ` +
          '(image tokens are never cut): raise cutoffLength, lower maxTiles, or set onTooLong=drop',
        {
          details: tooLong
            .slice(0, 1000)
            .map(
              ({ record, imageTokens }) =>
                `record ${record.index}: ${imageTokens.length} image(s), ${imageTokens.reduce((a, b) => a + b, 0)} image tokens`,
            ),
        },
      );
    }
    return new SampleSet(kept, tooLong.length, parts);
  }

  /**
   * Tokens that are learnt, each counted by its sample's weight. The first token of a sample has nothing before it
   * to be learnt from.
   */
  learntTokens(indices: readonly number[]): number {
    return indices.reduce((sum, i) => {
      const { encoded, weight } = this.samples[i] as Sample;
      return sum + encoded.learntTokens * weight;
    }, 0);
  }

  /** Records that are learnt from by the probabilities of their answers, each counted by its weight. */
  answerWeights(indices: readonly number[]): number {
    return indices.reduce((sum, i) => {
      const { alternatives, weight } = this.samples[i] as Sample;
      return sum + (alternatives === undefined ? 0 : weight);
    }, 0);
  }

  /** @param logProbs of each sample's answers under the model that training starts from */
  startFrom(logProbs: readonly Float64Array[]): void {
    this.#startLogProbs = logProbs;
  }

  /**
   * What the engine takes; pictures are decoded, changed and cut here.
   *
   * @param pass over the data, from 0; undefined: pictures as they are
   */
  async load(index: number, pass: number | undefined): Promise<LoadedRecord> {
    const { record, encoded, imageTokens, weight, others, alternatives } = this.samples[
      index
    ] as Sample;
    const pictures = this.#numbers.size;
    const images = await Promise.all(
      record.images.map((path) =>
        this.#images.load(
          path,
          pass === undefined
            ? undefined
            : { pass, picture: this.#numbers.get(path) ?? 0, pictures },
        ),
      ),
    );
    const supervised = supervisedOf(this.#parts.recipe);
    const samples = [encoded, ...others].map((one, i) => ({
      ...expandRecord(one, imageTokens, this.#parts.coder.controlTokens),
      images,
      weight: i === 0 ? weight * supervised : 0,
    }));
    if (alternatives === undefined) return { samples, answers: undefined };
    const { objective, rewards } = alternatives;
    const { expectedReward, preference } = this.#parts.recipe;
    return {
      samples,
      answers: {
        ...{ count: samples.length, objective, weight },
        strength: preference?.beta ?? expectedReward?.kl ?? 0,
        rewards: Float64Array.from(rewards),
        startLogProbs: this.#startLogProbs[index] ?? new Float64Array(),
      },
    };
  }
}

/** What the supervised loss counts. */
function supervisedOf({ expectedReward, preference }: TrainingRecipe): number {
  return (expectedReward ?? preference)?.supervised ?? 1;
}

/** In tokens, as they are computed: the question once where it is shared, else with each answer. */
function lengthOf({ encoded, others }: Sample, { sharesPrefix }: TrainingRecipe): number {
  return others.reduce(
    (sum, other) => sum + (sharesPrefix ? other.learntTokens : other.length),
    encoded.length,
  );
}

interface EncodedSample extends Omit<Sample, 'encoded' | 'weight' | 'others'> {
  readonly encoded: EncodedRecord | undefined;
  readonly others: readonly (EncodedRecord | undefined)[];
}

/** Undefined where the length limit leaves nothing to learn of an answer, or would cut image tokens. */
function usableOf(sample: EncodedSample): Omit<Sample, 'weight'> | undefined {
  const { encoded } = sample;
  const others = sample.others.filter((one) => one !== undefined);
  if (encoded === undefined || others.length < sample.others.length) return undefined;
  const hasLearnt = [encoded, ...others].every(({ learntTokens }) => learntTokens > 0);
  return hasLearnt ? { ...sample, encoded, others } : undefined;
}

/** Equal names get equal numbers, from 0 in their order. */
function numbered(names: readonly string[]): Int32Array {
  const numbers = new Map<string, number>();
  return Int32Array.from(names, (name) => {
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    return number;
  });
}

/** Of what is cut into tiles; a chip's is that of the recipe, whatever its picture's. */
async function sizeOf(path: string, { faces }: TrainingRecipe): Promise<ImageSize> {
  const cut = resolvePictureFaces(faces);
  return typeof cut === 'string'
    ? readImageSize(path, { applyExif: false })
    : { width: cut.size, height: cut.size };
}

/** Tokens of a picture by its path; sizes are read only where tiling depends on them. */
function imageTokenCounter({ addon, config, recipe }: SampleSetParts) {
  const perTile = config.model.imageSeqLength;
  const known = new Map<string, Promise<number>>();
  const tiling = tilingOf(recipe);
  return (path: string): Promise<number> => {
    if (tiling === 'off') return Promise.resolve(perTile);
    let tokens = known.get(path);
    if (tokens === undefined) {
      tokens = sizeOf(path, recipe).then(
        ({ width, height }) => planTiles(addon, width, height, config, tiling).tiles * perTile,
      );
      known.set(path, tokens);
    }
    return tokens;
  };
}
