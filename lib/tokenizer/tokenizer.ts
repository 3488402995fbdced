/**
 * Qwen2's byte-level BPE with InternVL's control tokens (docs/internvl3.md, section 8). BPE itself is
 * @huggingface/tokenizers; the control tokens are split off here, so that only text which the caller
 * declares trusted can ever produce one.
 */
import { createError } from '../errors.js';
import { type Bpe, createBpe } from './bpe.js';
import { BYTE_LEVEL, SPLIT_PATTERN } from './byte-level.js';
import type { Detokenizer } from './detokenizer.js';
import { type AddedToken, readTokenizerFiles, type TokenizerFiles } from './files.js';
import { type DecodeOptions, TokenTable } from './token-table.js';

/** A stretch of a prompt. Control tokens are recognised in trusted text only. */
export interface TextSegment {
  readonly text: string;
  readonly trusted: boolean;
}

/** What prompts and answers take of a tokenizer, wherever it runs. */
export interface TextCoder {
  /** Literal and id of every added token. */
  readonly controlTokens: ReadonlyMap<string, number>;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Ids of joined stretches. */
  encodeSegments(segments: readonly TextSegment[]): readonly number[] | Promise<readonly number[]>;
  detokenizer(options?: DecodeOptions): Detokenizer;
}

export class Tokenizer implements TextCoder {
  /** Literal and id of every added token. */
  readonly controlTokens: ReadonlyMap<string, number>;
  readonly table: TokenTable;
  readonly #bpe: Bpe;
  readonly #controlPattern: RegExp | undefined;

  private constructor(files: TokenizerFiles) {
    this.#bpe = createBpe(qwen2Tokenizer(files));
    const pieces: (string | undefined)[] = [];
    for (const [piece, id] of Object.entries(files.vocab)) pieces[id] = piece;
    for (const { id, content } of files.addedTokens) pieces[id] = content;
    // Array.from: holes become entries, which map() visits.
    this.table = TokenTable.of(
      Array.from(pieces),
      files.addedTokens.filter((t) => t.special).map((t) => t.id),
    );
    this.controlTokens = new Map(files.addedTokens.map(({ content, id }) => [content, id]));
    this.#controlPattern = controlPattern(files.addedTokens);
  }

  /**
   * Reads the tokenizer of a checkpoint folder.
   *
   * @throws CheckpointError FACELLM_TOKENIZER_INVALID
   */
  static async load(directory: string): Promise<Tokenizer> {
    const files = await readTokenizerFiles(directory);
    try {
      return new Tokenizer(files);
    } catch (cause) {
      throw createError('FACELLM_TOKENIZER_INVALID', `the tokenizer of ${directory} is damaged`, {
        cause,
      });
    }
  }

  /** Ids of trusted text: control tokens in it are recognised. */
  encode(text: string): number[] {
    return this.encodeSegments([{ text, trusted: true }]);
  }

  /** Ids of text from outside: nothing in it becomes a control token. */
  encodePlain(text: string): number[] {
    return this.encodeSegments([{ text, trusted: false }]);
  }

  /** Ids of joined stretches. Seams are invisible to BPE, as they are to a template's output. */
  encodeSegments(segments: readonly TextSegment[]): number[] {
    const ids: number[] = [];
    let plain = '';
    const flush = (): void => {
      if (plain !== '')
        for (const id of this.#bpe.encode(plain, { add_special_tokens: false }).ids) ids.push(id);
      plain = '';
    };
    for (const { text, trusted } of segments) {
      const parts = trusted && this.#controlPattern ? text.split(this.#controlPattern) : [text];
      for (const part of parts) {
        // split() with one group yields text and tokens in turn.
        const id = trusted ? this.controlTokens.get(part) : undefined;
        if (id === undefined) {
          plain += part;
        } else {
          flush();
          ids.push(id);
        }
      }
    }
    flush();
    return ids;
  }

  get vocabSize(): number {
    return this.table.vocabSize;
  }

  /** Undefined for an id without an entry. */
  tokenBytes(id: number): Uint8Array | undefined {
    return this.table.bytesOf(id);
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    return this.table.decode(ids, options);
  }

  detokenizer(options: DecodeOptions = {}): Detokenizer {
    return this.table.detokenizer(options);
  }

  /** Id of a control token, or of a vocabulary entry as it is written in the vocabulary. */
  tokenId(token: string): number | undefined {
    return this.controlTokens.get(token) ?? this.#bpe.token_to_id(token);
  }
}

/** tokenizer.json of a Qwen2 tokenizer without added tokens. */
function qwen2Tokenizer(files: TokenizerFiles): object {
  const split = {
    type: 'Split',
    pattern: { Regex: SPLIT_PATTERN },
    behavior: 'Isolated',
    invert: false,
  };
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, BYTE_LEVEL] },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      unk_token: null,
      byte_fallback: false,
      ignore_merges: false,
      vocab: files.vocab,
      merges: files.merges,
    },
  };
}

/** Leftmost, then longest. The group makes split() keep the tokens. */
function controlPattern(tokens: readonly AddedToken[]): RegExp | undefined {
  if (tokens.length === 0) return undefined;
  const literals = tokens
    .map(({ content }) => content)
    .sort((a, b) => b.length - a.length)
    .map((literal) => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`(${literals.join('|')})`);
}
