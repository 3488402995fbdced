/** What a benchmark needs of a model, so that tests can put another in its place. */
import type { Dtype } from '../model/index.js';
import type { AnswerDivergence, EvaluationItem, ItemOutcome } from './types.js';

/** Facts about the prompt that an answer came from. */
export type AskedPrompt = Pick<ItemOutcome, 'promptHash' | 'promptTokens' | 'imageTokens'>;

export interface TextAnswer extends AskedPrompt {
  readonly text: string;
  readonly generatedTokens: number;
  /** From a reference, of a model that is compared with one. */
  readonly divergence?: AnswerDivergence;
}

export interface ChoiceAnswer extends AskedPrompt {
  /** One a choice, adding up to 1. */
  readonly probabilities: readonly number[];
}

export type Question = Pick<EvaluationItem, 'images' | 'prompt' | 'choices' | 'tags'>;

/** A loaded model. Calls may run at the same time. */
export interface ModelUnderTest extends AsyncDisposable {
  readonly device: string;
  readonly dtype: Dtype;
  /** Whether the last digits of an answer do not depend on what else is asked. */
  readonly isDeterministic: boolean;
  /** Greedy. */
  answer(question: Question, signal: AbortSignal): Promise<TextAnswer>;
  choose(question: Question, signal: AbortSignal): Promise<ChoiceAnswer>;
}

/** A model whose scores along a given answer can be had. */
export interface ScoredModel extends ModelUnderTest {
  answer(
    question: Question,
    signal: AbortSignal,
  ): Promise<TextAnswer & { readonly tokenIds: readonly number[] }>;
  /** `[tokens, vocabulary]`, row-major. */
  answerLogits(
    question: Question,
    tokenIds: readonly number[],
    signal: AbortSignal,
  ): Promise<Float32Array>;
}

/** sha256 over the files of a model, and of each adapter on it. */
export interface ModelIdentity {
  readonly model: string;
  readonly adapters: readonly string[];
  /** What of the run's load options holds for this model alone. */
  readonly load?: string;
  /** That it is compared with. */
  readonly reference?: ModelIdentity;
}

/** A model that takes part: its label, what it is, and how to load it once its turn has come. */
export interface Contender<Model extends ModelUnderTest = ModelUnderTest> {
  /** Label in tables and file names: letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  /** Where it comes from, for the record. */
  readonly origin: Readonly<Record<string, string | readonly string[]>>;
  readonly identity: ModelIdentity;
  open(signal: AbortSignal): Promise<Model>;
}
