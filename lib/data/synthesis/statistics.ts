/** What a dataset holds, counted while it is written. */
import type { LabelledImage } from '../labels/read-labels.js';
import { type Attribute, ATTRIBUTES, VOCABULARY } from '../labels/vocabulary.js';

export interface LengthSummary {
  readonly mean: number;
  readonly least: number;
  readonly median: number;
  readonly p95: number;
  readonly most: number;
}

export interface DatasetStatistics {
  readonly pairs: number;
  /** Pictures with at least one pair. */
  readonly images: number;
  readonly byQuestion: Readonly<Record<string, number>>;
  /** Pictures by attribute and value; `unknown` where a label is not known. */
  readonly byAttribute: { readonly [attribute in Attribute]?: Readonly<Record<string, number>> };
  /** Pictures by race, gender and age, in the order of the vocabulary. */
  readonly byGroup: readonly {
    readonly race: string;
    readonly gender: string;
    readonly age: string;
    readonly images: number;
  }[];
  /** Of answers, in words. */
  readonly words: LengthSummary | undefined;
}

const UNKNOWN = 'unknown';

function summarise(lengths: Uint16Array): LengthSummary | undefined {
  if (lengths.length === 0) return undefined;
  const sorted = lengths.slice().sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const sum = sorted.reduce((total, length) => total + length, 0);
  const mean = Math.round((10 * sum) / sorted.length) / 10;
  return { mean, least: at(0), median: at(0.5), p95: at(0.95), most: at(1) };
}

export class StatisticsCounter {
  readonly #lengths: Uint16Array;
  readonly #byQuestion = new Map<string, number>();
  readonly #byAttribute = new Map<Attribute, Map<string, number>>();
  readonly #byGroup = new Map<string, number>();
  #pairs = 0;
  #images = 0;
  #lastImage: LabelledImage | undefined;

  /** @param most pairs that will be added at most */
  constructor(most: number) {
    this.#lengths = new Uint16Array(most);
  }

  /** Pairs of one picture come one after another. */
  add(image: LabelledImage, question: string, answer: string): void {
    const words = answer.split(/\s+/u).filter((word) => word !== '').length;
    this.#lengths[this.#pairs++] = Math.min(words, 65_535);
    this.#byQuestion.set(question, (this.#byQuestion.get(question) ?? 0) + 1);
    if (image === this.#lastImage) return;
    this.#lastImage = image;
    this.#images++;
    this.#addImage(image);
  }

  result(): DatasetStatistics {
    const byAttribute = ATTRIBUTES.flatMap((attribute) => {
      const counts = this.#byAttribute.get(attribute);
      if (counts === undefined || (counts.size === 1 && counts.has(UNKNOWN))) return [];
      const ordered = [...VOCABULARY[attribute], UNKNOWN].flatMap((value) => {
        const count = counts.get(value);
        return count === undefined ? [] : [[value, count] as const];
      });
      return [[attribute, Object.fromEntries(ordered)] as const];
    });
    const order = (attribute: Attribute): readonly string[] => [...VOCABULARY[attribute], UNKNOWN];
    const byGroup = order('race').flatMap((race) =>
      order('gender').flatMap((gender) =>
        order('age').flatMap((age) => {
          const images = this.#byGroup.get(JSON.stringify([race, gender, age]));
          return images === undefined ? [] : [{ race, gender, age, images }];
        }),
      ),
    );
    return {
      pairs: this.#pairs,
      images: this.#images,
      byQuestion: Object.fromEntries(this.#byQuestion),
      byAttribute: Object.fromEntries(byAttribute),
      byGroup,
      words: summarise(this.#lengths.subarray(0, this.#pairs)),
    };
  }

  #addImage({ labels }: LabelledImage): void {
    for (const attribute of ATTRIBUTES) {
      const counts = this.#byAttribute.get(attribute) ?? new Map<string, number>();
      const value = labels[attribute] ?? UNKNOWN;
      counts.set(value, (counts.get(value) ?? 0) + 1);
      this.#byAttribute.set(attribute, counts);
    }
    const { race = UNKNOWN, gender = UNKNOWN, age = UNKNOWN } = labels;
    const group = JSON.stringify([race, gender, age]);
    this.#byGroup.set(group, (this.#byGroup.get(group) ?? 0) + 1);
  }
}
