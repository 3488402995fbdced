/**
 * The files of a tokenizer in Qwen2's configuration with InternVL's added tokens, as the released checkpoints have
 * them, for a vocabulary that was learnt here. Both forms are written, tokenizer.json and vocab.json + merges.txt: some
 * tools read the one, some the other.
 */
import { BYTE_LEVEL } from './byte-level.js';
import { ADDED_TOKENS, type AddedTokenName, PLAIN_ADDED } from './internvl-tokens.js';
import { QWEN2_SPLIT } from './qwen2-json.js';
import type { TrainedBpe } from './train-bpe.js';

export interface TokenizerSettings {
  /** Longest sequence in tokens. */
  readonly maxLength: number;
  /** The Jinja template that the tokenizer's own configuration carries. */
  readonly chatTemplate: string;
  /** Names by which transformers' processor asks its tokenizer for tokens. */
  readonly processorTokens: Readonly<Record<string, string>>;
}

export interface WrittenTokenizer {
  /** Contents by file name. */
  readonly files: Readonly<Record<string, string>>;
  readonly ids: Readonly<Record<AddedTokenName, number>>;
  /** One more than the largest id. */
  readonly vocabularySize: number;
}

/** Places that {@link ADDED_TOKENS} take behind a learnt vocabulary. */
export const ADDED_TOKEN_COUNT: number = ADDED_TOKENS.length;

function isSpecial(token: string): boolean {
  return !PLAIN_ADDED.test(token);
}

function flagsOf(token: string): object {
  return {
    content: token,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: isSpecial(token),
  };
}

/** @param bpe whose ids come first, as Qwen2's do */
export function makeTokenizerFiles(bpe: TrainedBpe, settings: TokenizerSettings): WrittenTokenizer {
  const first = bpe.pieces.length;
  const vocab = Object.fromEntries(bpe.pieces.map((piece, id) => [piece, id]));
  const added = ADDED_TOKENS.map((token, place) => [token, first + place] as const);
  return {
    files: {
      'tokenizer.json': json(tokenizerJson(bpe, vocab, added)),
      'vocab.json': json(vocab),
      'merges.txt': ['#version: 0.2', ...bpe.merges.map((pair) => pair.join(' ')), ''].join('\n'),
      'added_tokens.json': json(Object.fromEntries(added)),
      'special_tokens_map.json': json(specialTokensMap(settings)),
      'tokenizer_config.json': json(tokenizerConfig(added, settings)),
    },
    ids: Object.fromEntries(added) as Record<AddedTokenName, number>,
    vocabularySize: first + added.length,
  };
}

type AddedIds = readonly (readonly [string, number])[];

function tokenizerJson(
  bpe: TrainedBpe,
  vocab: Readonly<Record<string, number>>,
  added: AddedIds,
): object {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map(([token, id]) => ({ id, ...flagsOf(token) })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: QWEN2_SPLIT }, behavior: 'Isolated', invert: false },
        BYTE_LEVEL,
      ],
    },
    post_processor: BYTE_LEVEL,
    decoder: { ...BYTE_LEVEL, add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: bpe.merges,
    },
  };
}

const NAMED_TOKENS = { eos_token: '<|im_end|>', pad_token: '<|endoftext|>' } as const;

function additionalSpecialTokens(): string[] {
  return ADDED_TOKENS.filter((token) => isSpecial(token) && token !== NAMED_TOKENS.pad_token);
}

function specialTokensMap({ processorTokens }: TokenizerSettings): object {
  return {
    additional_special_tokens: additionalSpecialTokens(),
    ...processorTokens,
    ...NAMED_TOKENS,
  };
}

function tokenizerConfig(
  added: AddedIds,
  { maxLength, chatTemplate, processorTokens }: TokenizerSettings,
): object {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map(([token, id]) => [id, flagsOf(token)])),
    additional_special_tokens: additionalSpecialTokens(),
    bos_token: null,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    ...processorTokens,
    ...NAMED_TOKENS,
    errors: 'replace',
    extra_special_tokens: processorTokens,
    model_max_length: maxLength,
    processor_class: 'InternVLProcessor',
    return_token_type_ids: false,
    split_special_tokens: false,
    tokenizer_class: 'Qwen2Tokenizer',
    unk_token: null,
  };
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
