/** Text to token ids and back. */
export { Detokenizer } from './detokenizer.js';
export { type DecodeOptions, type TextSegment, Tokenizer } from './tokenizer.js';
