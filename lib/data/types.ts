/** What a training dataset is, once read: checked text, and pictures that exist. */

export interface TrainingTurn {
  /** The question as written; `<image>` stands where a picture goes. */
  readonly user: string;
  /** The answer as written; it holds no `<image>` and is not blank. */
  readonly assistant: string;
}

export interface TrainingRecord {
  /** Place in the data file, counted from 0; blank lines of a JSONL file do not count. */
  readonly index: number;
  /** Absolute paths in the order of the `<image>` placeholders, over all turns. */
  readonly images: readonly string[];
  /** The record's own system text; undefined if it has none. */
  readonly system: string | undefined;
  /** At least one. */
  readonly turns: readonly TrainingTurn[];
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
