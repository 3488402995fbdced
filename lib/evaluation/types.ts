/**
 * What a benchmark is: questions with known answers, and a report on what models made of them. The runner
 * (run/) asks and keeps a journal; it knows nothing of any one benchmark.
 */

/** One question put to every model. */
export interface EvaluationItem {
  /** Unique within the benchmark, and the same in every run over the same data. */
  readonly id: string;
  /** Absolute paths, in the order in which the model sees them; none for a text-only question. */
  readonly images: readonly string[];
  /** The user's text after the pictures, exactly. */
  readonly prompt: string;
  /** Answers whose probabilities are computed: option letters, or words. At least two. */
  readonly choices: readonly string[];
  /** Index of the right one among `choices`. */
  readonly answer: number;
  /** What tables are grouped by: category, task, race, gender, number of images. */
  readonly tags: Readonly<Record<string, string>>;
}

/** What one model made of one item. */
export interface ItemOutcome {
  readonly id: string;
  /** sha256 of the prompt as rendered to token ids. */
  readonly promptHash: string;
  /** Generated text without surrounding white space; absent where only probabilities were asked for. */
  readonly text?: string;
  /** Of each choice, normalised over the choices; absent where only text was asked for. */
  readonly probabilities?: readonly number[];
  /** The same at a temperature that was fitted on labels; never in a journal, which holds the model's own. */
  readonly calibrated?: readonly number[];
  /** Where the model is compared with a reference, along the reference's answer. */
  readonly divergence?: AnswerDivergence;
  readonly promptTokens: number;
  readonly imageTokens: number;
  readonly generatedTokens: number;
  /** From asking to the answer, others under way meanwhile. */
  readonly milliseconds: number;
  /** Why the question has no answer: neither text nor probabilities are there then, and it counts as wrong. */
  readonly failure?: ItemFailure;
}

/** How far a model's scores are from a reference's at each token of the reference's own greedy answer. */
export interface AnswerDivergence {
  /** KL(reference || model) over the whole vocabulary, in nats, of each token. */
  readonly kl: readonly number[];
  /** Tokens whose most probable id is the same. */
  readonly agreeing: number;
  /** ln p(reference) - ln p(model) of the answer's tokens, added up. */
  readonly logProbLoss: number;
  /** Tokens before the model's own greedy answer parts from the reference's; null: it does not. */
  readonly sharedTokens: number | null;
}

/** A question that could not be asked: a broken picture, no memory. */
export interface ItemFailure {
  /** As in docs/errors.md. */
  readonly code: string;
  readonly message: string;
}

/** A file that questions or answers come from. */
export interface EvaluationSource {
  /** Relative to the data's folder. */
  readonly path: string;
  readonly sha256: string;
}

/** One model over all items of a benchmark, in the order of the items. */
export interface ModelRun {
  /** Label in tables: `base`, `tuned`, or a name that the user gave. */
  readonly name: string;
  readonly outcomes: readonly ItemOutcome[];
}

export interface Benchmark {
  readonly name: 'facexbench' | 'attributes' | 'pairs';
  /** Not all of the published set is there: the score is no score of that benchmark. */
  readonly isPartial: boolean;
  /** What a reader of the report must know: files missing or of another version, rows left out. */
  readonly notes: readonly string[];
  readonly items: readonly EvaluationItem[];
  /** sha256 over all data that the items and answers come from. */
  readonly fingerprint: string;
  /** The files that the fingerprint covers, if the benchmark lists them. */
  readonly sources?: readonly EvaluationSource[];
  /** Whether generated text is read, probabilities are, or both. */
  readonly readings: readonly ('text' | 'probability')[];
  /** Which choice of an item, by its place, generated text is taken for. @default none is */
  readonly readText?: (place: number, text: string) => number | undefined;
  /** A choice as people read it. @default its text */
  readonly describeChoice?: (place: number, choice: number) => string;
  /** Adds calibrated probabilities to a model's answers. @default none are told */
  readonly withCalibrated?: (run: ModelRun) => ModelRun;
  /**
   * Writes the benchmark's tables and pictures into a folder that exists.
   *
   * @returns the headline figures, JSON-serialisable
   */
  report(
    runs: readonly ModelRun[],
    output: string,
    options?: ReportOptions,
  ): Promise<BenchmarkSummary>;
}

/** What every benchmark is made from. */
export interface DataOptions {
  /** Folder of the benchmark's data. */
  readonly data: string;
  /** Only the first questions (`facexbench`: of each file), pictures or pairs; the set is partial then. */
  readonly limit?: number | undefined;
  /** `skip` leaves out what is faulty or has no picture. @default 'error' */
  readonly onInvalid?: 'error' | 'skip' | undefined;
  /** Of drawing pairs and of resampling; greedy answers draw nothing. @default 0 */
  readonly seed?: number | undefined;
}

export interface BenchmarkOptions extends DataOptions {
  /** @default both, of `pairs` probabilities */
  readonly readings?: Benchmark['readings'] | undefined;
}

export interface ReportOptions {
  /** Whether plots are drawn. @default true */
  readonly charts?: boolean | undefined;
  /** Files that calibrated probabilities come from. @default none */
  readonly calibrations?: readonly UsedCalibration[] | undefined;
}

/** A calibration file as a report names it. */
export interface UsedCalibration {
  /** Label of the model that it is for. */
  readonly model: string;
  /** Name, without its folder. */
  readonly file: string;
  /** Of its bytes. */
  readonly sha256: string;
  /** Of the model and form that it was fitted on. */
  readonly fingerprint: string;
  readonly fittedOn: {
    readonly benchmark: string;
    readonly sha256: string;
    readonly pictures: number;
  };
  /** It was fitted on the very data that are evaluated: figures of it are too good. */
  readonly isOwnData: boolean;
  /** In the order of the questions asked. */
  readonly questions: readonly {
    readonly question: string;
    readonly temperature: number;
    readonly isAtBound: boolean;
  }[];
}

/** Of the page of wrong answers. */
export interface GalleryOptions {
  /** Cards of each model at most. */
  readonly most: number;
  /** Whether the pictures are put into the page. */
  readonly hasPictures: boolean;
}

export interface BenchmarkSummary {
  readonly benchmark: string;
  readonly isPartial: boolean;
  /** Per model: figure name to value, for example `accuracy.probability`. */
  readonly models: readonly {
    readonly name: string;
    readonly figures: Readonly<Record<string, number>>;
  }[];
  /** The main figures with their intervals, as a screen shows them; the first row names the columns. */
  readonly table: readonly (readonly string[])[];
  /** Files written, relative to the folder. */
  readonly files: readonly string[];
}
