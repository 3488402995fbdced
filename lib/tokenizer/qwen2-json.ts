/**
 * Whether a tokenizer.json cuts and joins text as Qwen2's does (docs/internvl3.md, section 8), which is all that this
 * room computes: another rule would give other ids, without a word. What a file leaves out is taken to be Qwen2's.
 */
import { isJsonObject } from '../files/index.js';

/** Qwen2's pre-tokenisation as its own files spell it; `SPLIT_PATTERN` is the same for JavaScript. */
export const QWEN2_SPLIT: string =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** The parts that a tokenizer.json has. */
type Part = Readonly<Record<string, unknown>> | null | undefined;

/** The members of a `Sequence`, or the part itself. */
function stepsOf(part: Part, members: string): readonly unknown[] {
  if (part === null || part === undefined) return [];
  const list = part[members];
  return part['type'] === 'Sequence' && Array.isArray(list) ? (list as unknown[]) : [part];
}

function isPlainByteLevel(step: unknown): boolean {
  if (!isJsonObject(step) || step['type'] !== 'ByteLevel') return false;
  // The library's default is true for both.
  return step['add_prefix_space'] === false && step['use_regex'] === false;
}

function isQwen2Split(step: unknown): boolean {
  if (!isJsonObject(step) || step['type'] !== 'Split') return false;
  const pattern = step['pattern'];
  const isRule = isJsonObject(pattern) && pattern['Regex'] === QWEN2_SPLIT;
  return isRule && step['behavior'] === 'Isolated' && (step['invert'] ?? false) === false;
}

const EXPECTED = {
  normalizer: 'NFC',
  pre_tokenizer: "Qwen2's Split, then ByteLevel without a prefix space and a regex of its own",
  post_processor: 'none, or ByteLevel, which add no tokens',
} as const;

/** Settings of the model that change which pieces come out, and when they do not. */
const MODEL: Readonly<Record<string, (value: unknown) => boolean>> = {
  dropout: (value) => value === 0,
  ignore_merges: (value) => value === false,
  byte_fallback: (value) => value === false,
  continuing_subword_prefix: (value) => value === '',
  end_of_word_suffix: (value) => value === '',
};

/** One line for each part of a tokenizer.json that is not Qwen2's. */
export function foreignParts(file: Readonly<Record<string, unknown>>): string[] {
  const part = (name: string): Part => file[name] as Part;
  const sound = {
    normalizer: stepsOf(part('normalizer'), 'normalizers').every(
      (step) => isJsonObject(step) && step['type'] === 'NFC',
    ),
    pre_tokenizer: isPreTokenizer(stepsOf(part('pre_tokenizer'), 'pretokenizers')),
    post_processor: stepsOf(part('post_processor'), 'processors').every(
      (step) => isJsonObject(step) && step['type'] === 'ByteLevel',
    ),
  };
  const problems = (Object.keys(sound) as (keyof typeof sound)[]).flatMap((name) => {
    const isStated = file[name] !== undefined && (file[name] !== null || name !== 'post_processor');
    return isStated && (file[name] === null || !sound[name])
      ? [`tokenizer.json: ${name}: expected ${EXPECTED[name]}`]
      : [];
  });
  const model = isJsonObject(file['model']) ? file['model'] : {};
  for (const [name, isSound] of Object.entries(MODEL)) {
    const value = model[name];
    if (value === undefined || value === null || isSound(value)) continue;
    problems.push(`tokenizer.json: model.${name}: ${JSON.stringify(value)} is not supported`);
  }
  return problems;
}

function isPreTokenizer(steps: readonly unknown[]): boolean {
  const [split, bytes, ...others] = steps;
  return isQwen2Split(split) && isPlainByteLevel(bytes) && others.length === 0;
}
