/** Text to token ids and back. */
export { Detokenizer } from './detokenizer.js';
export { type TextCoder, type TextSegment, Tokenizer } from './tokenizer.js';
export { TokenizerThread } from './tokenizer-thread.js';
export { ADDED_TOKEN_COUNT, makeTokenizerFiles, type WrittenTokenizer } from './tokenizer-files.js';
export { trainBpe } from './train-bpe.js';
