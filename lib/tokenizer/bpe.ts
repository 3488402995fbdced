/**
 * @huggingface/tokenizers behind the few types that we use of it: its own declarations import without
 * file extensions, which Node's module resolution does not find.
 */
import * as library from '@huggingface/tokenizers';

export interface Bpe {
  encode(
    text: string,
    options: { readonly add_special_tokens: boolean },
  ): { readonly ids: readonly number[] };
  token_to_id(token: string): number | undefined;
}

const { Tokenizer } = library as unknown as {
  readonly Tokenizer: new (tokenizer: object, config: object) => Bpe;
};

export function createBpe(tokenizer: object): Bpe {
  return new Tokenizer(tokenizer, { clean_up_tokenization_spaces: false });
}
