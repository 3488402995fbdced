/** What a training dataset is, once read: checked text, and pictures that exist. */

export interface TrainingTurn {
  /** The question as written; `<image>` stands where a picture goes. */
  readonly user: string;
  /** The answer as written; it holds no `<image>` and is not blank. */
  readonly assistant: string;
}

/** Keys of a record that tell about whom it is. */
export const FACTS = ['person', 'gender', 'age', 'race'] as const;
export type RecordFact = (typeof FACTS)[number];

export interface TrainingRecord {
  /** Place in the data file, counted from 0; blank lines of a JSONL file do not count. */
  readonly index: number;
  /** Absolute paths in the order of the `<image>` placeholders, over all turns. */
  readonly images: readonly string[];
  /** The record's own system text; undefined if it has none. */
  readonly system: string | undefined;
  /** At least one. */
  readonly turns: readonly TrainingTurn[];
  /** An answer to the last question that is worse than the one in `turns`; absent without one. */
  readonly rejected?: string;
  /** What the record says of the person in it; never learnt from. Absent means not known. */
  readonly facts: { readonly [fact in RecordFact]?: string };
}

/** A record that was left out, and everything that is wrong with it. */
export interface SkippedRecord {
  readonly index: number;
  readonly problems: readonly string[];
}

export interface Dataset {
  /** Absolute path of the data file, also where a dataset_info.json led to it. */
  readonly file: string;
  /** In the order of the file; never empty. */
  readonly records: readonly TrainingRecord[];
  /** In the order of the file; empty unless `onInvalid` is 'skip'. */
  readonly skipped: readonly SkippedRecord[];
  /** Of the data file's bytes, in lower-case hex. */
  readonly sha256: string;
}
